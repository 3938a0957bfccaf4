#include "worker/documents/coder.h"

#include <arrow/util/compression.h>

#include <algorithm>
#include <cstdint>
#include <utility>

namespace pondpilot::worker::documents {
namespace {

namespace proto = pondpilot::sql::v1;

// Quick ones: the result is being waited for.
constexpr int kGzipLevel = 4;
constexpr int kZstdLevel = 3;

class Identity final : public Coder {
 public:
  base::Result<std::string> Code(std::string text, bool) override { return text; }
};

class Compressed final : public Coder {
 public:
  Compressed(std::unique_ptr<arrow::util::Codec> codec, std::shared_ptr<arrow::util::Compressor> compressor)
      : codec_(std::move(codec)), compressor_(std::move(compressor)) {}

  base::Result<std::string> Code(std::string text, bool last) override {
    auto coded = Step(text, last);
    if (coded.ok()) return std::move(*coded);
    return base::Fail(base::ErrorCode::kInternal, "The result can't be compressed.",
                      coded.status().ToString());
  }

 private:
  arrow::Result<std::string> Step(std::string_view text, bool last) {
    std::string out(std::max<size_t>(text.size() / 2, 1024), '\0');
    size_t used = 0;
    const auto room = [&] {
      if (out.size() - used < 512) out.resize(out.size() * 2);
      return static_cast<int64_t>(out.size() - used);
    };
    const auto at = [&] { return reinterpret_cast<uint8_t*>(out.data() + used); };
    while (!text.empty()) {
      const int64_t free = room();
      ARROW_ASSIGN_OR_RAISE(const auto done,
                            compressor_->Compress(static_cast<int64_t>(text.size()),
                                                  reinterpret_cast<const uint8_t*>(text.data()), free, at()));
      used += static_cast<size_t>(done.bytes_written);
      text.remove_prefix(static_cast<size_t>(done.bytes_read));
      if (done.bytes_read == 0 && done.bytes_written == 0) out.resize(out.size() * 2);
    }
    for (bool more = true; more;) {
      const int64_t free = room();
      if (last) {
        ARROW_ASSIGN_OR_RAISE(const auto done, compressor_->End(free, at()));
        used += static_cast<size_t>(done.bytes_written);
        more = done.should_retry;
      } else {
        ARROW_ASSIGN_OR_RAISE(const auto done, compressor_->Flush(free, at()));
        used += static_cast<size_t>(done.bytes_written);
        more = done.should_retry;
      }
      if (more) out.resize(out.size() * 2);
    }
    out.resize(used);
    return out;
  }

  std::unique_ptr<arrow::util::Codec> codec_;
  std::shared_ptr<arrow::util::Compressor> compressor_;
};

arrow::Result<std::unique_ptr<Coder>> Make(arrow::Compression::type type, int level) {
  ARROW_ASSIGN_OR_RAISE(auto codec, arrow::util::Codec::Create(type, level));
  ARROW_ASSIGN_OR_RAISE(auto compressor, codec->MakeCompressor());
  return std::make_unique<Compressed>(std::move(codec), std::move(compressor));
}

}  // namespace

base::Result<std::unique_ptr<Coder>> MakeCoder(proto::Coding coding) {
  if (coding == proto::CODING_IDENTITY) return std::make_unique<Identity>();
  auto made = coding == proto::CODING_ZSTD ? Make(arrow::Compression::ZSTD, kZstdLevel)
                                           : Make(arrow::Compression::GZIP, kGzipLevel);
  if (made.ok()) return std::move(*made);
  return base::Fail(base::ErrorCode::kInternal, "This worker has no such compression.",
                    made.status().ToString());
}

}  // namespace pondpilot::worker::documents

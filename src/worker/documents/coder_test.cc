#include "worker/documents/coder.h"

#include <arrow/util/compression.h>
#include <gtest/gtest.h>

#include <random>

namespace pondpilot::worker::documents {
namespace {

namespace proto = pondpilot::sql::v1;

std::string Decoded(arrow::Compression::type type, const std::string& coded) {
  const auto codec = *arrow::util::Codec::Create(type);
  const auto decompressor = *codec->MakeDecompressor();
  std::string out(16 << 20, '\0');
  const auto done = *decompressor->Decompress(
      static_cast<int64_t>(coded.size()), reinterpret_cast<const uint8_t*>(coded.data()),
      static_cast<int64_t>(out.size()), reinterpret_cast<uint8_t*>(out.data()));
  out.resize(static_cast<size_t>(done.bytes_written));
  return out;
}

TEST(CoderTest, EveryPieceCanBeDecodedAtOnce) {
  std::mt19937 random(7);
  std::string noise(300'000, '\0');
  for (char& c : noise) c = static_cast<char>(random());
  for (const auto& [coding, type] : {std::pair{proto::CODING_GZIP, arrow::Compression::GZIP},
                                     std::pair{proto::CODING_ZSTD, arrow::Compression::ZSTD}}) {
    const auto coder = *MakeCoder(coding);
    std::string all;
    std::string plain;
    for (const std::string& piece :
         {std::string("first"), noise, std::string(1'000'000, 'x'), std::string(), std::string("y")}) {
      const auto coded = coder->Code(piece, false);
      ASSERT_TRUE(coded) << coded.error().detail;
      all += *coded;
      plain += piece;
      ASSERT_TRUE(Decoded(type, all) == plain) << "after " << plain.size() << " bytes";
    }
    all += *coder->Code("end", true);
    EXPECT_TRUE(Decoded(type, all) == plain + "end");
    EXPECT_LT(all.size(), 400'000u);
  }
}

TEST(CoderTest, WithoutACodingTheTextStays) {
  const auto coder = *MakeCoder(proto::CODING_IDENTITY);
  EXPECT_EQ(*coder->Code("text", true), "text");
}

}  // namespace
}  // namespace pondpilot::worker::documents

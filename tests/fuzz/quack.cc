// What a Quack client sends. "m" and a message; "c" and a chunk of rows: one that is let in must be one that
// DuckDB can store and show, whatever the values are.
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include "check.h"
#include "quack/chunk_check.h"
#include "quack/messages.h"
#include "worker/engine/engine.h"

namespace {

using namespace pondpilot;
using worker::engine::Engine;

class Database {
 public:
  Database() {
    std::string folder = (std::filesystem::temp_directory_path() / "fuzz-quack-XXXXXX").string();
    FUZZ_CHECK(::mkdtemp(folder.data()) != nullptr);
    folder_ = folder;
    auto opened = Engine::Open({512ull << 20, 1, folder_});
    FUZZ_CHECK(opened);
    engine_ = std::move(*opened);
    FUZZ_CHECK(engine_->AttachAndLockDown({}, {}));
    auto connection = engine_->Connect();
    FUZZ_CHECK(connection);
    connection_ = std::move(*connection);
    FUZZ_CHECK(connection_->Execute("CREATE TABLE seen (a VARCHAR)", {}));
  }
  ~Database() {
    connection_.reset();
    engine_.reset();
    std::filesystem::remove_all(folder_);
  }
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  void Store(std::string_view chunk) {
    const std::string insert = "INSERT INTO seen SELECT md5(row::VARCHAR) FROM " +
                               std::string(worker::engine::kChunksFunction) + "('s', NULL) AS row";
    const auto stored = connection_->InsertChunks(insert, {chunk});
    // A date may be too far away to be shown.
    if (!stored && stored.error().code == base::ErrorCode::kInternal)
      std::fprintf(stderr, "%s\n", stored.error().message.c_str());
    FUZZ_CHECK(stored || stored.error().code != base::ErrorCode::kInternal);
    FUZZ_CHECK(engine_->healthy());
    FUZZ_CHECK(connection_->Execute("TRUNCATE seen", {}));
  }

 private:
  std::string folder_;
  std::unique_ptr<Engine> engine_;
  std::unique_ptr<worker::engine::Connection> connection_;
};

void ReadMessage(std::string_view message) {
  std::string_view body;
  const auto header = quack::ParseHeader(message, body);
  if (!header) {
    FUZZ_CHECK(!header.error().message.empty());
    return;
  }
  FUZZ_CHECK(header->connection_id.empty() || header->connection_id.size() == quack::kIdBytes);
  FUZZ_CHECK(body.size() < message.size());
  (void)quack::ParseConnectionRequest(body);
  (void)quack::ParseCancel(body);
  (void)quack::ParseAppendRequest(body);
  for (const auto dialect : {quack::Dialect::kV1, quack::Dialect::kV3}) {
    (void)quack::ParsePrepareRequest(dialect, body);
    (void)quack::ParseFetchRequest(dialect, body);
  }
  if (const auto rows = quack::ParseStreamedRows(body)) (void)quack::CheckChunks(rows->rows, rows->chunks);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  if (data[0] == 'm') {
    ReadMessage(text);
    return 0;
  }
  const auto length = quack::CheckChunk(text);
  if (!length) return 0;
  FUZZ_CHECK(*length <= text.size());
  static Database database;
  database.Store(text.substr(0, *length));
  return 0;
}

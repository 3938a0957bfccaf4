#pragma once

#include <atomic>
#include <deque>
#include <memory>
#include <mutex>

#include "worker/engine/call_gate.h"
#include "worker/engine/cancel_follow_up.h"
#include "worker/engine/duckdb_headers.h"
#include "worker/engine/engine.h"

namespace pondpilot::worker::engine {

class DuckDbEngine;
class KeptStatements;

// What a stream needs of the connection it reads from. The engine outlives the stream.
struct StreamSource {
  std::shared_ptr<duckdb::Connection> connection;
  std::shared_ptr<CallGate> gate;
  std::shared_ptr<KeptStatements> statements;
  DuckDbEngine* engine = nullptr;
};

// What becomes of a statement's rows: computed as they are read; all of them now, kept until they are read;
// all of them now and forgotten, because another statement follows whose result is the one wanted.
enum class StreamRows { kAsRead, kKept, kForgotten };

// A DuckDB stream of Arrow arrays, read as record batches. Keeps its connection alive.
class DuckDbStream final : public ResultStream {
 public:
  using Stream = duckdb::QueryResultStream<duckdb::ArrowFormat>;

  using Rows = StreamRows;
  // Opens the stream of a submitted statement.
  static base::Result<std::unique_ptr<DuckDbStream>> Open(StreamSource source,
                                                          duckdb::unique_ptr<duckdb::QueryResult> submitted,
                                                          Rows rows, Types types = Types::kCommon);
  ~DuckDbStream() override;

  const std::shared_ptr<arrow::Schema>& schema() const override { return schema_; }
  bool Advance(std::chrono::steady_clock::time_point until) override;
  base::Result<std::shared_ptr<arrow::RecordBatch>> Next() override;
  void Cancel() override;

  bool HoldsConnection() const override { return open(); }

  // The next of the rows that were kept, nullptr after the last. Only with Rows::kKept.
  std::shared_ptr<arrow::RecordBatch> NextKept();

 private:
  DuckDbStream() = default;

  bool open() const;

  base::Result<std::shared_ptr<arrow::RecordBatch>> Fetch();
  base::Result<void> ReadSchema();
  void Close();

  StreamSource source_;
  Types types_ = Types::kCommon;
  std::unique_ptr<Stream> stream_;
  std::shared_ptr<arrow::Schema> native_schema_;  // as DuckDB makes it
  std::shared_ptr<arrow::Schema> schema_;         // as it goes out
  bool convert_ = false;
  bool check_range_ = false;
  std::deque<std::shared_ptr<arrow::RecordBatch>> kept_;
  bool reads_attached_ = true;
  std::atomic<bool> cancelled_{false};
  // Guards `open_`: an interrupt must not hit the statement that comes after this one on the connection.
  mutable std::mutex mutex_;
  bool open_ = false;
};

}  // namespace pondpilot::worker::engine

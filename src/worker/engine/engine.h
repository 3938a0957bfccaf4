#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/secret.h"

namespace arrow {
class RecordBatch;
class Schema;
}  // namespace arrow

// DuckDB behind an interface of our own: no header outside worker/engine includes duckdb.hpp.
namespace pondpilot::worker::engine {

struct Limits {
  uint64_t memory_bytes = 0;  // the container's limit; the engine's own memory_limit is derived from it
  double cpu_cores = 1;       // the container's limit; the engine's threads are derived from it
  std::string spill_dir;      // exists and is writable; DuckDB's temp_directory
};

// Sets the limit on this process's data segment that turns an allocation bomb into an error instead of an OOM
// kill. Once, before threads start. Not under a sanitizer, whose shadow memory counts against it.
base::Result<void> LimitProcessMemory(const Limits& limits);

struct ServerTarget {
  std::string host;
  uint16_t port = 0;
  std::string database;
  std::string user;
  base::Secret password;
  std::vector<std::pair<std::string, std::string>> options;
};

struct Attachment {
  enum class Kind { kPostgres, kMysql, kSqlite, kUnavailable };
  std::string alias;
  Kind kind = Kind::kUnavailable;
  bool read_only = true;
  ServerTarget server;             // kPostgres, kMysql
  std::string sqlite_path;         // kSqlite
  std::string unavailable_reason;  // kUnavailable
};

struct AttachmentState {
  std::string alias;
  bool available = false;
  std::string reason;  // when not available: a sentence for the user, without secrets
};

// A result being read. Destroying it before its end cancels the statement. One thread at a time, except
// Cancel.
class ResultStream {
 public:
  virtual ~ResultStream() = default;
  // Known from the start, equal to that of every batch.
  virtual const std::shared_ptr<arrow::Schema>& schema() const = 0;
  // The next batch (up to kBatchRows rows), nullptr at the end. Blocks while DuckDB computes.
  virtual base::Result<std::shared_ptr<arrow::RecordBatch>> Next() = 0;
  // Does the connection belong to this stream until its end? False for a statement that has run to its end
  // already: its rows are kept here, and the connection is free.
  virtual bool HoldsConnection() const = 0;
  // From any thread, at any time: Next() returns kCancelled soon. Idempotent.
  virtual void Cancel() = 0;
};

inline constexpr uint64_t kBatchRows = 65536;

// One DuckDB connection: settings, temporary tables and the open transaction live here. One statement at a
// time; Execute while a stream of it is open is the caller's mistake (kFailedPrecondition). Interrupt from
// any thread.
class Connection {
 public:
  virtual ~Connection() = default;
  // Runs every statement of `sql` in order; the stream is that of the last one. Statements before the last
  // are run to their end first. A last statement that yields rows is truly streamed; others have run when
  // this returns. DDL and the like yield an empty result; INSERT, UPDATE and DELETE one BIGINT column
  // "Count". Empty text, text that isn't UTF-8, a statement outside the allow-list (kPermissionDenied),
  // DuckDB's own errors (its class decides the code; the message is DuckDB's, with position and hint).
  virtual base::Result<std::unique_ptr<ResultStream>> Execute(std::string_view sql) = 0;
  // Stops what Execute is doing on another thread; it returns kCancelled.
  virtual void Interrupt() = 0;
  virtual bool InTransaction() const = 0;
  // True once the connection holds state that another connection would not see: settings, temporary objects,
  // prepared statements, an open transaction.
  virtual bool HasState() const = 0;
};

// One tenant's database. Thread-safe after Open.
class Engine {
 public:
  virtual ~Engine() = default;

  // Opens an in-memory DuckDB within `limits` and loads the packaged scanners. No tenant secret is needed
  // yet.
  static base::Result<std::unique_ptr<Engine>> Open(const Limits& limits);

  // Once: attaches what can be attached (each bounded in time, concurrently where DuckDB allows), drops the
  // secrets, removes pass-through functions, applies the settings and locks the configuration. Returns the
  // state of each attachment. An error means that the lock-down could not be proven: the worker must not
  // serve.
  virtual base::Result<std::vector<AttachmentState>> AttachAndLockDown(
      const std::vector<Attachment>& attachments, const std::vector<std::string>& extensions) = 0;

  virtual std::vector<AttachmentState> attachments() const = 0;

  // Only after AttachAndLockDown.
  virtual base::Result<std::unique_ptr<Connection>> Connect() = 0;

  // False once DuckDB reports that the database has been invalidated, and while a cancelled statement does
  // not end: then only a new process helps.
  virtual bool healthy() const = 0;

  // Bytes that the engine counts against its own memory limit now.
  virtual uint64_t BufferBytes() const = 0;
};

}  // namespace pondpilot::worker::engine

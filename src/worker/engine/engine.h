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
  // Computes on the caller's thread until Next() would not block: true then, false when that is not so yet at
  // about `until`, or when computing could block for longer, as a scan of a server may.
  virtual bool Advance(std::chrono::steady_clock::time_point until) = 0;
  // The next batch (up to kBatchRows rows), nullptr at the end. Blocks while DuckDB computes.
  virtual base::Result<std::shared_ptr<arrow::RecordBatch>> Next() = 0;
  // Does the connection belong to this stream until its end? False for a statement that has run to its end
  // already: its rows are kept here, and the connection is free.
  virtual bool HoldsConnection() const = 0;
  // From any thread, at any time: Next() returns kCancelled soon. Idempotent.
  virtual void Cancel() = 0;
};

inline constexpr uint64_t kBatchRows = 65536;

// Which Arrow types rows have: those that most clients understand, as the session's settings have it; or
// those that DuckDB makes its own of without loss, whatever the settings.
enum class Types { kCommon, kDuckDb };
// Which DuckDB reads the chunks that are written: they have written texts in two ways so far.
enum class ChunkVersion { k1_5, k2_0 };

// Rows as DuckDB writes them down for another DuckDB: serialized DataChunks, one behind the other.
struct ChunkBatch {
  uint64_t rows = 0;
  std::string bytes;
  std::vector<size_t> ends;  // of each chunk in `bytes`
};

// A result that is read as chunks. One thread at a time, except Cancel. Destroying it before its end cancels
// the statement.
class ChunkStream {
 public:
  struct Column {
    std::string name;
    std::string type;  // a serialized LogicalType
  };
  virtual ~ChunkStream() = default;
  virtual const std::vector<Column>& columns() const = 0;
  // nullopt at the end. Blocks while DuckDB computes.
  virtual base::Result<std::optional<ChunkBatch>> Next() = 0;
  // As for ResultStream.
  virtual bool HoldsConnection() const = 0;
  virtual void Cancel() = 0;
};

// The table function in whose place Connection::InsertChunks puts rows; there is none of this name.
inline constexpr char kChunksFunction[] = "scan_data_from_quack_client";

// Values for a statement's parameters as a client has sent them: the statement runs once for each row, of
// which there may be kMaxParameterRows. Nothing of them is trusted.
inline constexpr int64_t kMaxParameterRows = 10'000'000;
struct ParameterRows {
  std::shared_ptr<arrow::Schema> schema;
  std::vector<std::shared_ptr<arrow::RecordBatch>> batches;
};

// What is known of a text before it runs.
struct Description {
  // Of the rows that it yields; nullptr when it yields none of its own: it changes something, or the text
  // holds several statements. With Flight SQL's metadata about the columns' types, where they are known.
  std::shared_ptr<arrow::Schema> rows;
  // A field for each parameter, in order, named as in the text ("1", "name"). Utf8 where DuckDB can't tell.
  std::shared_ptr<arrow::Schema> parameters;
  // A statement of the text begins or ends a transaction.
  bool has_transaction_statement = false;
};

// Rows that come from a client, batch by batch. Nothing of them is trusted.
class RowSource {
 public:
  virtual ~RowSource() = default;
  virtual const std::shared_ptr<arrow::Schema>& schema() const = 0;
  // nullptr at the end. Blocks.
  virtual base::Result<std::shared_ptr<arrow::RecordBatch>> Next() = 0;
};

// Where rows go that are loaded in bulk.
struct IngestTarget {
  std::optional<std::string> catalog;  // the session's own when there is none
  std::optional<std::string> schema;   // the session's, or the catalog's default
  std::string table;
  bool temporary = false;
  enum class IfMissing { kCreate, kFail };
  IfMissing if_missing = IfMissing::kCreate;
  enum class IfThere { kFail, kAppend, kReplace };
  IfThere if_there = IfThere::kFail;
};

struct TableName {
  std::string catalog;
  std::string schema;
  std::string table;
};

// Of a column, as DuckDB sees it.
struct ColumnDetails {
  std::string name;
  std::string type;     // as SQL
  std::string type_id;  // the name of DuckDB's LogicalTypeId, without what the type is made of
  bool plain = false;   // the type has no name of its own and no collation
  bool generated = false;
  std::string comment;
  bool has_default = false;
  // As SQL, when it needs nothing but DuckDB itself; empty otherwise.
  std::string default_value;
};

// Of a table or view.
struct TableDetails {
  std::string comment;
  std::string kind;  // of its database: "duckdb", "postgres", …
  bool read_only = true;
  bool row_ids = false;  // the name rowid stands for DuckDB's own row identifiers
  // When asked for, of a table with row identifiers: what is added to those that a scan gives that begins
  // afterwards, for Connection::Change to take them.
  std::optional<int64_t> row_id_base;
  std::optional<uint64_t> rows;  // about
  std::vector<ColumnDetails> columns;
};

// Rows of a table that are written one by one.
struct TableChange {
  enum class Kind { kInsert, kUpdate, kDelete };
  Kind kind = Kind::kInsert;
  TableName table;
  // That are written, by names that the source's columns have as well. For kUpdate and kDelete the source's
  // last column is `rowid`: which rows, see TableDetails::row_id_base.
  std::vector<std::string> columns;
  // Of the rows as they are written, or as they were for kDelete; none when nothing is to come back. "rowid"
  // comes back as NULL when the table has row ids.
  std::vector<std::string> returned;
};
using BatchSink = std::function<base::Result<void>(std::shared_ptr<arrow::RecordBatch>)>;

// A table, a view, or a schema, which has no name of its own. Keys name columns of `columns`.
struct CatalogEntry {
  std::string catalog;
  std::string schema;
  std::string name;
  bool is_view = false;
  std::shared_ptr<arrow::Schema> columns;  // when asked for; nullptr when they can't be told
  // The schema is the one that a database's name alone stands for: a table is found as catalog.name.
  bool in_default_schema = false;
  // Of a table, when asked for.
  struct SqlColumn {
    std::string name;
    std::string type;           // as SQL
    bool known_to_1_5 = false;  // DuckDB 1.5 has the type
  };
  std::vector<SqlColumn> sql_columns;

  struct ForeignKey {
    std::string schema;  // of the table that it points to
    std::string table;
    std::vector<std::string> columns;
    std::vector<std::string> referenced;
  };
  std::vector<std::string> primary_key;
  std::vector<ForeignKey> foreign_keys;

  std::optional<TableDetails> details;  // when asked for; of a schema the comment alone
};

// Which entries of the catalog are wanted. Patterns are LIKE's, with \\ before a character that stands for
// itself.
struct CatalogQuestion {
  std::optional<std::string> catalog;  // exactly this one
  std::optional<std::string> schema;   // exactly this one
  std::optional<std::string> name;     // exactly this one
  std::optional<std::string> schema_pattern;
  std::optional<std::string> name_pattern;
  bool tables = true;
  bool views = true;
  bool columns = false;
  bool sql_columns = false;
  bool schemas = false;  // only the schemas themselves, as entries without a name
  bool details = false;
  bool row_id_base = false;  // of `details`
  // kNotFound for a `catalog` that is not there, instead of nothing; kUnavailable when it is but down.
  bool must_exist = false;
  Types types = Types::kCommon;  // of the columns
};

struct CatalogAnswer {
  std::vector<CatalogEntry> entries;  // by type, catalog, schema, name: tables first
  size_t answered = 0;                // databases
  // Databases that did not answer, with the reason.
  std::vector<std::pair<std::string, base::Error>> silent;
};

// One DuckDB connection: settings, temporary tables and the open transaction live here. One statement at a
// time; another while a stream of it is open is the caller's mistake (kFailedPrecondition). Interrupt from
// any thread.
class Connection {
 public:
  virtual ~Connection() = default;
  // Runs every statement of `sql` in order; the stream is that of the last one. Statements before the last
  // are run to their end first. A last statement that yields rows is truly streamed; others have run when
  // this returns. DDL and the like yield an empty result; INSERT, UPDATE and DELETE one BIGINT column
  // "Count". Empty text, text that isn't UTF-8, a statement outside the allow-list (kPermissionDenied),
  // DuckDB's own errors (its class decides the code; the message is DuckDB's, with position and hint).
  virtual base::Result<std::unique_ptr<ResultStream>> Execute(std::string_view sql,
                                                              Types types = Types::kCommon) = 0;
  // Runs one statement for each row of values, all in one transaction: the one that is open, or one of its
  // own. Rows that they yield come one after the other; for changes, "Count" is the sum. Columns are taken by
  // name where the statement names its parameters and the columns have those names, by position otherwise.
  // kInvalidArgument for values that don't fit or are damaged.
  virtual base::Result<std::unique_ptr<ResultStream>> ExecuteWith(std::string_view sql,
                                                                  const ParameterRows& values) = 0;
  // Execute, with the rows in chunks. A batch has at most `batch_chunks` of them.
  virtual base::Result<std::unique_ptr<ChunkStream>> ExecuteChunks(std::string_view sql, ChunkVersion version,
                                                                   uint64_t batch_chunks) = 0;
  // Runs an INSERT that reads kChunksFunction, on the rows of these serialized chunks, whose columns are all
  // alike; gives how many rows it says it has written. quack::CheckChunk must have let each of them in.
  // kInvalidArgument for any other statement.
  virtual base::Result<int64_t> InsertChunks(std::string_view sql,
                                             const std::vector<std::string_view>& chunks) = 0;
  // Plans the text and runs nothing; the same errors as Execute.
  virtual base::Result<Description> Describe(std::string_view sql, Types types = Types::kCommon) = 0;
  // Writes the rows into the target, all or none, and returns how many. Inside an open transaction a failure
  // leaves only ROLLBACK. Column names of the source are those of the table, in any order.
  virtual base::Result<int64_t> Ingest(const IngestTarget& target, RowSource& source) = 0;
  // Writes the source's rows as `change` says, all or none, and returns how many there were. With
  // `change.returned`, each batch of the source is written at once and answered with one batch. kAborted when
  // a row that is named is no longer there, or rows of the table may have moved since its identifier was
  // read. A failure inside an open transaction leaves only ROLLBACK.
  virtual base::Result<int64_t> Change(const TableChange& change, RowSource& source,
                                       const BatchSink& returned) = 0;
  // The SQL types of columns that a client has described. kInvalidArgument for types that DuckDB has not.
  virtual base::Result<std::vector<std::string>> TypeNames(const std::shared_ptr<arrow::Schema>& schema) = 0;
  // A database that does not answer costs its own part only.
  virtual base::Result<CatalogAnswer> Look(const CatalogQuestion& question) = 0;
  // A transaction that belongs to a handle: it is no state of the connection (HasState). kFailedPrecondition
  // when one is open.
  virtual base::Result<void> Begin() = 0;
  // Ends the open transaction, whoever began it. An error of a commit has rolled it back.
  virtual base::Result<void> End(bool commit) = 0;
  // Leaves the open transaction, if there is one, nothing but ROLLBACK: a part of what belongs together was
  // done in it, and the rest will not be.
  virtual base::Result<void> Spoil() = 0;
  // Percent of the statement that runs on another thread; negative when not known. Only after TrackProgress,
  // which costs a little time in each statement of the connection from then on.
  virtual double Progress() const = 0;
  virtual void TrackProgress() = 0;
  // Stops what runs on another thread; it returns kCancelled.
  virtual void Interrupt() = 0;
  virtual bool InTransaction() const = 0;
  // True once the connection holds state that another connection would not see: settings, temporary objects,
  // prepared statements, an open transaction that no handle owns.
  virtual bool HasState() const = 0;
};

class Engine;

// A DuckDB that is open, with the packaged scanners loaded, and is nobody's yet. It has no thread but the
// caller's, no connection and no random state, so that a process may hold one and fork: each child makes an
// engine of its copy.
class PreparedEngine {
 public:
  virtual ~PreparedEngine() = default;
  static base::Result<std::unique_ptr<PreparedEngine>> Open();

  // Does once, on another database that then goes, what each worker does first: code is loaded and memory
  // written once, before there are workers. Leaves no thread.
  static base::Result<void> Rehearse(const std::string& spill_dir);

  // Once; leaves nothing here. Starts threads.
  virtual base::Result<std::unique_ptr<Engine>> Start(const Limits& limits) = 0;
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

#include "worker/engine/result_stream.h"

#include <arrow/c/bridge.h>
#include <arrow/record_batch.h>
#include <arrow/type.h>

#include <algorithm>
#include <optional>
#include <thread>

#include "worker/engine/arrow_types.h"
#include "worker/engine/deep_stack.h"
#include "worker/engine/duckdb_engine.h"
#include "worker/engine/errors.h"

namespace pondpilot::worker::engine {
namespace {

using base::ErrorCode;
using base::Fail;
using base::Result;

std::unexpected<base::Error> ArrowFailure(const arrow::Status& status) {
  if (status.IsOutOfMemory()) {
    return Fail(ErrorCode::kResourceExhausted,
                "Out of Memory Error: a batch of the result does not fit into memory.");
  }
  return Fail(ErrorCode::kInternal, "The result can't be represented in Arrow: " + status.message());
}

// How long to look whether other threads are done with the tasks that are left.
constexpr std::chrono::microseconds kOthersTime(300);

// Runs tasks until there is a batch, the end or an error; false when there is none by `until`, or the other
// threads take their time.
bool RunTasks(DuckDbStream::Stream& stream, std::chrono::steady_clock::time_point until) {
  std::optional<std::chrono::steady_clock::time_point> waits_until;
  for (;;) {
    const auto state = stream.ExecuteTask();
    if (duckdb::IsObservable(state)) return true;
    const auto now = std::chrono::steady_clock::now();
    if (now >= until) return false;
    if (state == duckdb::QueryResultState::NOT_READY) {
      waits_until.reset();
      continue;
    }
    if (!waits_until) waits_until = now + kOthersTime;
    if (now >= *waits_until) return false;
    std::this_thread::yield();
  }
}

// Does it read databases other than DuckDB's own, which may keep a thread waiting?
bool ReadsAttached(const DuckDbStream::Stream& stream) {
  if (!stream.MetadataAvailable()) return true;
  return std::ranges::any_of(stream.GetStatementProperties().read_databases, [](const auto& read) {
    return !std::ranges::contains(kOwnCatalogs, read.first.GetIdentifierName());
  });
}

}  // namespace

Result<std::unique_ptr<DuckDbStream>> DuckDbStream::Open(StreamSource source,
                                                         duckdb::unique_ptr<duckdb::QueryResult> submitted,
                                                         Rows rows, Types types) {
  std::unique_ptr<DuckDbStream> out(new DuckDbStream());
  out->types_ = types;
  out->source_ = std::move(source);
  try {
    out->stream_ = std::make_unique<Stream>(std::move(submitted));
    out->open_ = true;
    // A statement that expands into several knows its columns only once the last of them is bound: run up to
    // there.
    if (!out->stream_->MetadataAvailable()) {
      auto first = out->Fetch();
      if (!first) return std::unexpected(first.error());
      if (*first) out->kept_.push_back(std::move(*first));
    }
    if (out->open_) out->reads_attached_ = ReadsAttached(*out->stream_);  // it may have ended by then
    if (out->schema_ == nullptr) {
      if (const auto read = out->ReadSchema(); !read) return std::unexpected(read.error());
    }
    if (rows == Rows::kForgotten) out->kept_.clear();
    while (rows != Rows::kAsRead && out->open_) {
      auto batch = out->Fetch();
      if (!batch) return std::unexpected(batch.error());
      if (*batch && rows == Rows::kKept) out->kept_.push_back(std::move(*batch));
    }
  } catch (const std::exception& thrown) {
    return std::unexpected(ToError(thrown));
  }
  return out;
}

DuckDbStream::~DuckDbStream() {
  if (!open()) return;
  // Tasks on other threads may wait for a server: closing waits for them.
  const CallGate::Inside inside(*source_.gate);
  Cancel();
  OnDeepStackOrOwn([this] { Close(); });
}

bool DuckDbStream::open() const {
  const std::lock_guard lock(mutex_);
  return open_;
}

void DuckDbStream::Close() {
  {
    const std::lock_guard lock(mutex_);
    open_ = false;
  }
  stream_.reset();
}

void DuckDbStream::Cancel() {
  cancelled_.store(true);
  const std::lock_guard lock(mutex_);
  if (!open_) return;
  source_.connection->Interrupt();
  source_.engine->follow_up().Watch(source_.gate, source_.connection);
}

Result<void> DuckDbStream::ReadSchema() {
  // The format's state owns its schema; a type tree of our own is imported from a fresh export of the same.
  const auto& state = stream_->FormatState();
  duckdb::ArrowSchemaWrapper exported;
  auto properties = state.Properties();
  duckdb::ArrowConverter::ToArrowSchema(&exported.arrow_schema, state.Types(),
                                        duckdb::IdentifiersToStrings(stream_->GetNames()), properties);
  auto native = arrow::ImportSchema(&exported.arrow_schema);
  if (!native.ok()) return ArrowFailure(native.status());
  native_schema_ = std::move(*native);
  schema_ = ClientSchema(native_schema_, state.Types(), types_);
  convert_ = !schema_->Equals(*native_schema_, false);
  check_range_ = NeedRangeCheck(state.Types());
  return {};
}

Result<std::shared_ptr<arrow::RecordBatch>> DuckDbStream::Fetch() {
  try {
    // What Advance has met is not met again.
    auto array = stream_->HasError() ? nullptr : stream_->Fetch();
    if (!array) {
      const bool failed = stream_->HasError();
      base::Error error = failed ? ToError(stream_->GetErrorObject()) : base::Error{};
      if (!failed && schema_ == nullptr) {
        if (const auto read = ReadSchema(); !read) return std::unexpected(read.error());
      }
      Close();
      if (failed) return std::unexpected(std::move(error));
      return nullptr;
    }
    if (schema_ == nullptr) {
      if (const auto read = ReadSchema(); !read) return std::unexpected(read.error());
    }
    auto batch = arrow::ImportRecordBatch(&array->arrow_array, native_schema_);
    if (batch.ok() && check_range_) {
      if (const auto fits = CheckRange(**batch, stream_->FormatState().Types()); !fits.ok()) {
        Close();
        return Fail(ErrorCode::kInvalidArgument, fits.message());
      }
    }
    if (batch.ok() && convert_) batch = ForClient(*batch, schema_);
    if (!batch.ok()) {
      Close();
      return ArrowFailure(batch.status());
    }
    return std::move(*batch);
  } catch (const std::exception& thrown) {
    Close();
    return std::unexpected(ToError(thrown));
  }
}

std::shared_ptr<arrow::RecordBatch> DuckDbStream::NextKept() {
  if (kept_.empty()) return nullptr;
  auto batch = std::move(kept_.front());
  kept_.pop_front();
  return batch;
}

bool DuckDbStream::Advance(std::chrono::steady_clock::time_point until) {
  if (cancelled_.load() || !kept_.empty() || !open()) return true;
  if (reads_attached_) return false;
  const CallGate::Inside inside(*source_.gate);
  bool ready = false;
  const bool ran = OnDeepStack([&] {
    try {
      ready = RunTasks(*stream_, until);
    } catch (const std::exception& thrown) {
      stream_->SetError(duckdb::ErrorData(thrown));
      ready = true;  // Next tells
    }
  });
  return ran && ready;
}

Result<std::shared_ptr<arrow::RecordBatch>> DuckDbStream::Next() {
  const CallGate::Inside inside(*source_.gate);
  if (cancelled_.load()) {
    if (open()) OnDeepStackOrOwn([this] { Close(); });
    return Fail(ErrorCode::kCancelled, "The statement was cancelled.");
  }
  if (auto kept = NextKept()) return kept;
  if (!open()) return nullptr;
  Result<std::shared_ptr<arrow::RecordBatch>> batch;
  if (!OnDeepStack([&] { batch = Fetch(); })) batch = std::unexpected(NoRoomToRun());
  if (!batch) source_.engine->NoteError(batch.error());
  // What a driver says about a connection that was closed to end the call is not what happened to the caller.
  if (!batch && cancelled_.load()) return Fail(ErrorCode::kCancelled, "The statement was cancelled.");
  return batch;
}

}  // namespace pondpilot::worker::engine

#include "worker/flight/query_door.h"

#include <arrow/array.h>
#include <arrow/type.h>

#include <chrono>

#include "base/clock.h"
#include "contract/names.h"
#include "worker/flight/result_reader.h"
#include "worker/flight/status.h"

namespace pondpilot::worker::flight {
namespace {

namespace fl = arrow::flight;

// How long a statement waits for its session's connection.
constexpr std::chrono::seconds kConnectionWait(30);

session::Caller CallerOf(const fl::ServerCallContext& context) {
  session::Caller caller;
  const auto& headers = context.incoming_headers();
  if (const auto found = headers.find(contract::kConnectionHeader); found != headers.end()) {
    caller.connection_name = std::string(found->second);
  }
  caller.gone = [&context] { return context.is_cancelled(); };
  caller.deadline = base::Clock::System().Now() + kConnectionWait;
  return caller;
}

// A stream of record batches during which a client that goes away stops the statement.
class WatchedStream final : public fl::FlightDataStream {
 public:
  WatchedStream(std::shared_ptr<ResultReader> reader, session::CallWatch& watch,
                const fl::ServerCallContext& context)
      : reader_(std::move(reader)),
        batches_(reader_),
        guard_(
            watch, [&context] { return context.is_cancelled(); }, [this] { reader_->stream().Cancel(); }) {}

  std::shared_ptr<arrow::Schema> schema() override { return batches_.schema(); }
  arrow::Result<fl::FlightPayload> GetSchemaPayload() override { return batches_.GetSchemaPayload(); }
  arrow::Result<fl::FlightPayload> Next() override { return batches_.Next(); }

 private:
  std::shared_ptr<ResultReader> reader_;
  fl::RecordBatchStream batches_;
  session::CallWatch::Guard guard_;
};

}  // namespace

arrow::Result<std::shared_ptr<session::OpenResult>> QueryDoor::Execute(const fl::ServerCallContext& context,
                                                                        const std::string& sql) {
  if (sql.size() > kMaxSqlBytes) {
    return arrow::Status::Invalid("The SQL text has ", sql.size(), " bytes; ", kMaxSqlBytes,
                                  " are allowed. Load data by ingest or in parts.");
  }
  auto stream = runner_.Execute(CallerOf(context), sql);
  if (!stream) return ToArrowStatus(stream.error());
  return std::move(*stream);
}

arrow::Result<std::unique_ptr<fl::FlightInfo>> QueryDoor::GetInfo(
    const fl::ServerCallContext& context, const std::string& sql, const fl::FlightDescriptor& descriptor,
    const std::function<arrow::Result<std::string>(const std::string&)>& make_ticket) {
  ARROW_ASSIGN_OR_RAISE(auto stream, Execute(context, sql));
  const auto schema = stream->schema();
  ARROW_ASSIGN_OR_RAISE(std::string ticket, make_ticket(runner_.tickets().Put(std::move(stream))));
  // No location: the result is where the client already is.
  std::vector<fl::FlightEndpoint> endpoints{{fl::Ticket{std::move(ticket)}, {}, std::nullopt, ""}};
  ARROW_ASSIGN_OR_RAISE(auto info, fl::FlightInfo::Make(*schema, descriptor, endpoints, -1, -1, false));
  return std::make_unique<fl::FlightInfo>(std::move(info));
}

arrow::Result<std::unique_ptr<fl::SchemaResult>> QueryDoor::GetSchema(const fl::ServerCallContext& context,
                                                                      const std::string& sql) {
  ARROW_ASSIGN_OR_RAISE(auto stream, Execute(context, sql));
  return fl::SchemaResult::Make(*stream->schema());
}

arrow::Result<std::unique_ptr<fl::FlightDataStream>> QueryDoor::Get(const fl::ServerCallContext& context,
                                                                    const std::string& handle) {
  auto stream = runner_.tickets().Take(handle);
  if (!stream) return ToArrowStatus(stream.error());
  return std::make_unique<WatchedStream>(std::make_shared<ResultReader>(std::move(*stream)), runner_.watch(),
                                         context);
}

arrow::Result<int64_t> QueryDoor::Update(const fl::ServerCallContext& context, const std::string& sql) {
  ARROW_ASSIGN_OR_RAISE(auto stream, Execute(context, sql));
  const session::CallWatch::Guard guard(
      runner_.watch(), [&context] { return context.is_cancelled(); }, [&] { stream->Cancel(); });
  int64_t changed = -1;
  const bool counts = stream->schema()->num_fields() == 1 && stream->schema()->field(0)->name() == "Count" &&
                      stream->schema()->field(0)->type()->id() == arrow::Type::INT64;
  for (;;) {
    auto batch = stream->Next();
    if (!batch) return ToArrowStatus(batch.error());
    if (!*batch) return changed;
    if (counts && (*batch)->num_rows() == 1) {
      changed = static_cast<const arrow::Int64Array&>(*(*batch)->column(0)).Value(0);
    }
  }
}

}  // namespace pondpilot::worker::flight

#include "worker/flight/query_door.h"

#include <arrow/array.h>
#include <arrow/type.h>
#include <arrow/util/key_value_metadata.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <optional>
#include <utility>

#include "contract/control.pb.h"
#include "contract/names.h"
#include "worker/flight/caller.h"
#include "worker/flight/early_result.h"
#include "worker/flight/result_reader.h"
#include "worker/flight/status.h"

namespace pondpilot::worker::flight {
namespace {

namespace fl = arrow::flight;

// Of a result in trailers, which HTTP/2 does not bound by flow control.
constexpr size_t kMaxEarlyBytes = 4096;

base::Error TooLong(const std::string& sql) {
  return {base::ErrorCode::kInvalidArgument,
          "The SQL text has " + std::to_string(sql.size()) + " bytes; " +
              std::to_string(QueryDoor::kMaxSqlBytes) + " are allowed. Load the data in parts, or by ingest.",
          "",
          {}};
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

// What the proxy says in a header; nullopt when it says nothing.
template <typename T>
std::optional<T> NumberIn(const fl::ServerCallContext& context, const char* header) {
  const auto& headers = context.incoming_headers();
  const auto found = headers.find(header);
  if (found == headers.end()) return std::nullopt;
  const std::string_view text = found->second;
  T number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size() ? std::optional(number) : std::nullopt;
}

// How large a result the proxy would take at once; 0 when it asks for none.
size_t EarlyBytesWanted(const fl::ServerCallContext& context) {
  return std::min(NumberIn<size_t>(context, contract::kEarlyResultHeader).value_or(0), kMaxEarlyBytes);
}

void SendEarly(const fl::ServerCallContext& context, const std::string& ticket,
               std::vector<std::string> messages) {
  control::v1::EarlyResult result;
  result.set_ticket(ticket);
  for (std::string& message : messages) result.add_messages(std::move(message));
  context.AddTrailer(contract::kEarlyResultTrailer, result.SerializeAsString());
}

}  // namespace

std::shared_ptr<arrow::Schema> AsStreamed(const arrow::Schema& described) {
  arrow::FieldVector fields = described.fields();
  for (auto& field : fields) {
    if (!field->HasMetadata()) continue;
    auto rest = std::make_shared<arrow::KeyValueMetadata>();
    for (const auto& [key, value] : field->metadata()->sorted_pairs()) {
      if (!key.starts_with("ARROW:FLIGHT:SQL:")) rest->Append(key, value);
    }
    field = rest->size() > 0 ? field->WithMetadata(std::move(rest)) : field->RemoveMetadata();
  }
  return arrow::schema(std::move(fields), described.metadata());
}

arrow::Result<std::shared_ptr<session::OpenResult>> QueryDoor::Execute(const session::Caller& caller,
                                                                       const session::Statement& statement) {
  auto stream = RunFor(caller, statement);
  if (!stream) return ToArrowStatus(stream.error());
  return std::move(*stream);
}

base::Result<std::shared_ptr<session::OpenResult>> QueryDoor::RunFor(const session::Caller& caller,
                                                                     const session::Statement& statement) {
  if (statement.sql.size() > kMaxSqlBytes) return std::unexpected(TooLong(statement.sql));
  return statement.values ? runner_.ExecuteWith(caller, statement.sql, *statement.values)
                          : runner_.Execute(caller, statement.sql);
}

arrow::Result<QueryDoor::Info> QueryDoor::GetInfo(const Context& context, const session::Statement& statement,
                                                  const fl::FlightDescriptor& descriptor,
                                                  const MakeTicket& make_ticket) {
  session::Caller caller = CallerOf(context, statement.transaction);
  caller.first_rows_wait = kFirstRowsWait;
  if (const auto left = NumberIn<int64_t>(context, contract::kTimeLeftHeader)) {
    caller.first_rows_deadline = base::Clock::System().Now() + std::chrono::milliseconds(*left);
  }
  ARROW_ASSIGN_OR_RAISE(auto stream, Execute(caller, statement));
  return InfoOf(context, std::move(stream), descriptor, make_ticket);
}

arrow::Result<QueryDoor::Info> QueryDoor::InfoOf(const Context& context,
                                                 std::shared_ptr<session::OpenResult> result,
                                                 const fl::FlightDescriptor& descriptor,
                                                 const MakeTicket& make_ticket) {
  const auto schema = result->schema();
  std::optional<std::vector<std::string>> early;
  if (const size_t wanted = EarlyBytesWanted(context); wanted > 0) {
    ARROW_ASSIGN_OR_RAISE(early, EarlyMessages(*result, wanted));
  }
  const std::string handle =
      early ? session::TicketStore::NewTicket() : runner_.tickets().Put(std::move(result));
  ARROW_ASSIGN_OR_RAISE(std::string ticket, make_ticket(handle));
  if (early) SendEarly(context, ticket, std::move(*early));
  // No location: the result is where the client already is.
  std::vector<fl::FlightEndpoint> endpoints{{fl::Ticket{std::move(ticket)}, {}, std::nullopt, ""}};
  ARROW_ASSIGN_OR_RAISE(auto info, fl::FlightInfo::Make(*schema, descriptor, endpoints, -1, -1, false));
  return std::make_unique<fl::FlightInfo>(std::move(info));
}

arrow::Result<engine::Description> QueryDoor::Describe(const Context& context,
                                                       const session::Statement& statement) {
  return DescribeFor(CallerOf(context, statement.transaction), statement.sql);
}

arrow::Result<engine::Description> QueryDoor::DescribeFor(const session::Caller& caller,
                                                          const std::string& sql) {
  if (sql.size() > kMaxSqlBytes) return ToArrowStatus(TooLong(sql));
  auto description = runner_.Describe(caller, sql);
  if (!description) return ToArrowStatus(description.error());
  return std::move(*description);
}

arrow::Result<std::unique_ptr<fl::SchemaResult>> QueryDoor::GetSchema(const Context& context,
                                                                      const session::Statement& statement) {
  ARROW_ASSIGN_OR_RAISE(const auto description, Describe(context, statement));
  if (description.rows == nullptr) {
    return arrow::Status::Invalid(
        "The schema of this text is known only when it runs, which GetSchema does not do: it is not one "
        "query. Use GetFlightInfo.");
  }
  return fl::SchemaResult::Make(*AsStreamed(*description.rows));
}

arrow::Result<QueryDoor::Stream> QueryDoor::Run(const Context& context, const session::Statement& statement) {
  ARROW_ASSIGN_OR_RAISE(auto stream, Execute(CallerOf(context, statement.transaction), statement));
  return std::make_unique<WatchedStream>(std::make_shared<ResultReader>(std::move(stream)), runner_.watch(),
                                         context);
}

arrow::Result<QueryDoor::Stream> QueryDoor::Get(const Context& context, const std::string& handle) {
  auto stream = runner_.tickets().Take(handle);
  if (!stream) return ToArrowStatus(stream.error());
  return std::make_unique<WatchedStream>(std::make_shared<ResultReader>(std::move(*stream)), runner_.watch(),
                                         context);
}

arrow::Result<int64_t> QueryDoor::Update(const Context& context, const session::Statement& statement) {
  return UpdateFor(context, CallerOf(context, statement.transaction), statement);
}

arrow::Result<int64_t> QueryDoor::UpdateFor(const Context& context, const session::Caller& caller,
                                            const session::Statement& statement) {
  ARROW_ASSIGN_OR_RAISE(auto stream, Execute(caller, statement));
  const session::CallWatch::Guard guard(
      runner_.watch(), [&context] { return context.is_cancelled(); }, [&] { stream->Cancel(); });
  const bool counts = stream->schema()->num_fields() == 1 && stream->schema()->field(0)->name() == "Count" &&
                      stream->schema()->field(0)->type()->id() == arrow::Type::INT64;
  int64_t changed = 0;
  for (;;) {
    auto batch = stream->Next();
    if (!batch) return ToArrowStatus(batch.error());
    if (!*batch) return changed;
    if ((*batch)->num_rows() == 0) continue;
    changed = counts ? static_cast<const arrow::Int64Array&>(*(*batch)->column(0)).Value(0) : -1;
  }
}

}  // namespace pondpilot::worker::flight

#include "worker/flight/query_door.h"

#include <arrow/array.h>
#include <arrow/type.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <optional>
#include <utility>

#include "base/clock.h"
#include "base/text.h"
#include "contract/control.pb.h"
#include "contract/names.h"
#include "worker/flight/early_result.h"
#include "worker/flight/result_reader.h"
#include "worker/flight/statement_text.h"
#include "worker/flight/status.h"

namespace pondpilot::worker::flight {
namespace {

namespace fl = arrow::flight;

// How long a statement waits for its session's connection.
constexpr std::chrono::seconds kConnectionWait(30);

// Of a result in trailers, which HTTP/2 does not bound by flow control.
constexpr size_t kMaxEarlyBytes = 4096;

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

arrow::Status TooLong(const std::string& sql) {
  return arrow::Status::Invalid("The SQL text has ", sql.size(), " bytes; ", QueryDoor::kMaxSqlBytes,
                                " are allowed. Load the data in parts.");
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

// How large a result the proxy would take at once; 0 when it asks for none.
size_t EarlyBytesWanted(const fl::ServerCallContext& context) {
  const auto& headers = context.incoming_headers();
  const auto found = headers.find(contract::kEarlyResultHeader);
  size_t bytes = 0;
  if (found == headers.end()) return bytes;
  const std::string_view text = found->second;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), bytes);
  return error == std::errc() ? std::min(bytes, kMaxEarlyBytes) : 0;
}

void SendEarly(const fl::ServerCallContext& context, const std::string& ticket,
               std::vector<std::string> messages) {
  control::v1::EarlyResult result;
  result.set_ticket(ticket);
  for (std::string& message : messages) result.add_messages(std::move(message));
  context.AddTrailer(contract::kEarlyResultTrailer, result.SerializeAsString());
}

// DuckDB's "LINE 2: …" counts a line that the caller did not write.
std::string OneLineUp(const std::string& message) {
  constexpr std::string_view kMark = "LINE ";
  const size_t at = message.find(kMark);
  if (at == std::string::npos) return message;
  size_t line = 0;
  const char* digits = message.data() + at + kMark.size();
  const auto [end, error] = std::from_chars(digits, message.data() + message.size(), line);
  if (error != std::errc() || line < 2) return message;
  return message.substr(0, at) + std::string(kMark) + std::to_string(line - 1) + std::string(end);
}

}  // namespace

arrow::Result<std::shared_ptr<session::OpenResult>> QueryDoor::Execute(const fl::ServerCallContext& context,
                                                                       const std::string& sql) {
  if (sql.size() > kMaxSqlBytes) return TooLong(sql);
  auto stream = runner_.Execute(CallerOf(context), sql);
  if (!stream) return ToArrowStatus(stream.error());
  return std::move(*stream);
}

arrow::Result<std::unique_ptr<fl::FlightInfo>> QueryDoor::GetInfo(
    const fl::ServerCallContext& context, const std::string& sql, const fl::FlightDescriptor& descriptor,
    const std::function<arrow::Result<std::string>(const std::string&)>& make_ticket) {
  ARROW_ASSIGN_OR_RAISE(auto stream, Execute(context, sql));
  const auto schema = stream->schema();
  std::optional<std::vector<std::string>> early;
  if (const size_t wanted = EarlyBytesWanted(context); wanted > 0) {
    ARROW_ASSIGN_OR_RAISE(early, EarlyMessages(*stream, wanted));
  }
  const std::string handle =
      early ? session::TicketStore::NewTicket() : runner_.tickets().Put(std::move(stream));
  ARROW_ASSIGN_OR_RAISE(std::string ticket, make_ticket(handle));
  if (early) SendEarly(context, ticket, std::move(*early));
  // No location: the result is where the client already is.
  std::vector<fl::FlightEndpoint> endpoints{{fl::Ticket{std::move(ticket)}, {}, std::nullopt, ""}};
  ARROW_ASSIGN_OR_RAISE(auto info, fl::FlightInfo::Make(*schema, descriptor, endpoints, -1, -1, false));
  return std::make_unique<fl::FlightInfo>(std::move(info));
}

arrow::Result<std::shared_ptr<arrow::Schema>> QueryDoor::Describe(const fl::ServerCallContext& context,
                                                                  const std::string& sql) {
  if (sql.size() > kMaxSqlBytes) return TooLong(sql);
  if (!base::IsUtf8(sql)) return arrow::Status::Invalid("The SQL text is not valid UTF-8.");
  const StatementText text = LookAt(sql);
  if (text.statements == 0)
    return arrow::Status::Invalid("The SQL text is empty. Send a statement, for example SELECT 42.");
  if (!MayBeQuery(text)) return nullptr;
  // As a subquery it can't be anything but a query, and LIMIT 0 keeps it from computing. The line break ends
  // a comment.
  const std::string inner(text.first);
  auto stream = runner_.Execute(CallerOf(context), "SELECT * FROM (\n" + inner + "\n) LIMIT 0");
  if (!stream) {
    const bool about_the_text = stream.error().code == base::ErrorCode::kInvalidArgument;
    if (about_the_text && text.first_word == "with" && IsChange(context, inner)) return nullptr;
    base::Error error = stream.error();
    error.message = OneLineUp(error.message);
    return ToArrowStatus(error);
  }
  return WithOwnNames(context, inner, (*stream)->schema());
}

// WITH … INSERT and the like: EXPLAIN plans it and runs nothing, the subquery did not even parse.
bool QueryDoor::IsChange(const fl::ServerCallContext& context, const std::string& sql) {
  return runner_.Execute(CallerOf(context), "EXPLAIN " + sql).has_value();
}

// A subquery's columns are renamed where two have one name; DESCRIBE knows the names that the client will
// see.
arrow::Result<std::shared_ptr<arrow::Schema>> QueryDoor::WithOwnNames(const fl::ServerCallContext& context,
                                                                      const std::string& sql,
                                                                      std::shared_ptr<arrow::Schema> schema) {
  auto described = runner_.Execute(CallerOf(context), "DESCRIBE " + sql);
  if (!described) return schema;  // SHOW and DESCRIBE themselves, whose columns have names of their own
  arrow::FieldVector fields;
  for (;;) {
    auto batch = (*described)->Next();
    if (!batch) return ToArrowStatus(batch.error());
    if (!*batch) break;
    const auto names =
        std::dynamic_pointer_cast<arrow::StringArray>((*batch)->GetColumnByName("column_name"));
    if (names == nullptr) return schema;
    for (int64_t row = 0; row < names->length() && std::cmp_less(fields.size(), schema->num_fields());
         ++row) {
      fields.push_back(schema->field(static_cast<int>(fields.size()))->WithName(names->GetString(row)));
    }
  }
  if (std::cmp_not_equal(fields.size(), schema->num_fields())) return schema;
  return arrow::schema(std::move(fields), schema->metadata());
}

arrow::Result<std::unique_ptr<fl::SchemaResult>> QueryDoor::GetSchema(const fl::ServerCallContext& context,
                                                                      const std::string& sql) {
  ARROW_ASSIGN_OR_RAISE(const auto schema, Describe(context, sql));
  if (schema == nullptr) {
    return arrow::Status::Invalid(
        "The schema of this text is known only when it runs, which GetSchema does not do: it is not one "
        "query. Use GetFlightInfo.");
  }
  return fl::SchemaResult::Make(*schema);
}

arrow::Result<QueryDoor::Prepared> QueryDoor::Prepare(const fl::ServerCallContext& context,
                                                      const std::string& sql) {
  if (LookAt(sql).has_parameters) {
    return arrow::Status::Invalid(
        "Statements with parameters are not supported yet. Write the values into the SQL text.");
  }
  Prepared prepared;
  ARROW_ASSIGN_OR_RAISE(prepared.schema, Describe(context, sql));
  // What changes something has no rows to a client; a client sends it as an update for that reason.
  if (prepared.schema == nullptr) prepared.schema = arrow::schema({});
  prepared.handle = runner_.prepared().Put(sql);
  return prepared;
}

arrow::Result<std::string> QueryDoor::PreparedText(const std::string& handle) {
  auto text = runner_.prepared().Get(handle);
  if (!text) return ToArrowStatus(text.error());
  return std::move(*text);
}

arrow::Status QueryDoor::ClosePrepared(const std::string& handle) {
  const auto closed = runner_.prepared().Close(handle);
  return closed ? arrow::Status::OK() : ToArrowStatus(closed.error());
}

bool QueryDoor::CloseSession(const fl::ServerCallContext& context) {
  return runner_.sessions().Close(CallerOf(context).connection_name);
}

arrow::Result<std::unique_ptr<fl::FlightDataStream>> QueryDoor::Run(const fl::ServerCallContext& context,
                                                                    const std::string& sql) {
  ARROW_ASSIGN_OR_RAISE(auto stream, Execute(context, sql));
  return std::make_unique<WatchedStream>(std::make_shared<ResultReader>(std::move(stream)), runner_.watch(),
                                         context);
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

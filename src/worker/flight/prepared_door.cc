#include "worker/flight/prepared_door.h"

#include <arrow/type.h>

#include <utility>

#include "worker/flight/caller.h"
#include "worker/flight/status.h"
#include "worker/flight/upload.h"

namespace pondpilot::worker::flight {

namespace fl = arrow::flight;
namespace sql = arrow::flight::sql;

arrow::Result<sql::ActionCreatePreparedStatementResult> PreparedDoor::Create(
    const Context& context, const sql::ActionCreatePreparedStatementRequest& request) {
  session::Statement statement{request.query, request.transaction_id, nullptr};
  ARROW_ASSIGN_OR_RAISE(auto description, queries_.Describe(context, statement));
  return sql::ActionCreatePreparedStatementResult{
      description.rows ? std::move(description.rows) : arrow::schema({}), std::move(description.parameters),
      queries_.runner().prepared().Put(SessionOf(context), std::move(statement))};
}

arrow::Status PreparedDoor::Close(const Context& context, const std::string& handle) {
  const auto closed = queries_.runner().prepared().Close(SessionOf(context), handle);
  return closed ? arrow::Status::OK() : ToArrowStatus(closed.error());
}

arrow::Result<session::Statement> PreparedDoor::Get(const Context& context, const std::string& handle) {
  auto statement = queries_.runner().prepared().Get(SessionOf(context), handle);
  if (!statement) return ToArrowStatus(statement.error());
  return std::move(*statement);
}

arrow::Status PreparedDoor::Bind(const Context& context, const std::string& handle,
                                 fl::FlightMessageReader& reader) {
  ARROW_RETURN_NOT_OK(Get(context, handle).status());
  auto& store = queries_.runner().prepared();
  auto values = ReadValues(context, reader, store.limits().bytes);
  if (!values) return ToArrowStatus(values.error());
  const auto bound = *values ? store.Bind(SessionOf(context), handle, (*values)->rows, (*values)->bytes)
                             : store.Bind(SessionOf(context), handle, nullptr, 0);
  return bound ? arrow::Status::OK() : ToArrowStatus(bound.error());
}

arrow::Result<int64_t> PreparedDoor::Update(const Context& context, const std::string& handle,
                                            fl::FlightMessageReader& reader) {
  ARROW_ASSIGN_OR_RAISE(auto statement, Get(context, handle));
  auto values = ReadValues(context, reader, queries_.runner().prepared().limits().bytes);
  if (!values) return ToArrowStatus(values.error());
  if (*values) statement.values = (*values)->rows;
  return queries_.Update(context, statement);
}

}  // namespace pondpilot::worker::flight

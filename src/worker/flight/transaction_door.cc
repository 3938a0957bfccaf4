#include "worker/flight/transaction_door.h"

#include <utility>

#include "worker/flight/caller.h"
#include "worker/flight/status.h"
#include "worker/flight/upload.h"

namespace pondpilot::worker::flight {
namespace {

namespace fl = arrow::flight;
namespace sql = arrow::flight::sql;
using engine::IngestTarget;

arrow::Result<IngestTarget> TargetOf(const sql::StatementIngest& command) {
  IngestTarget target{command.catalog, command.schema, command.table, command.temporary, {}, {}};
  // An empty name is what a client sends that has none.
  if (target.catalog && target.catalog->empty()) target.catalog.reset();
  if (target.schema && target.schema->empty()) target.schema.reset();
  switch (command.table_definition_options.if_not_exist) {
    case sql::TableDefinitionOptionsTableNotExistOption::kUnspecified:
    case sql::TableDefinitionOptionsTableNotExistOption::kCreate:
      target.if_missing = IngestTarget::IfMissing::kCreate;
      break;
    case sql::TableDefinitionOptionsTableNotExistOption::kFail:
      target.if_missing = IngestTarget::IfMissing::kFail;
      break;
    default:
      return arrow::Status::Invalid("if_not_exist has a value that is not known: create or fail.");
  }
  switch (command.table_definition_options.if_exists) {
    case sql::TableDefinitionOptionsTableExistsOption::kUnspecified:
    case sql::TableDefinitionOptionsTableExistsOption::kFail:
      target.if_there = IngestTarget::IfThere::kFail;
      break;
    case sql::TableDefinitionOptionsTableExistsOption::kAppend:
      target.if_there = IngestTarget::IfThere::kAppend;
      break;
    case sql::TableDefinitionOptionsTableExistsOption::kReplace:
      target.if_there = IngestTarget::IfThere::kReplace;
      break;
    default:
      return arrow::Status::Invalid("if_exists has a value that is not known: fail, append or replace.");
  }
  return target;
}

}  // namespace

arrow::Result<sql::ActionBeginTransactionResult> TransactionDoor::Begin(const Context& context) {
  auto handle = queries_.runner().Begin(CallerOf(context));
  if (!handle) return ToArrowStatus(handle.error());
  return sql::ActionBeginTransactionResult{std::move(*handle)};
}

arrow::Status TransactionDoor::End(const Context& context, const sql::ActionEndTransactionRequest& request) {
  if (request.transaction_id.empty()) {
    return arrow::Status::Invalid("EndTransaction needs the handle that BeginTransaction has returned.");
  }
  const bool commit = request.action == sql::ActionEndTransactionRequest::kCommit;
  const auto ended = queries_.runner().End(CallerOf(context, request.transaction_id), commit);
  return ended ? arrow::Status::OK() : ToArrowStatus(ended.error());
}

arrow::Result<int64_t> TransactionDoor::Ingest(const Context& context, const sql::StatementIngest& command,
                                               fl::FlightMessageReader& reader) {
  ARROW_ASSIGN_OR_RAISE(const IngestTarget target, TargetOf(command));
  auto upload = Upload::Open(context, reader);
  if (!upload) return ToArrowStatus(upload.error());
  const auto caller = JoiningCallerOf(context, command.transaction_id.value_or(""));
  auto rows = queries_.runner().Ingest(caller, target, **upload);
  if (!rows) return ToArrowStatus(rows.error());
  return *rows;
}

}  // namespace pondpilot::worker::flight

#include "worker/airport/exchange.h"

#include <arrow/buffer.h>
#include <arrow/record_batch.h>
#include <arrow/type.h>

#include <algorithm>
#include <string>

#include "worker/airport/headers.h"
#include "worker/flight/caller.h"
#include "worker/flight/status.h"
#include "worker/flight/upload.h"

namespace pondpilot::worker::airport {
namespace {

namespace fl = arrow::flight;
using engine::CatalogEntry;
using engine::TableChange;
using Kind = TableChange::Kind;

arrow::Result<Kind> KindOf(const std::string& operation) {
  if (operation == "insert") return Kind::kInsert;
  if (operation == "update") return Kind::kUpdate;
  if (operation == "delete") return Kind::kDelete;
  return arrow::Status::Invalid(
      "The header airport-operation must be insert, update or delete; table functions have no rows here.");
}

arrow::Status CheckWritable(const CatalogEntry& entry, Kind kind) {
  const std::string name = entry.catalog + "." + entry.schema + "." + entry.name;
  if (entry.is_view) return arrow::Status::Invalid(name, " is a view; rows are written to tables.");
  if (entry.details->read_only) {
    return arrow::Status::Invalid("The database \"", entry.catalog,
                                  "\" is attached read-only (read_only of duckdb.attached_databases).");
  }
  if (kind != Kind::kInsert && !entry.details->row_ids) {
    return arrow::Status::Invalid(
        name, " has no row identifiers, so its rows can't be changed or removed one by one over airport: ",
        entry.details->kind == "duckdb" ? "a column of its own is called rowid"
                                        : "it is in an attached database",
        ". Send the statement as SQL: SELECT * FROM airport_take_flight(location, 'UPDATE …').");
  }
  return arrow::Status::OK();
}

// What the client sends for which column of the table.
arrow::Result<std::vector<std::string>> WrittenColumns(const CatalogEntry& entry, Kind kind,
                                                       const arrow::Schema& sent) {
  std::vector<std::string> columns;
  if (kind == Kind::kDelete) return columns;
  const int count = sent.num_fields() - (kind == Kind::kUpdate ? 1 : 0);  // the last is rowid
  for (int i = 0; i < count; ++i) {
    const std::string& name = sent.field(i)->name();
    const auto column = std::ranges::find(entry.details->columns, name, &engine::ColumnDetails::name);
    if (column == entry.details->columns.end())
      return arrow::Status::Invalid("The table has no column \"", name.substr(0, 200), "\".");
    if (!column->generated) {
      columns.push_back(name);
    } else if (kind == Kind::kUpdate) {
      return arrow::Status::Invalid("The column \"", name.substr(0, 200), "\" is computed from others.");
    }
  }
  return columns;
}

// The columns that come back. For UPDATE the client takes them by position, as it has sent its own.
arrow::Result<std::shared_ptr<arrow::Schema>> AnswerSchema(const std::shared_ptr<arrow::Schema>& table,
                                                           Kind kind, const arrow::Schema& sent) {
  if (kind != Kind::kUpdate) return table;
  arrow::FieldVector fields;
  for (const auto& field : sent.fields()) {
    auto own = table->GetFieldByName(field->name());
    if (own == nullptr)
      return arrow::Status::Invalid("The table has no column \"", field->name().substr(0, 200), "\".");
    fields.push_back(std::move(own));
  }
  for (const auto& field : table->fields()) {
    if (sent.GetFieldIndex(field->name()) < 0) fields.push_back(field);
  }
  return arrow::schema(std::move(fields), table->metadata());
}

}  // namespace

arrow::Status Exchange::Serve(const Context& context, fl::FlightMessageReader& reader,
                              fl::FlightMessageWriter& writer) {
  ARROW_ASSIGN_OR_RAISE(const Kind kind, KindOf(HeaderOf(context, kOperationHeader)));
  const bool answers = HeaderOf(context, kReturnHeader) == "1";
  ARROW_ASSIGN_OR_RAISE(const auto table, TableOf(reader.descriptor()));
  ARROW_ASSIGN_OR_RAISE(const CatalogEntry entry, catalog_.Find(context, table));
  ARROW_RETURN_NOT_OK(CheckWritable(entry, kind));
  auto upload = flight::Upload::Open(context, reader);
  if (!upload) return flight::ToArrowStatus(upload.error());
  const arrow::Schema& sent = *(*upload)->schema();

  TableChange change;
  change.kind = kind;
  change.table = table;
  ARROW_ASSIGN_OR_RAISE(change.columns, WrittenColumns(entry, kind, sent));
  ARROW_ASSIGN_OR_RAISE(const auto schema, AnswerSchema(SchemaOf(entry), kind, sent));
  if (answers) change.returned = schema->field_names();
  // The client waits for the schema before it sends a row.
  ARROW_RETURN_NOT_OK(writer.Begin(schema));

  const auto send = [&](const std::shared_ptr<arrow::RecordBatch>& batch) -> base::Result<void> {
    const auto rows = arrow::RecordBatch::Make(schema, batch->num_rows(), batch->column_data());
    if (writer.WriteRecordBatch(*rows).ok()) return {};
    return base::Fail(base::ErrorCode::kCancelled, "The client has gone.");
  };
  auto changed = runner_.Change(flight::AloneCallerOf(context), change, **upload, send);
  if (!changed) return flight::ToArrowStatus(changed.error());
  return writer.WriteMetadata(
      arrow::Buffer::FromString(Pack(Message{{"total_changed", static_cast<uint64_t>(*changed)}})));
}

}  // namespace pondpilot::worker::airport

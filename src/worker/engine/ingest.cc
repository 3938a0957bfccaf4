#include "worker/engine/ingest.h"

#include <arrow/c/bridge.h>
#include <arrow/record_batch.h>
#include <arrow/type.h>
#include <arrow/util/byte_size.h>

#include <set>

#include "base/text.h"
#include "worker/engine/attach.h"
#include "worker/engine/connection.h"

namespace pondpilot::worker::engine {
namespace {

using base::ErrorCode;
using base::Fail;
using base::Result;

constexpr const char* kFunction = kIngestFunction;

// What a batch costs beside its buffers: a column of NULLs has none.
constexpr int64_t kBatchOverhead = 1024;

duckdb::unique_ptr<duckdb::FunctionData> BindIngest(duckdb::ClientContext& context,
                                                    duckdb::TableFunctionBindInput& input,
                                                    duckdb::vector<duckdb::LogicalType>& types,
                                                    duckdb::vector<duckdb::Identifier>& names) {
  if (dynamic_cast<BatchSource*>(input.ref.bind_info.get()) == nullptr) {
    throw duckdb::PermissionException(
        "%s serves Flight SQL's ingest only. Send rows with that (in Python: cursor.adbc_ingest).",
        std::string(kFunction));
  }
  return duckdb::ArrowTableFunction::ArrowScanBindDumb(context, input, types, names);
}

struct Place {
  std::string catalog;
  std::string schema;  // empty: the catalog has no default
  std::string table;

  std::string Sql() const {
    return SqlIdentifier(catalog) + "." + (schema.empty() ? "" : SqlIdentifier(schema) + ".") +
           SqlIdentifier(table);
  }
};

Result<void> CheckName(const char* what, const std::string& name) {
  constexpr size_t kMaxName = 1024;
  if (name.empty() || name.size() > kMaxName || name.contains('\0') || !base::IsUtf8(name)) {
    return Fail(ErrorCode::kInvalidArgument, std::string("The name of the ") + what +
                                                 " is empty, longer than 1024 bytes, or no UTF-8 text.");
  }
  return {};
}

Result<Place> FindPlace(duckdb::Connection& connection, const IngestTarget& target) {
  if (auto named = CheckName("table", target.table); !named) return std::unexpected(named.error());
  if (target.temporary) {
    if (target.catalog.value_or("temp") != "temp" || target.schema.value_or("main") != "main") {
      return Fail(ErrorCode::kInvalidArgument,
                  "A temporary table has no catalog or schema of its choice. Leave them out.");
    }
    return Place{"temp", "main", target.table};
  }
  auto& context = *connection.context;
  Place place{"", "", target.table};
  const auto session = connection.Query("SELECT current_database(), current_schema()");
  if (session->HasError()) return std::unexpected(ToError(session->GetErrorObject()));
  const auto chunk = session->Fetch();
  const std::string own_catalog = chunk->GetValue(0, 0).ToString();
  place.catalog = target.catalog.value_or(own_catalog);
  if (auto named = CheckName("catalog", place.catalog); !named) return std::unexpected(named.error());
  if (target.schema) {
    place.schema = *target.schema;
    if (auto named = CheckName("schema", place.schema); !named) return std::unexpected(named.error());
  } else if (place.catalog == own_catalog) {
    place.schema = chunk->GetValue(1, 0).ToString();
  } else {
    context.RunFunctionInTransaction([&] {
      const auto schema =
          duckdb::Catalog::GetCatalog(context, duckdb::Identifier(place.catalog)).GetDefaultSchema();
      if (schema) place.schema = schema->GetIdentifierName();
    });
  }
  return place;
}

// DuckDB's names know no case.
Result<void> CheckColumns(const arrow::Schema& schema) {
  if (schema.num_fields() == 0) {
    return Fail(ErrorCode::kInvalidArgument,
                "The rows have no columns. Send the schema of the rows with the command.");
  }
  std::set<std::string> seen;
  for (const auto& field : schema.fields()) {
    if (auto named = CheckName("column", field->name()); !named) return named;
    if (seen.insert(base::ToLowerAscii(field->name())).second) continue;
    return Fail(ErrorCode::kInvalidArgument,
                "Two columns have the name \"" + field->name() + "\" (upper and lower case are the same).");
  }
  return {};
}

std::string ColumnList(const arrow::Schema& schema) {
  std::string list;
  for (const auto& field : schema.fields()) list += (list.empty() ? "" : ", ") + SqlIdentifier(field->name());
  return list;
}

std::string CreateSql(duckdb::ClientContext& context, const IngestTarget& target, const Place& place,
                      const std::shared_ptr<arrow::Schema>& schema, bool replace) {
  ArrowInput input(context, schema);
  std::string columns;
  for (int i = 0; i < schema->num_fields(); ++i) {
    const auto& type = input.types()[static_cast<size_t>(i)];
    // A column of NULLs alone has no type that a table could have.
    const std::string name = type.id() == duckdb::LogicalTypeId::SQLNULL ? "INTEGER" : type.ToString();
    columns += (i == 0 ? "" : ", ") + SqlIdentifier(schema->field(i)->name()) + " " + name;
  }
  return std::string("CREATE ") + (replace ? "OR REPLACE " : "") + (target.temporary ? "TEMP " : "") +
         "TABLE " + place.Sql() + " (" + columns + ")";
}

}  // namespace

void BatchSource::GetSchema(ArrowSchema& schema) {
  if (const auto done = arrow::ExportSchema(*schema_, &schema); !done.ok())
    throw duckdb::InvalidInputException(done.message());
}

duckdb::unique_ptr<duckdb::ArrowArrayStreamWrapper> BatchSource::ProduceStream(
    duckdb::ArrowStreamParameters&) {
  auto stream = duckdb::make_uniq<duckdb::ArrowArrayStreamWrapper>();
  auto reader = arrow::RecordBatchReader::Make(batches_, schema_);
  auto done = reader.status();
  if (done.ok()) done = arrow::ExportRecordBatchReader(std::move(*reader), &stream->arrow_array_stream);
  if (!done.ok()) throw duckdb::InvalidInputException(done.message());
  return stream;
}

duckdb::TableFunctionRef& IngestFunctionOf(duckdb::SQLStatement& statement) {
  duckdb::TableRef* from = nullptr;
  switch (statement.type) {
    case duckdb::StatementType::UPDATE_STATEMENT:
      from = statement.Cast<duckdb::UpdateStatement>().node->from_table.get();
      break;
    case duckdb::StatementType::DELETE_STATEMENT:
      from = statement.Cast<duckdb::DeleteStatement>().node->using_clauses.at(0).get();
      break;
    default: {
      auto& select = statement.Cast<duckdb::InsertStatement>().node->select_statement;
      from = select->node->Cast<duckdb::SelectNode>().from_table.get();
    }
  }
  return from->Cast<duckdb::TableFunctionRef>();
}

void AddIngestFunction(duckdb::Connection& own) {
  own.context->RunFunctionInTransaction([&] {
    auto& catalog = duckdb::Catalog::GetSystemCatalog(*own.context);
    auto& entry = catalog.GetEntry<duckdb::TableFunctionCatalogEntry>(
        *own.context, duckdb::QualifiedName(duckdb::Identifier("system"), duckdb::Identifier("main"),
                                            duckdb::Identifier("arrow_scan_dumb")));
    entry.functions.ApplyToFunctions([&](duckdb::TableFunction& original) {
      duckdb::TableFunction function = original;
      function.name = duckdb::Identifier(kFunction);
      function.bind = &BindIngest;
      duckdb::CreateTableFunctionInfo info(std::move(function));
      info.internal = true;
      info.on_conflict = duckdb::OnCreateConflict::IGNORE_ON_CONFLICT;
      catalog.CreateTableFunction(*own.context, info);
    });
  });
}

// ---- DuckDbConnection

Result<std::unique_ptr<DuckDbStream>> DuckDbConnection::RunWrite(const std::string& sql,
                                                                 duckdb::shared_ptr<BatchSource> batches) {
  auto parsed = ParseOne(sql);
  if (!parsed) return std::unexpected(parsed.error());
  if (batches) IngestFunctionOf(**parsed).bind_info = std::move(batches);
  auto stream = RunOne(std::move(*parsed), true, Types::kDuckDb);
  if (stream && interrupted_.load()) return Fail(ErrorCode::kCancelled, "The statement was cancelled.");
  return stream;
}

Result<int64_t> DuckDbConnection::Write(const std::string& sql, duckdb::shared_ptr<BatchSource> batches) {
  auto stream = RunWrite(sql, std::move(batches));
  if (!stream) return std::unexpected(stream.error());
  return CountOf(**stream);
}

Result<int64_t> DuckDbConnection::AllOrNothing(const std::function<Result<int64_t>(bool& wrote)>& work) {
  const bool own_transaction = connection_->IsAutoCommit();
  if (own_transaction) {
    connection_->BeginTransaction();
    own_transaction_.store(true);
  }
  bool wrote = false;
  auto rows = [&]() -> Result<int64_t> {
    try {
      auto written = work(wrote);
      if (written && own_transaction) connection_->Commit();
      return written;
    } catch (const std::exception& thrown) {
      return std::unexpected(ToError(thrown));
    }
  }();
  if (rows) return rows;
  if (own_transaction) {
    if (!connection_->IsAutoCommit()) connection_->Rollback();
  } else if (wrote) {
    // There are no savepoints: what was written goes only with all that the transaction has done.
    SpoilTransaction();
    rows.error().message += " The open transaction holds a part of the rows and can only be rolled back.";
  }
  return rows;
}

Result<int64_t> DuckDbConnection::Ingest(const IngestTarget& target, RowSource& source) {
  return Call<int64_t>(target.catalog.value_or("") + " " + target.table, [&]() -> Result<int64_t> {
    if (auto columns = CheckColumns(*source.schema()); !columns) return std::unexpected(columns.error());
    auto schema = AcceptSchema(*connection_->context, source.schema());
    if (!schema) return std::unexpected(schema.error());
    auto rows = AllOrNothing([&](bool& wrote) { return IngestRows(target, source, *schema, wrote); });
    if (rows && (target.temporary || base::EqualsIgnoreCase(target.catalog.value_or(""), "temp")))
      has_state_.store(true);
    return rows;
  });
}

void DuckDbConnection::SpoilTransaction() {
  if (!connection_->HasActiveTransaction()) return;
  duckdb::ValidChecker::Invalidate(duckdb::MetaTransaction::Get(*connection_->context),
                                   "a load or a change of rows has failed in the middle");
}

Result<std::vector<std::shared_ptr<arrow::RecordBatch>>> DuckDbConnection::Gather(
    RowSource& source, const std::shared_ptr<arrow::Schema>& accepted, int64_t bytes) {
  std::vector<std::shared_ptr<arrow::RecordBatch>> window;
  for (int64_t gathered = 0; gathered < bytes;) {
    auto sent = source.Next();
    if (!sent) return std::unexpected(sent.error());
    if (interrupted_.load()) return Fail(ErrorCode::kCancelled, "The statement was cancelled.");
    if (*sent == nullptr) break;
    if ((*sent)->num_rows() == 0) continue;
    auto batch = AcceptBatch(*sent, accepted);
    if (!batch) return std::unexpected(batch.error());
    gathered += arrow::util::TotalBufferSize(**batch) + kBatchOverhead;
    window.push_back(std::move(*batch));
  }
  return window;
}

Result<int64_t> DuckDbConnection::IngestRows(const IngestTarget& target, RowSource& source,
                                             const std::shared_ptr<arrow::Schema>& schema, bool& wrote) {
  auto place = FindPlace(*connection_, target);
  if (!place) return std::unexpected(place.error());
  const bool there =
      connection_->TableInfo(duckdb::Identifier(place->catalog), duckdb::Identifier(place->schema),
                             duckdb::Identifier(place->table)) != nullptr;
  if (there && target.if_there == IngestTarget::IfThere::kFail) {
    return Fail(
        ErrorCode::kAlreadyExists,
        "The table " + place->Sql() + " exists already. Append to it, replace it, or choose another name.");
  }
  if (!there && target.if_missing == IngestTarget::IfMissing::kFail) {
    return Fail(ErrorCode::kNotFound, "The table " + place->Sql() + " does not exist. Create it first.");
  }
  const bool replace = there && target.if_there == IngestTarget::IfThere::kReplace;
  if (!there || replace) {
    const auto created = Write(CreateSql(*connection_->context, target, *place, schema, replace), nullptr);
    if (!created) return created;
    wrote = true;
  }
  const std::string columns = ColumnList(*schema);
  const std::string insert =
      "INSERT INTO " + place->Sql() + " (" + columns + ") SELECT * FROM system.main." + kFunction + "()";
  int64_t rows = 0;
  for (;;) {
    auto window = Gather(source, schema, kWindowBytes);
    if (!window) return std::unexpected(window.error());
    if (window->empty()) break;
    wrote = true;
    const auto written = Write(insert, duckdb::make_shared_ptr<BatchSource>(schema, std::move(*window)));
    if (!written) return written;
    rows += *written;
  }
  return rows;
}

}  // namespace pondpilot::worker::engine

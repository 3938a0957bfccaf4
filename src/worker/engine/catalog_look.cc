// What there is: tables, views, their columns and keys. Each database is asked apart, because DuckDB's own
// listing functions ask all of them and fail when one does not answer.
#include <arrow/type.h>

#include <algorithm>
#include <tuple>

#include "worker/engine/arrow_schema.h"
#include "worker/engine/connection.h"
#include "worker/engine/like.h"
#include "worker/engine/table_details.h"

namespace pondpilot::worker::engine {
namespace {

using base::Result;
using duckdb::CatalogType;

std::vector<std::string> Names(const duckdb::vector<duckdb::Identifier>& identifiers) {
  std::vector<std::string> names;
  for (const auto& identifier : identifiers) names.push_back(identifier.GetIdentifierName());
  return names;
}

void AddKeys(const duckdb::TableCatalogEntry& table, CatalogEntry& entry) {
  for (const auto& constraint : table.GetConstraints()) {
    if (constraint->type == duckdb::ConstraintType::UNIQUE) {
      const auto& unique = constraint->Cast<duckdb::UniqueConstraint>();
      if (!unique.IsPrimaryKey()) continue;
      if (unique.HasIndex()) {
        entry.primary_key = {table.GetColumns().GetColumn(unique.GetIndex()).Name().GetIdentifierName()};
      } else {
        entry.primary_key = Names(unique.GetColumnNames());
      }
    } else if (constraint->type == duckdb::ConstraintType::FOREIGN_KEY) {
      const auto& foreign = constraint->Cast<duckdb::ForeignKeyConstraint>();
      // The table that is pointed to knows of it as well.
      if (foreign.info.type == duckdb::ForeignKeyType::FK_TYPE_PRIMARY_KEY_TABLE) continue;
      const bool self = foreign.info.type == duckdb::ForeignKeyType::FK_TYPE_SELF_REFERENCE_TABLE;
      const std::string schema = foreign.info.schema.GetIdentifierName();
      entry.foreign_keys.push_back({self || schema.empty() ? entry.schema : schema,
                                    self ? entry.name : foreign.info.table.GetIdentifierName(),
                                    Names(foreign.fk_columns), Names(foreign.pk_columns)});
    }
  }
}

std::shared_ptr<arrow::Schema> Described(duckdb::ClientContext& context,
                                         const duckdb::vector<duckdb::LogicalType>& types,
                                         const duckdb::vector<duckdb::Identifier>& names, Types wanted) {
  auto schema = wanted == Types::kDuckDb ? OutgoingSchema(context, types, names, wanted)
                                         : DescribedSchema(context, types, names);
  return schema ? std::move(*schema) : nullptr;
}

// `schema` of a table's logical columns, with those that take no NULL marked.
std::shared_ptr<arrow::Schema> WithNullability(const std::shared_ptr<arrow::Schema>& schema,
                                               const duckdb::TableCatalogEntry& table,
                                               const std::vector<std::string>& primary_key) {
  arrow::FieldVector fields = schema->fields();
  for (const auto& constraint : table.GetConstraints()) {
    if (constraint->type != duckdb::ConstraintType::NOT_NULL) continue;
    auto& field = fields.at(constraint->Cast<duckdb::NotNullConstraint>().index.index);
    field = field->WithNullable(false);
  }
  for (auto& field : fields) {
    if (std::ranges::find(primary_key, field->name()) != primary_key.end())
      field = field->WithNullable(false);
  }
  return arrow::schema(std::move(fields), schema->metadata());
}

std::shared_ptr<arrow::Schema> ColumnsOf(duckdb::ClientContext& context,
                                         const duckdb::TableCatalogEntry& table,
                                         const std::vector<std::string>& primary_key, Types wanted) {
  duckdb::vector<duckdb::LogicalType> types;
  duckdb::vector<duckdb::Identifier> names;
  for (const auto& column : table.GetColumns().Logical()) {
    types.push_back(column.Type());
    names.push_back(column.Name());
  }
  const auto schema = Described(context, types, names, wanted);
  return schema ? WithNullability(schema, table, primary_key) : nullptr;
}

// nullptr for a view over something that is gone.
std::shared_ptr<arrow::Schema> ColumnsOf(duckdb::ClientContext& context, duckdb::ViewCatalogEntry& view,
                                         Types wanted) {
  try {
    view.BindView(context);
    const auto columns = view.GetColumnInfo();
    if (!columns) return nullptr;
    return Described(context, columns->types, columns->names, wanted);
  } catch (const std::exception&) {
    return nullptr;
  }
}

bool IsKnownTo15(const duckdb::LogicalType& type) {
  return !duckdb::TypeVisitor::Contains(type, [](const duckdb::LogicalType& one) {
    return one.id() == duckdb::LogicalTypeId::TIMESTAMP_TZ_NS || one.id() == duckdb::LogicalTypeId::TUPLE;
  });
}

bool Matches(const std::string& name, const std::optional<std::string>& exact,
             const std::optional<std::string>& pattern) {
  return (!exact || *exact == name) && (!pattern || IsLike(name, *pattern));
}

class Looker {
 public:
  Looker(duckdb::ClientContext& context, const CatalogQuestion& question, RowIds& row_ids,
         std::vector<CatalogEntry>& entries)
      : context_(context), question_(question), row_ids_(row_ids), entries_(entries) {}

  void At(duckdb::AttachedDatabase& database) {
    const duckdb::SchemaCatalogEntry* const by_default = DefaultSchemaOf(database.GetCatalog());
    std::vector<duckdb::reference<duckdb::SchemaCatalogEntry>> schemas;
    database.GetCatalog().ScanSchemas(
        context_, [&](duckdb::SchemaCatalogEntry& schema) { schemas.emplace_back(schema); });
    for (duckdb::SchemaCatalogEntry& schema : schemas) {
      if (!Matches(schema.name.GetIdentifierName(), question_.schema, question_.schema_pattern)) continue;
      if (question_.schemas) {
        // DuckDB's own main counts as internal in every database.
        if (schema.internal && schema.name != duckdb::Identifier::DefaultSchema()) continue;
        CatalogEntry entry;
        entry.catalog = database.GetName().GetIdentifierName();
        entry.schema = schema.name.GetIdentifierName();
        entry.in_default_schema = by_default != nullptr && by_default->name == schema.name;
        if (question_.details) entry.details = DetailsOf(schema);
        entries_.push_back(std::move(entry));
        continue;
      }
      // Tables and views stand in one set.
      std::vector<duckdb::reference<duckdb::CatalogEntry>> found;
      schema.Scan(context_, CatalogType::TABLE_ENTRY,
                  [&](duckdb::CatalogEntry& entry) { found.emplace_back(entry); });
      const bool in_default_schema = by_default != nullptr && by_default->name == schema.name;
      for (duckdb::CatalogEntry& entry : found) Add(database, schema, in_default_schema, entry);
    }
  }

 private:
  // MySQL's extension names "main", as DuckDB does for itself, and means the database that it is connected
  // to: what counts is which schema is found under the name. nullptr when there is none.
  const duckdb::SchemaCatalogEntry* DefaultSchemaOf(duckdb::Catalog& catalog) {
    const auto name = catalog.GetDefaultSchema();
    if (!name) return nullptr;
    return catalog.GetSchema(context_, *name, duckdb::OnEntryNotFound::RETURN_NULL).get();
  }

  void Add(duckdb::AttachedDatabase& database, const duckdb::SchemaCatalogEntry& schema,
           bool in_default_schema, duckdb::CatalogEntry& found) {
    const bool is_view = found.type == CatalogType::VIEW_ENTRY;
    if (!is_view && found.type != CatalogType::TABLE_ENTRY) return;
    if (found.internal || !(is_view ? question_.views : question_.tables)) return;
    if (!Matches(found.name.GetIdentifierName(), question_.name, question_.name_pattern)) return;
    CatalogEntry entry;
    entry.catalog = database.GetName().GetIdentifierName();
    entry.schema = schema.name.GetIdentifierName();
    entry.name = found.name.GetIdentifierName();
    entry.is_view = is_view;
    entry.in_default_schema = in_default_schema;
    if (question_.sql_columns && !is_view) {
      for (const auto& column : found.Cast<duckdb::TableCatalogEntry>().GetColumns().Logical()) {
        entry.sql_columns.push_back(
            {column.Name().GetIdentifierName(), column.Type().ToString(), IsKnownTo15(column.Type())});
      }
    }
    if (!is_view) AddKeys(found.Cast<duckdb::TableCatalogEntry>(), entry);
    if (question_.columns) {
      entry.columns = is_view ? ColumnsOf(context_, found.Cast<duckdb::ViewCatalogEntry>(), question_.types)
                              : ColumnsOf(context_, found.Cast<duckdb::TableCatalogEntry>(),
                                          entry.primary_key, question_.types);
    }
    if (question_.details) {
      entry.details = is_view ? DetailsOf(found.Cast<duckdb::ViewCatalogEntry>())
                              : DetailsOf(context_, found.Cast<duckdb::TableCatalogEntry>());
      if (question_.row_id_base && entry.details->row_ids)
        entry.details->row_id_base = row_ids_.BaseOf(found.Cast<duckdb::TableCatalogEntry>().GetStorage());
    }
    entries_.push_back(std::move(entry));
  }

  duckdb::ClientContext& context_;
  const CatalogQuestion& question_;
  RowIds& row_ids_;
  std::vector<CatalogEntry>& entries_;
};

}  // namespace

Result<CatalogAnswer> DuckDbConnection::Look(const CatalogQuestion& question) {
  return Call<CatalogAnswer>(
      question.must_exist ? question.catalog.value_or("") : "", [&]() -> Result<CatalogAnswer> {
        auto& context = *connection_->context;
        duckdb::vector<duckdb::shared_ptr<duckdb::AttachedDatabase>> databases;
        context.RunFunctionInTransaction(
            [&] { databases = duckdb::DatabaseManager::Get(context).GetDatabases(context); });
        CatalogAnswer answer;
        for (const auto& database : databases) {
          const std::string name = database->GetName().GetIdentifierName();
          // Temporary tables are listed to who names their catalog.
          const bool asked = question.catalog ? *question.catalog == name : !database->IsTemporary();
          if (database->IsSystem() || !asked) continue;
          if (interrupted_.load())
            return base::Fail(base::ErrorCode::kCancelled, "The statement was cancelled.");
          std::vector<CatalogEntry> entries;
          try {
            context.RunFunctionInTransaction(
                [&] { Looker(context, question, engine_.row_ids(), entries).At(*database); });
            std::ranges::move(entries, std::back_inserter(answer.entries));
            ++answer.answered;
          } catch (const std::exception& thrown) {
            answer.silent.emplace_back(name, ToError(thrown));
          }
        }
        if (question.must_exist && question.catalog && answer.answered == 0 && answer.silent.empty()) {
          return base::Fail(base::ErrorCode::kNotFound,
                            "There is no database \"" + question.catalog->substr(0, 200) + "\" here.");
        }
        std::ranges::sort(answer.entries, {}, [](const CatalogEntry& entry) {
          return std::tie(entry.is_view, entry.catalog, entry.schema, entry.name);
        });
        return answer;
      });
}

}  // namespace pondpilot::worker::engine

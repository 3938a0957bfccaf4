// Primary and foreign keys.
#include <arrow/api.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "worker/flight/catalog_door.h"

namespace pondpilot::worker::flight {
namespace {

namespace fl = arrow::flight;
using engine::CatalogEntry;
using fl::sql::SqlSchema;
using fl::sql::TableRef;

// JDBC's number for "NO ACTION", the only rule that DuckDB has.
constexpr uint8_t kNoAction = 3;

// `text` as a pattern that matches nothing else.
std::string Exactly(const std::string& text) {
  std::string pattern;
  for (const char c : text) {
    if (c == '%' || c == '_' || c == '\\') pattern += '\\';
    pattern += c;
  }
  return pattern;
}

bool Is(const TableRef& table, const CatalogEntry& entry) {
  return (!table.catalog || *table.catalog == entry.catalog) &&
         (!table.db_schema || *table.db_schema == entry.schema) && table.table == entry.name;
}

bool PointsTo(const TableRef& table, const CatalogEntry& from, const CatalogEntry::ForeignKey& key) {
  return (!table.catalog || *table.catalog == from.catalog) &&
         (!table.db_schema || *table.db_schema == key.schema) && table.table == key.table;
}

// Appends values to the columns of a schema of SqlSchema's: texts, and numbers of the two kinds that keys
// use.
class RowBuilder {
 public:
  static arrow::Result<RowBuilder> Make(const std::shared_ptr<arrow::Schema>& schema) {
    RowBuilder rows;
    rows.schema_ = schema;
    ARROW_ASSIGN_OR_RAISE(rows.builder_,
                          arrow::RecordBatchBuilder::Make(schema, arrow::default_memory_pool()));
    return rows;
  }
  // nullopt is NULL.
  arrow::Status Text(const std::optional<std::string>& text) {
    auto& builder = *builder_->GetFieldAs<arrow::StringBuilder>(column_++);
    return text ? builder.Append(*text) : builder.AppendNull();
  }
  arrow::Status Number(size_t number) {
    const int column = column_++;
    if (schema_->field(column)->type()->id() == arrow::Type::UINT8)
      return builder_->GetFieldAs<arrow::UInt8Builder>(column)->Append(static_cast<uint8_t>(number));
    return builder_->GetFieldAs<arrow::Int32Builder>(column)->Append(static_cast<int32_t>(number));
  }
  void EndRow() { column_ = 0; }
  arrow::Result<std::shared_ptr<arrow::RecordBatch>> Finish() { return builder_->Flush(); }

 private:
  std::shared_ptr<arrow::Schema> schema_;
  std::unique_ptr<arrow::RecordBatchBuilder> builder_;
  int column_ = 0;
};

struct ForeignKeyOf {
  const CatalogEntry* entry;
  const CatalogEntry::ForeignKey* key;
};

arrow::Result<std::shared_ptr<arrow::RecordBatch>> ForeignKeys(const std::shared_ptr<arrow::Schema>& schema,
                                                               const std::vector<ForeignKeyOf>& keys) {
  ARROW_ASSIGN_OR_RAISE(auto rows, RowBuilder::Make(schema));
  for (const auto& [entry, key] : keys) {
    for (size_t i = 0; i < key->columns.size() && i < key->referenced.size(); ++i) {
      ARROW_RETURN_NOT_OK(rows.Text(entry->catalog));
      ARROW_RETURN_NOT_OK(rows.Text(key->schema));
      ARROW_RETURN_NOT_OK(rows.Text(key->table));
      ARROW_RETURN_NOT_OK(rows.Text(key->referenced[i]));
      ARROW_RETURN_NOT_OK(rows.Text(entry->catalog));
      ARROW_RETURN_NOT_OK(rows.Text(entry->schema));
      ARROW_RETURN_NOT_OK(rows.Text(entry->name));
      ARROW_RETURN_NOT_OK(rows.Text(key->columns[i]));
      ARROW_RETURN_NOT_OK(rows.Number(i + 1));
      // DuckDB gives keys no names of their own.
      ARROW_RETURN_NOT_OK(rows.Text(std::nullopt));
      ARROW_RETURN_NOT_OK(rows.Text(std::nullopt));
      ARROW_RETURN_NOT_OK(rows.Number(kNoAction));
      ARROW_RETURN_NOT_OK(rows.Number(kNoAction));
      rows.EndRow();
    }
  }
  return rows.Finish();
}

engine::CatalogQuestion TablesOnly() {
  engine::CatalogQuestion question;
  question.views = false;
  return question;
}

}  // namespace

CatalogDoor::Rows CatalogDoor::PrimaryKeys(const Context& context, const TableRef& table) {
  engine::CatalogQuestion question = TablesOnly();
  question.catalog = table.catalog;
  if (table.db_schema) question.schema_pattern = Exactly(*table.db_schema);
  question.name_pattern = Exactly(table.table);
  ARROW_ASSIGN_OR_RAISE(const auto answer, Ask(context, question, "primary keys"));
  ARROW_ASSIGN_OR_RAISE(auto rows, RowBuilder::Make(SqlSchema::GetPrimaryKeysSchema()));
  for (const CatalogEntry& entry : answer.entries) {
    for (size_t i = 0; i < entry.primary_key.size(); ++i) {
      for (const std::string& text : {entry.catalog, entry.schema, entry.name, entry.primary_key[i]})
        ARROW_RETURN_NOT_OK(rows.Text(text));
      ARROW_RETURN_NOT_OK(rows.Number(i + 1));
      ARROW_RETURN_NOT_OK(rows.Text(std::nullopt));
      rows.EndRow();
    }
  }
  return rows.Finish();
}

CatalogDoor::Rows CatalogDoor::ExportedKeys(const Context& context, const TableRef& table) {
  engine::CatalogQuestion question = TablesOnly();
  question.catalog = table.catalog;
  ARROW_ASSIGN_OR_RAISE(const auto answer, Ask(context, question, "exported keys"));
  std::vector<ForeignKeyOf> keys;
  for (const CatalogEntry& entry : answer.entries) {
    for (const auto& key : entry.foreign_keys) {
      if (PointsTo(table, entry, key)) keys.push_back({&entry, &key});
    }
  }
  return ForeignKeys(SqlSchema::GetExportedKeysSchema(), keys);
}

CatalogDoor::Rows CatalogDoor::ImportedKeys(const Context& context, const TableRef& table) {
  engine::CatalogQuestion question = TablesOnly();
  question.catalog = table.catalog;
  question.name_pattern = Exactly(table.table);
  ARROW_ASSIGN_OR_RAISE(const auto answer, Ask(context, question, "imported keys"));
  std::vector<ForeignKeyOf> keys;
  for (const CatalogEntry& entry : answer.entries) {
    if (!Is(table, entry)) continue;
    for (const auto& key : entry.foreign_keys) keys.push_back({&entry, &key});
  }
  return ForeignKeys(SqlSchema::GetImportedKeysSchema(), keys);
}

CatalogDoor::Rows CatalogDoor::CrossReference(const Context& context, const TableRef& primary,
                                              const TableRef& foreign) {
  engine::CatalogQuestion question = TablesOnly();
  question.catalog = foreign.catalog;
  question.name_pattern = Exactly(foreign.table);
  ARROW_ASSIGN_OR_RAISE(const auto answer, Ask(context, question, "cross references"));
  std::vector<ForeignKeyOf> keys;
  for (const CatalogEntry& entry : answer.entries) {
    if (!Is(foreign, entry)) continue;
    for (const auto& key : entry.foreign_keys) {
      if (PointsTo(primary, entry, key)) keys.push_back({&entry, &key});
    }
  }
  return ForeignKeys(SqlSchema::GetCrossReferenceSchema(), keys);
}

}  // namespace pondpilot::worker::flight

#include "worker/documents/catalog_document.h"

#include <arrow/type.h>

#include <map>

#include "worker/documents/value_writer.h"

namespace pondpilot::worker::documents {
namespace {

using Tables = std::vector<const engine::CatalogEntry*>;

struct Database {
  std::string reason;  // why it can't be queried; empty when it can
  std::map<std::string, Tables> schemas;
};

void AppendName(std::string_view name, std::string& out) {
  out += R"({"name":)";
  AppendJsonString(name, out);
}

template <typename Items, typename Append>
void AppendList(const Items& items, std::string& out, const Append& append) {
  out += '[';
  bool first = true;
  for (const auto& item : items) {
    if (!first) out += ",\n";
    first = false;
    append(item);
  }
  out += ']';
}

void AppendTable(const engine::CatalogEntry& table, std::string& out) {
  AppendName(table.name, out);
  out += table.is_view ? R"(,"kind":"view","columns":)" : R"(,"kind":"table","columns":)";
  // A view over something that is gone has columns that nobody knows.
  if (table.columns == nullptr) {
    out += "null}";
    return;
  }
  AppendList(table.columns->fields(), out, [&out](const auto& field) {
    AppendName(field->name(), out);
    out += R"(,"type":)";
    AppendJsonString(SqlTypeName(*field), out);
    out += '}';
  });
  out += '}';
}

void AppendDatabase(const std::string& name, const Database& database, std::string& out) {
  AppendName(name, out);
  if (!database.reason.empty()) {
    out += R"(,"available":false,"reason":)";
    AppendJsonString(database.reason, out);
    out += '}';
    return;
  }
  out += R"(,"available":true,"schemas":)";
  AppendList(database.schemas, out, [&out](const auto& schema) {
    AppendName(schema.first, out);
    out += R"(,"tables":)";
    AppendList(schema.second, out, [&out](const auto* table) { AppendTable(*table, out); });
    out += '}';
  });
  out += '}';
}

}  // namespace

std::string CatalogDocument(const engine::CatalogAnswer& answer,
                            const std::vector<engine::AttachmentState>& attachments,
                            const std::string& only_database) {
  std::map<std::string, Database> databases;
  const auto wanted = [&](const std::string& name) { return only_database.empty() || name == only_database; };
  for (const auto& attachment : attachments) {
    if (!wanted(attachment.alias)) continue;
    databases[attachment.alias].reason = attachment.available ? "" : attachment.reason;
  }
  for (const auto& [name, error] : answer.silent) {
    if (wanted(name)) databases[name].reason = error.message;
  }
  for (const auto& entry : answer.entries) databases[entry.catalog].schemas[entry.schema].push_back(&entry);
  std::string out = R"({"databases":)";
  AppendList(databases, out,
             [&out](const auto& database) { AppendDatabase(database.first, database.second, out); });
  out += "}\n";
  return out;
}

}  // namespace pondpilot::worker::documents

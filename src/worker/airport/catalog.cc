#include "worker/airport/catalog.h"

#include <arrow/type.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <set>
#include <tuple>

#include "base/secret.h"
#include "base/text.h"
#include "worker/flight/caller.h"
#include "worker/flight/catalog_question.h"
#include "worker/flight/status.h"

namespace pondpilot::worker::airport {
namespace {

namespace fl = arrow::flight;
using engine::CatalogEntry;

engine::CatalogQuestion QuestionAbout(const std::string& catalog) {
  engine::CatalogQuestion question;
  if (!catalog.empty()) question.catalog = catalog;
  question.must_exist = true;
  question.details = true;
  question.types = engine::Types::kDuckDb;
  return question;
}

// A client has those of its own; temporary tables are of one connection.
bool IsServed(const CatalogEntry& entry) {
  return entry.schema != "information_schema" && entry.schema != "pg_catalog" && entry.catalog != "temp";
}

bool IsDefault(const SchemaName& name) { return name.schema == "main" || name.schema == "public"; }

}  // namespace

arrow::Result<std::vector<CatalogEntry>> Catalog::Schemas(const Context& context,
                                                          const std::string& catalog) {
  auto question = QuestionAbout(catalog);
  question.schemas = true;
  ARROW_ASSIGN_OR_RAISE(auto answer,
                        flight::AskCatalog(runner_, flight::AloneCallerOf(context), question, "schemas"));
  std::erase_if(answer.entries, [](const CatalogEntry& entry) { return !IsServed(entry); });
  return std::move(answer.entries);
}

arrow::Result<Catalog::Content> Catalog::Read(const Context& context, const std::string& catalog) {
  ARROW_ASSIGN_OR_RAISE(const auto schemas, Schemas(context, catalog));
  auto question = QuestionAbout(catalog);
  question.columns = true;
  ARROW_ASSIGN_OR_RAISE(auto answer,
                        flight::AskCatalog(runner_, flight::AloneCallerOf(context), question, "tables"));
  std::vector<std::pair<std::string, std::string>> real;
  std::map<std::pair<std::string, std::string>, std::string> comments;
  for (const CatalogEntry& schema : schemas) {
    real.emplace_back(schema.catalog, schema.schema);
    if (schema.details) comments[real.back()] = schema.details->comment;
  }
  Content content;
  content.schemas = Advertise(real, catalog.empty());
  for (const SchemaName& name : content.schemas)
    content.comments.push_back(comments[{name.catalog, name.schema}]);
  for (CatalogEntry& entry : answer.entries) {
    // A view over something that is gone has no columns to tell of.
    const bool known =
        IsServed(entry) && entry.details && entry.columns != nullptr && entry.columns->num_fields() > 0;
    if (known) content.entries.push_back(std::move(entry));
  }
  return content;
}

Message Catalog::VersionOf(const Content& content) {
  std::string all;
  for (size_t i = 0; i < content.schemas.size(); ++i) {
    const SchemaName& name = content.schemas[i];
    for (const std::string& part : {name.advertised, name.catalog, name.schema, content.comments[i]})
      all.append(part).append(1, '\0');
  }
  for (const CatalogEntry& entry : content.entries) all += Fingerprint(entry);
  const std::string digest = base::Sha256Hex(all).substr(0, 16);
  uint64_t version = 0;
  std::from_chars(digest.data(), digest.data() + digest.size(), version, 16);
  // Below what clients take for "no version".
  return Message{{"catalog_version", version >> 1}, {"is_fixed", false}};
}

arrow::Result<Message> Catalog::Version(const Context& context, const std::string& catalog) {
  ARROW_ASSIGN_OR_RAISE(const Content content, Read(context, catalog));
  return VersionOf(content);
}

arrow::Result<std::string> Catalog::List(const Context& context, const std::string& catalog) {
  ARROW_ASSIGN_OR_RAISE(const Content content, Read(context, catalog));
  std::map<std::pair<std::string, std::string>, std::vector<fl::FlightInfo>> infos;
  std::map<std::pair<std::string, std::string>, std::string> names;
  for (const SchemaName& name : content.schemas) names[{name.catalog, name.schema}] = name.advertised;
  for (const CatalogEntry& entry : content.entries) {
    const auto place = std::make_pair(entry.catalog, entry.schema);
    const auto name = names.find(place);
    if (name == names.end()) continue;  // made in between
    ARROW_ASSIGN_OR_RAISE(auto info, InfoOf(entry, catalog, name->second));
    infos[place].push_back(std::move(info));
  }
  Message schemas = Message::array();
  bool has_default = false;
  for (size_t i = 0; i < content.schemas.size(); ++i) {
    const SchemaName& name = content.schemas[i];
    ARROW_ASSIGN_OR_RAISE(Message contents, ContentsOf(infos[{name.catalog, name.schema}]));
    const bool is_default = !has_default && !catalog.empty() && IsDefault(name);
    has_default = has_default || is_default;
    schemas.push_back(Message{{"name", name.advertised},
                              {"description", content.comments[i]},
                              {"tags", Message::object()},
                              {"contents", std::move(contents)},
                              {"is_default", is_default}});
  }
  return Compress(Message{{"contents", {{"sha256", ""}, {"url", nullptr}, {"serialized", nullptr}}},
                          {"schemas", std::move(schemas)},
                          {"version_info", VersionOf(content)}});
}

arrow::Result<CatalogEntry> Catalog::Find(const Context& context, const engine::TableName& table) {
  return FindOne(context, table, false);
}

arrow::Result<CatalogEntry> Catalog::FindToRead(const Context& context, const engine::TableName& table) {
  return FindOne(context, table, true);
}

arrow::Result<CatalogEntry> Catalog::FindOne(const Context& context, const engine::TableName& table,
                                             bool row_id_base) {
  auto question = QuestionAbout(table.catalog);
  question.catalog = table.catalog;
  question.schema = table.schema;
  question.name = table.table;
  question.row_id_base = row_id_base;
  question.columns = true;
  ARROW_ASSIGN_OR_RAISE(auto answer,
                        flight::AskCatalog(runner_, flight::AloneCallerOf(context), question, "tables"));
  for (CatalogEntry& entry : answer.entries) {
    if (IsServed(entry) && entry.details && entry.columns != nullptr && entry.columns->num_fields() > 0)
      return std::move(entry);
  }
  return arrow::Status::KeyError("There is no table or view \"", table.table.substr(0, 200), "\" in ",
                                 table.catalog.substr(0, 200), ".", table.schema.substr(0, 200),
                                 ". It may have been dropped since the catalog was read.");
}

arrow::Result<std::vector<SchemaName>> Catalog::SchemasOf(const Context& context,
                                                          const std::string& catalog) {
  ARROW_ASSIGN_OR_RAISE(const auto schemas, Schemas(context, catalog));
  std::vector<std::pair<std::string, std::string>> real;
  for (const CatalogEntry& schema : schemas) real.emplace_back(schema.catalog, schema.schema);
  return Advertise(real, catalog.empty());
}

arrow::Result<SchemaName> Catalog::FindSchema(const Context& context, const std::string& catalog,
                                              const std::string& advertised) {
  ARROW_ASSIGN_OR_RAISE(auto names, SchemasOf(context, catalog));
  for (SchemaName& name : names) {
    if (base::EqualsIgnoreCase(name.advertised, advertised)) return std::move(name);
  }
  return arrow::Status::KeyError("There is no schema \"", advertised.substr(0, 200), "\" in the catalog \"",
                                 catalog.substr(0, 200), "\".");
}

arrow::Result<SchemaName> Catalog::PlaceForSchema(const Context& context, const std::string& catalog,
                                                  const std::string& advertised) {
  std::set<std::string> databases;
  ARROW_ASSIGN_OR_RAISE(const auto schemas, Schemas(context, catalog));
  for (const CatalogEntry& schema : schemas) databases.insert(schema.catalog);
  if (auto place = PlaceFor(advertised, catalog, {databases.begin(), databases.end()}))
    return std::move(*place);
  return arrow::Status::KeyError("The schema \"", advertised.substr(0, 200),
                                 "\" names no database. In a catalog of all databases a schema is called "
                                 "\"database.schema\".");
}

}  // namespace pondpilot::worker::airport

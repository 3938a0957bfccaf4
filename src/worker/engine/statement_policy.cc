#include "worker/engine/statement_policy.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "base/text.h"

namespace pondpilot::worker::engine {
namespace {

using base::ErrorCode;
using base::Fail;
using base::Result;
using duckdb::StatementType;

// CALL runs a table function. Those of the catalog and of sizes and checks are harmless; what an extension
// brings is not, until someone has looked at it.
bool IsCallable(const std::string& function) {
  static constexpr std::array<std::string_view, 8> kExact = {
      "checkpoint", "force_checkpoint", "generate_series", "range",
      "repeat",     "show_tables",      "summary",         "sql_auto_complete"};
  const std::string name = base::ToLowerAscii(function);
  return name.starts_with("pragma_") || name.starts_with("duckdb_") ||
         std::ranges::find(kExact, name) != kExact.end();
}

Result<void> CheckLoad(const duckdb::LoadInfo& load) {
  // They are there already; a tool's LOAD of one of them is answered as if it had done something.
  static constexpr std::array<std::string_view, 8> kPresent = {
      "json",         "parquet",          "icu",           "core_functions",
      "autocomplete", "postgres_scanner", "mysql_scanner", "sqlite_scanner"};
  const std::string name = base::ToLowerAscii(load.filename);
  if (load.load_type == duckdb::LoadType::LOAD && std::ranges::find(kPresent, name) != kPresent.end())
    return {};
  return Fail(
      ErrorCode::kPermissionDenied,
      "Permission Error: extensions are chosen by the operator (duckdb.extensions); INSTALL and LOAD are not "
      "available here.");
}

Result<void> Refuse(const std::string& what) {
  return Fail(ErrorCode::kPermissionDenied, "Permission Error: " + what + " is not available here.");
}

}  // namespace

bool StatementPolicy::IsOperators(const std::string& name) const {
  return std::ranges::any_of(
      operator_catalogs_, [&](const std::string& catalog) { return base::EqualsIgnoreCase(catalog, name); });
}

Result<void> StatementPolicy::CheckAttach(const duckdb::AttachInfo& attach) const {
  const bool in_memory =
      attach.path == ":memory:" || (attach.parsed_path && attach.parsed_path->ToString() == "':memory:'");
  // Also while the operator's database is down: what is read under its name must be what the operator
  // attached.
  if (IsOperators(attach.name.GetIdentifierName())) {
    return Fail(ErrorCode::kPermissionDenied,
                "Permission Error: the name \"" + attach.name.GetIdentifierName() +
                    "\" belongs to a database of the operator; choose another.");
  }
  if (in_memory && attach.parsed_options.empty() && attach.options.empty() && !attach.external_resource)
    return {};
  return Fail(ErrorCode::kPermissionDenied,
              "Permission Error: only ATTACH ':memory:' AS name is available here, without options. Other "
              "databases are "
              "attached by the operator (duckdb.attached_databases).");
}

Result<void> StatementPolicy::CheckDetach(const duckdb::DetachInfo& detach) const {
  const std::string& name = detach.name.GetIdentifierName();
  if (!IsOperators(name)) return {};
  return Fail(ErrorCode::kPermissionDenied, "Permission Error: the database \"" + name +
                                                "\" was attached by the operator and can't be detached.");
}

Result<void> StatementPolicy::Check(const duckdb::SQLStatement& statement) const {
  switch (statement.type) {
    case StatementType::SELECT_STATEMENT:
    case StatementType::INSERT_STATEMENT:
    case StatementType::UPDATE_STATEMENT:
    case StatementType::DELETE_STATEMENT:
    case StatementType::MERGE_INTO_STATEMENT:
    case StatementType::EXECUTE_STATEMENT:
    case StatementType::TRANSACTION_STATEMENT:
    case StatementType::ANALYZE_STATEMENT:
    case StatementType::VARIABLE_SET_STATEMENT:
    case StatementType::CREATE_FUNC_STATEMENT:
    case StatementType::SET_STATEMENT:
    case StatementType::PRAGMA_STATEMENT:
    case StatementType::VACUUM_STATEMENT:
    // Between the tenant's own databases; READ_ONLY and file access stand guard over the rest.
    case StatementType::COPY_DATABASE_STATEMENT:
      return {};
    // DuckDB itself would allow it in the spill directory, past the bound on what may be spilled.
    case StatementType::COPY_STATEMENT:
      return Fail(ErrorCode::kPermissionDenied,
                  "Permission Error: there are no files here that COPY could read or write. Fetch results as "
                  "Arrow, or "
                  "use CREATE TABLE AS and INSERT.");
    case StatementType::CREATE_STATEMENT: {
      const auto& create = statement.Cast<duckdb::CreateStatement>();
      if (create.info && create.info->type == duckdb::CatalogType::SECRET_ENTRY)
        return Refuse("CREATE SECRET");
      return {};
    }
    case StatementType::DROP_STATEMENT: {
      const auto& drop = statement.Cast<duckdb::DropStatement>();
      if (drop.info && drop.info->type == duckdb::CatalogType::SECRET_ENTRY) return Refuse("DROP SECRET");
      return {};
    }
    case StatementType::ALTER_STATEMENT: {
      // A database that has another name is no longer one that must not be detached.
      const auto& alter = statement.Cast<duckdb::AlterStatement>();
      if (!alter.info || alter.info->type == duckdb::AlterType::ALTER_DATABASE)
        return Refuse("ALTER DATABASE");
      return {};
    }
    case StatementType::PREPARE_STATEMENT: {
      const auto& prepare = statement.Cast<duckdb::PrepareStatement>();
      return prepare.statement ? Check(*prepare.statement) : Result<void>{};
    }
    case StatementType::EXPLAIN_STATEMENT: {
      const auto& explain = statement.Cast<duckdb::ExplainStatement>();
      return explain.stmt ? Check(*explain.stmt) : Result<void>{};
    }
    case StatementType::MULTI_STATEMENT: {
      for (const auto& part : statement.Cast<duckdb::MultiStatement>().statements) {
        if (const Result<void> checked = Check(*part); !checked) return checked;
      }
      return {};
    }
    case StatementType::CALL_STATEMENT: {
      const auto& call = statement.Cast<duckdb::CallStatement>();
      const auto* function =
          call.function && call.function->GetExpressionClass() == duckdb::ExpressionClass::FUNCTION
              ? &call.function->Cast<duckdb::FunctionExpression>()
              : nullptr;
      const std::string name = function == nullptr ? "" : function->FunctionName().GetIdentifierName();
      if (IsCallable(name)) return {};
      return Fail(ErrorCode::kPermissionDenied, "Permission Error: CALL " + name + " is not available here.");
    }
    case StatementType::LOAD_STATEMENT: {
      const auto& load = statement.Cast<duckdb::LoadStatement>();
      return load.info ? CheckLoad(*load.info) : Refuse("LOAD");
    }
    case StatementType::ATTACH_STATEMENT: {
      const auto& attach = statement.Cast<duckdb::AttachStatement>();
      return attach.info ? CheckAttach(*attach.info) : Refuse("ATTACH");
    }
    case StatementType::DETACH_STATEMENT: {
      const auto& detach = statement.Cast<duckdb::DetachStatement>();
      return detach.info ? CheckDetach(*detach.info) : Refuse("DETACH");
    }
    case StatementType::EXPORT_STATEMENT:
      return Refuse("EXPORT and IMPORT");
    case StatementType::CONNECT_STATEMENT:
    case StatementType::DISCONNECT_STATEMENT:
    case StatementType::PASSTHROUGH_STATEMENT:
      return Refuse("CONNECT, which passes text to a database unseen,");
    default:
      return Refuse("this statement (" + duckdb::StatementTypeToString(statement.type) + ")");
  }
}

bool LeavesSessionState(const duckdb::SQLStatement& statement) {
  switch (statement.type) {
    case StatementType::SET_STATEMENT:
    case StatementType::VARIABLE_SET_STATEMENT:
    case StatementType::PRAGMA_STATEMENT:
    case StatementType::PREPARE_STATEMENT:
    case StatementType::TRANSACTION_STATEMENT:
      return true;
    case StatementType::CREATE_STATEMENT: {
      const auto& create = statement.Cast<duckdb::CreateStatement>();
      return create.info && create.info->temporary;
    }
    case StatementType::MULTI_STATEMENT:
      return true;
    default:
      return false;
  }
}

}  // namespace pondpilot::worker::engine

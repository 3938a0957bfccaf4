#include "worker/engine/lock_down.h"

#include <duckdb/catalog/catalog_entry/schema_catalog_entry.hpp>
#include <duckdb/main/attached_database.hpp>
#include <duckdb/main/database_manager.hpp>
#include <duckdb/main/secret/secret.hpp>
#include <duckdb/main/secret/secret_manager.hpp>

#include <algorithm>
#include <array>
#include <string>
#include <vector>

#include "worker/engine/attach.h"
#include "worker/engine/checkpoint_guard.h"
#include "worker/engine/errors.h"
#include "worker/engine/ingest.h"

namespace pondpilot::worker::engine {
namespace {

using base::ErrorCode;
using base::Fail;
using base::Result;
using duckdb::CatalogType;

struct Removed {
  CatalogType type;
  const char* name;
};

// What passes text to an attached database unseen (and so past READ_ONLY), opens files, takes pointers from
// SQL, or changes a pool that connections share.
constexpr std::array kRemoved = {
    Removed{CatalogType::TABLE_FUNCTION_ENTRY, "postgres_query"},
    Removed{CatalogType::TABLE_FUNCTION_ENTRY, "postgres_execute"},
    Removed{CatalogType::TABLE_FUNCTION_ENTRY, "postgres_clear_cache"},
    Removed{CatalogType::TABLE_FUNCTION_ENTRY, "postgres_configure_pool"},
    Removed{CatalogType::TABLE_FUNCTION_ENTRY, "read_postgres_binary"},
    Removed{CatalogType::SCALAR_FUNCTION_ENTRY, "postgres_pin_connection"},
    Removed{CatalogType::SCALAR_FUNCTION_ENTRY, "postgres_close_pinned_connection"},
    Removed{CatalogType::TABLE_FUNCTION_ENTRY, "mysql_query"},
    Removed{CatalogType::TABLE_FUNCTION_ENTRY, "mysql_execute"},
    Removed{CatalogType::TABLE_FUNCTION_ENTRY, "mysql_clear_cache"},
    Removed{CatalogType::TABLE_FUNCTION_ENTRY, "mysql_configure_pool"},
    Removed{CatalogType::SCALAR_FUNCTION_ENTRY, "mysql_pin_connection"},
    Removed{CatalogType::SCALAR_FUNCTION_ENTRY, "mysql_close_pinned_connection"},
    Removed{CatalogType::SCALAR_FUNCTION_ENTRY, "mysql_create_params"},
    Removed{CatalogType::SCALAR_FUNCTION_ENTRY, "mysql_bind_params"},
    Removed{CatalogType::TABLE_FUNCTION_ENTRY, "sqlite_scan"},
    Removed{CatalogType::TABLE_FUNCTION_ENTRY, "sqlite_attach"},
    Removed{CatalogType::TABLE_FUNCTION_ENTRY, "sqlite_query"},
    Removed{CatalogType::TABLE_FUNCTION_ENTRY, "arrow_scan"},
    Removed{CatalogType::TABLE_FUNCTION_ENTRY, "arrow_scan_dumb"},
    Removed{CatalogType::TABLE_FUNCTION_ENTRY, "read_text"},
    Removed{CatalogType::TABLE_FUNCTION_ENTRY, "read_blob"},
    Removed{CatalogType::PRAGMA_FUNCTION_ENTRY, "import_database"},
    // While a database is attached late its secret exists for a moment, with its host and user to be seen.
    Removed{CatalogType::TABLE_FUNCTION_ENTRY, "duckdb_secrets"},
    Removed{CatalogType::TABLE_FUNCTION_ENTRY, "which_secret"},
    // They run functions by name on behalf of a caller, out of sight of the list of allowed statements.
    Removed{CatalogType::TABLE_FUNCTION_ENTRY, "create_external_resource"},
    Removed{CatalogType::TABLE_FUNCTION_ENTRY, "destroy_external_resource"},
    Removed{CatalogType::TABLE_FUNCTION_ENTRY, "register_external_resource"},
    Removed{CatalogType::TABLE_FUNCTION_ENTRY, "deregister_external_resource"},
    Removed{CatalogType::TABLE_FUNCTION_ENTRY, "register_external_resource_type"},
};

// Settings that ordinary tools change and that harm nobody.
constexpr char kHarmlessSettings[] =
    "['TimeZone', 'Calendar', 'default_null_order', 'default_order', 'default_collation', "
    "'enable_progress_bar', "
    "'enable_progress_bar_print', 'progress_bar_time', 'errors_as_json', 'explain_output', "
    "'integer_division', "
    "'ieee_floating_point_ops', 'preserve_insertion_order', 'preserve_identifier_case', "
    "'scalar_subquery_error_on_multiple_rows', "
    "'ordered_aggregate_threshold', 'old_implicit_casting', 'null_order', 'schema', 'search_path', "
    "'arrow_large_buffer_size', 'arrow_lossless_conversion', 'arrow_output_list_view', "
    "'arrow_output_version', "
    "'produce_arrow_string_view', 'pivot_limit', 'pivot_filter_threshold', 'order_by_non_integer_literal', "
    "'lambda_syntax']";

Result<void> Run(duckdb::Connection& connection, const std::string& sql) {
  const auto result = connection.Query(sql);
  if (result->HasError()) {
    return Fail(ErrorCode::kInternal, "The engine could not be locked down.",
                sql + ": " + result->GetError());
  }
  return {};
}

Result<void> RunAll(duckdb::Connection& own, const std::vector<std::string>& statements) {
  for (const std::string& sql : statements) {
    if (const auto done = Run(own, sql); !done) return done;
  }
  return {};
}

void RemoveFunctions(duckdb::Connection& own) {
  own.context->RunFunctionInTransaction([&] {
    auto& catalog = duckdb::Catalog::GetSystemCatalog(*own.context);
    for (const Removed& removed : kRemoved) {
      duckdb::DropInfo drop;
      drop.type = removed.type;
      drop.SetQualifiedName(duckdb::Identifier("system"), duckdb::Identifier("main"),
                            duckdb::Identifier(removed.name));
      drop.allow_drop_internal = true;
      drop.if_not_found = duckdb::OnEntryNotFound::RETURN_NULL;
      catalog.DropEntry(*own.context, drop);
    }
  });
}

}  // namespace

Result<void> Restrict(duckdb::Connection& own) {
  try {
    AddIngestFunction(own);
    RemoveFunctions(own);
    GuardCheckpoint(own);
    return RunAll(own, {
                           // It rewrites aggregates into calls of mysql_query, which is gone.
                           "SET GLOBAL disabled_optimizers = 'remote_pushdown'",
                           "SET GLOBAL autoload_known_extensions = false",
                           "SET GLOBAL autoinstall_known_extensions = false",
                           "SET GLOBAL allow_community_extensions = false",
                           "SET GLOBAL allow_unredacted_secrets = false",
                           std::string("SET GLOBAL allowed_configs = ") + kHarmlessSettings,
                       });
  } catch (const std::exception& thrown) {
    return Fail(ErrorCode::kInternal, "The engine could not be restricted.", thrown.what());
  }
}

Result<void> ProveRestricted(duckdb::DuckDB& database) {
  // The file system is still open: it is for want of the function that this fails. To look for names that are
  // like it takes DuckDB milliseconds, for which no user waits here.
  constexpr const char* kReadsAFile = "SELECT * FROM read_text('/etc/passwd')";
  duckdb::Connection tenant(database);
  std::string left = RemainingFunction(tenant);
  if (left.empty() && !tenant.Query(kReadsAFile)->HasError()) left = kReadsAFile;
  if (left.empty()) return {};
  return Fail(ErrorCode::kInternal, "The engine could not be restricted.",
              "proof failed: still possible: " + left);
}

Result<void> LockDown(duckdb::Connection& own) {
  try {
    // What was loaded since may have brought some of them back.
    RemoveFunctions(own);
    return RunAll(own, {"SET GLOBAL enable_external_access = false", "SET GLOBAL lock_configuration = true"});
  } catch (const std::exception& thrown) {
    return Fail(ErrorCode::kInternal, "The engine could not be locked down.", thrown.what());
  }
}

namespace {

bool HasFunction(duckdb::SchemaCatalogEntry& schema, duckdb::ClientContext& context, const char* name) {
  const auto transaction = schema.GetCatalogTransaction(context);
  return std::ranges::any_of(
      std::array{CatalogType::TABLE_FUNCTION_ENTRY, CatalogType::SCALAR_FUNCTION_ENTRY,
                 CatalogType::AGGREGATE_FUNCTION_ENTRY, CatalogType::PRAGMA_FUNCTION_ENTRY,
                 CatalogType::MACRO_ENTRY, CatalogType::TABLE_MACRO_ENTRY},
      [&](CatalogType type) {
        return schema.GetEntry(transaction, type, duckdb::Identifier(name)) != nullptr;
      });
}

}  // namespace

std::string RemainingFunction(duckdb::Connection& tenant) {
  // Looked up one by one: duckdb_functions() would describe thousands of functions for it. In every schema:
  // an extension may keep a second name for a function in one that isn't searched first.
  std::string left;
  auto& context = *tenant.context;
  context.RunFunctionInTransaction([&] {
    for (const auto& attached : duckdb::DatabaseManager::Get(context).GetDatabases(context)) {
      // Other databases have no functions, and asking a server for its schemas takes as long as it likes.
      if (!attached->GetCatalog().IsDuckCatalog()) continue;
      for (const auto& schema : attached->GetCatalog().GetSchemas(context)) {
        for (const Removed& removed : kRemoved) {
          if (HasFunction(schema.get(), context, removed.name)) left = removed.name;
        }
      }
    }
  });
  return left;
}

namespace {

std::unexpected<base::Error> ProofFailed(const std::string& what) {
  return Fail(ErrorCode::kInternal, "The engine could not be locked down.", "proof failed: " + what);
}

Result<void> ProvePasswordsHidden(duckdb::Connection& tenant, const std::vector<Attachment>& attachments) {
  if (attachments.empty()) return {};
  const auto databases = tenant.Query("SELECT database_name, path, options::VARCHAR FROM duckdb_databases()");
  if (databases->HasError()) return ProofFailed(databases->GetError());
  std::string shown;
  while (const auto chunk = databases->Fetch()) {
    for (duckdb::idx_t row = 0; row < chunk->size(); ++row) {
      for (duckdb::idx_t column = 0; column < chunk->ColumnCount(); ++column)
        shown += chunk->GetValue(column, row).ToString() + ' ';
    }
  }
  for (const Attachment& attachment : attachments) {
    const std::string& password = attachment.server.password.Reveal();
    // A password that is also, say, the alias would be found without being shown.
    if (password.size() >= 8 && password != attachment.alias && shown.find(password) != std::string::npos)
      return ProofFailed("the password of " + attachment.alias + " can be read");
  }
  return {};
}

}  // namespace

Result<void> ProveLockDown(duckdb::DuckDB& database, const std::vector<Attachment>& attachments) {
  duckdb::Connection tenant(database);
  static constexpr std::array<const char*, 13> kMustFail = {
      "SET enable_external_access = true",
      "SET GLOBAL enable_external_access = true",
      "SET lock_configuration = false",
      "SET GLOBAL allowed_configs = ['threads']",
      "SET memory_limit = '100GB'",
      "SET temp_directory = '/tmp'",
      "SELECT * FROM read_csv('/etc/passwd')",
      "SELECT * FROM glob('/etc/*')",
      "COPY (SELECT 1) TO '/tmp/pondpilot_proof.csv'",
      "ATTACH '/tmp/pondpilot_proof.db' AS pondpilot_proof",
      "CREATE SECRET pondpilot_proof (TYPE postgres, HOST 'localhost'); ATTACH '' AS pondpilot_proof (TYPE "
      "postgres, "
      "SECRET pondpilot_proof)",
      "LOAD quack",
      "INSTALL httpfs",
  };
  for (const char* sql : kMustFail) {
    if (!tenant.Query(sql)->HasError()) return ProofFailed(std::string("still possible: ") + sql);
  }
  (void)tenant.Query("DROP SECRET IF EXISTS pondpilot_proof");
  for (const Attachment& attachment : attachments) {
    // Of a database that is not there it fails as well, for that reason.
    const std::string sql = "CHECKPOINT " + SqlIdentifier(attachment.alias);
    if (!tenant.Query(sql)->HasError()) return ProofFailed("still possible: " + sql);
  }
  if (const std::string left = RemainingFunction(tenant); !left.empty())
    return ProofFailed("still there: " + left);
  bool secret_left = false;
  tenant.context->RunFunctionInTransaction([&] {
    auto& manager = duckdb::SecretManager::Get(*tenant.context);
    const auto transaction = duckdb::CatalogTransaction::GetSystemCatalogTransaction(*tenant.context);
    secret_left = !manager.AllSecrets(transaction).empty();
  });
  if (secret_left) return ProofFailed("a secret is left");
  return ProvePasswordsHidden(tenant, attachments);
}

ExternalAccess::ExternalAccess(duckdb::Connection& own) : own_(own) {
  duckdb::ClientConfig::GetConfig(*own_.context)
      .user_settings.SetUserSetting(duckdb::EnableExternalAccessSetting::SettingIndex,
                                    duckdb::Value::BOOLEAN(true));
}

ExternalAccess::~ExternalAccess() {
  duckdb::ClientConfig::GetConfig(*own_.context)
      .user_settings.SetUserSetting(duckdb::EnableExternalAccessSetting::SettingIndex,
                                    duckdb::Value::BOOLEAN(false));
}

}  // namespace pondpilot::worker::engine

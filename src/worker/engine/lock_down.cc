#include "worker/engine/lock_down.h"

#include <duckdb/main/secret/secret.hpp>
#include <duckdb/main/secret/secret_manager.hpp>

#include <array>

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

// The one value of a one-row result, or "NULL".
std::string SingleValue(duckdb::QueryResult& result) {
  const auto chunk = result.Fetch();
  return chunk && chunk->size() > 0 ? chunk->GetValue(0, 0).ToString() : "NULL";
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

Result<void> LockDown(duckdb::Connection& own) {
  try {
    AddIngestFunction(own);
    RemoveFunctions(own);
    GuardCheckpoint(own);
    const std::array<std::string, 8> settings = {
        // It rewrites aggregates into calls of mysql_query, which is gone.
        "SET GLOBAL disabled_optimizers = 'remote_pushdown'",
        "SET GLOBAL autoload_known_extensions = false",
        "SET GLOBAL autoinstall_known_extensions = false",
        "SET GLOBAL allow_community_extensions = false",
        "SET GLOBAL allow_unredacted_secrets = false",
        std::string("SET GLOBAL allowed_configs = ") + kHarmlessSettings,
        "SET GLOBAL enable_external_access = false",
        "SET GLOBAL lock_configuration = true",
    };
    for (const std::string& setting : settings) {
      if (const auto done = Run(own, setting); !done) return done;
    }
  } catch (const std::exception& thrown) {
    return Fail(ErrorCode::kInternal, "The engine could not be locked down.", thrown.what());
  }
  return {};
}

std::string RemainingFunction(duckdb::Connection& tenant) {
  // Looked up one by one: duckdb_functions() would describe thousands of functions for it.
  std::string left;
  tenant.context->RunFunctionInTransaction([&] {
    auto& catalog = duckdb::Catalog::GetSystemCatalog(*tenant.context);
    for (const Removed& removed : kRemoved) {
      for (const CatalogType type :
           {CatalogType::TABLE_FUNCTION_ENTRY, CatalogType::SCALAR_FUNCTION_ENTRY,
            CatalogType::AGGREGATE_FUNCTION_ENTRY, CatalogType::PRAGMA_FUNCTION_ENTRY,
            CatalogType::MACRO_ENTRY, CatalogType::TABLE_MACRO_ENTRY}) {
        if (catalog.GetEntry(*tenant.context, type, duckdb::Identifier("main"),
                             duckdb::Identifier(removed.name), duckdb::OnEntryNotFound::RETURN_NULL)) {
          left = removed.name;
        }
      }
    }
  });
  return left;
}

Result<void> ProveLockDown(duckdb::DuckDB& database, const std::vector<Attachment>& attachments) {
  duckdb::Connection tenant(database);
  const auto proof_failed = [](const std::string& what) {
    return Fail(ErrorCode::kInternal, "The engine could not be locked down.", "proof failed: " + what);
  };
  static constexpr std::array<const char*, 14> kMustFail = {
      "SET enable_external_access = true",
      "SET GLOBAL enable_external_access = true",
      "SET lock_configuration = false",
      "SET GLOBAL allowed_configs = ['threads']",
      "SET memory_limit = '100GB'",
      "SET temp_directory = '/tmp'",
      "SELECT * FROM read_csv('/etc/passwd')",
      "SELECT * FROM read_text('/etc/passwd')",
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
    if (!tenant.Query(sql)->HasError()) return proof_failed(std::string("still possible: ") + sql);
  }
  (void)tenant.Query("DROP SECRET IF EXISTS pondpilot_proof");
  for (const Attachment& attachment : attachments) {
    // Of a database that is not there it fails as well, for that reason.
    const std::string sql = "CHECKPOINT " + SqlIdentifier(attachment.alias);
    if (!tenant.Query(sql)->HasError()) return proof_failed("still possible: " + sql);
  }
  if (const std::string left = RemainingFunction(tenant); !left.empty())
    return proof_failed("still there: " + left);
  bool secret_left = false;
  tenant.context->RunFunctionInTransaction([&] {
    auto& manager = duckdb::SecretManager::Get(*tenant.context);
    const auto transaction = duckdb::CatalogTransaction::GetSystemCatalogTransaction(*tenant.context);
    secret_left = !manager.AllSecrets(transaction).empty();
  });
  if (secret_left) return proof_failed("a secret is left");
  const auto databases = tenant.Query(
      "SELECT coalesce(string_agg(concat_ws(' ', database_name, path, options::VARCHAR), ' '), '') FROM "
      "duckdb_databases()");
  if (databases->HasError()) return proof_failed(databases->GetError());
  const std::string shown = SingleValue(*databases);
  for (const Attachment& attachment : attachments) {
    const std::string& password = attachment.server.password.Reveal();
    // A password that is also, say, the alias would be found without being shown.
    if (password.size() >= 8 && password != attachment.alias && shown.find(password) != std::string::npos) {
      return proof_failed("the password of " + attachment.alias + " can be read");
    }
  }
  return {};
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

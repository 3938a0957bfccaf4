#include "worker/engine/checkpoint_guard.h"

#include <atomic>

namespace pondpilot::worker::engine {
namespace {

using duckdb::Identifier;
using duckdb::table_function_bind_t;

// DuckDB binds a function through a plain pointer, so what the guard goes on to stands in a static. It is the
// same in every database of the process.
template <bool force>
struct Guarded {
  static inline std::atomic<table_function_bind_t> original{nullptr};

  static duckdb::unique_ptr<duckdb::FunctionData> Bind(duckdb::ClientContext& context,
                                                       duckdb::TableFunctionBindInput& input,
                                                       duckdb::vector<duckdb::LogicalType>& types,
                                                       duckdb::vector<Identifier>& names) {
    const bool named = !input.inputs.empty() && !input.inputs[0].IsNull();
    const Identifier target =
        named ? Identifier(input.inputs[0].ToString()) : duckdb::DatabaseManager::GetDefaultDatabase(context);
    auto database = duckdb::DatabaseManager::Get(context).GetDatabase(context, target);
    if (database && !database->GetCatalog().IsDuckCatalog()) {
      throw duckdb::PermissionException("CHECKPOINT of \"" + target.GetIdentifierName() +
                                        "\" is not available here: it is not a DuckDB database.");
    }
    return original.load()(context, input, types, names);
  }
};

template <bool force>
void Guard(duckdb::Connection& own, const char* name) {
  auto& catalog = duckdb::Catalog::GetSystemCatalog(*own.context);
  auto& entry = catalog.GetEntry<duckdb::TableFunctionCatalogEntry>(
      *own.context, duckdb::QualifiedName(Identifier("system"), Identifier("main"), Identifier(name)));
  entry.functions.ApplyToFunctions([](duckdb::TableFunction& function) {
    if (function.bind == &Guarded<force>::Bind) return;
    Guarded<force>::original.store(function.bind);
    function.bind = &Guarded<force>::Bind;
  });
}

}  // namespace

void GuardCheckpoint(duckdb::Connection& own) {
  own.context->RunFunctionInTransaction([&] {
    Guard<false>(own, "checkpoint");
    Guard<true>(own, "force_checkpoint");
  });
}

}  // namespace pondpilot::worker::engine

#include <memory>
#include <string>
#include <utility>

#include "worker/engine/attach.h"
#include "worker/engine/connection.h"
#include "worker/engine/duckdb_engine.h"
#include "worker/engine/duckdb_headers.h"
#include "worker/engine/engine.h"
#include "worker/engine/errors.h"
#include "worker/engine/lock_down.h"
#include "worker/engine/memory_plan.h"

namespace pondpilot::worker::engine {
namespace {

using base::ErrorCode;
using base::Fail;
using base::Result;

constexpr uint64_t kRehearsalBytes = 256 << 20;

class PreparedDuckDb final : public PreparedEngine {
 public:
  explicit PreparedDuckDb(std::unique_ptr<duckdb::DuckDB> database) : database_(std::move(database)) {}

  Result<std::unique_ptr<Engine>> Start(const Limits& limits) override {
    auto engine = DuckDbEngine::Start(std::move(database_), limits, PlanMemory(limits));
    if (!engine) return std::unexpected(engine.error());
    return std::unique_ptr<Engine>(std::move(*engine));
  }

 private:
  std::unique_ptr<duckdb::DuckDB> database_;
};

Result<std::unique_ptr<duckdb::DuckDB>> Prepare() {
  try {
    duckdb::DBConfig config;
    config.SetOptionByName("threads", duckdb::Value::BIGINT(1));
    config.SetOptionByName("async_threads", duckdb::Value::BIGINT(0));
    config.SetOptionByName("autoinstall_known_extensions", duckdb::Value::BOOLEAN(false));
    config.SetOptionByName("allow_persistent_secrets", duckdb::Value::BOOLEAN(false));
    auto database = std::make_unique<duckdb::DuckDB>(nullptr, &config);
    duckdb::Connection connection(*database);
    // Loaded now, while no tenant waits, whether or not they will be needed: 5 ms each when the files are
    // cached. Use of secrets after the lock needs the secret storage to exist before it.
    for (const char* sql :
         {"LOAD postgres_scanner", "LOAD mysql_scanner", "LOAD sqlite_scanner", "SET GLOBAL TimeZone = 'UTC'",
          "CREATE SECRET warm_up (TYPE postgres, HOST 'none')", "DROP SECRET warm_up"}) {
      const auto done = connection.Query(sql);
      if (!done->HasError()) continue;
      return Fail(ErrorCode::kInternal, "DuckDB can't be prepared.",
                  std::string(sql) + ": " + done->GetError());
    }
    if (const auto restricted = Restrict(connection); !restricted)
      return std::unexpected(restricted.error());
    if (const auto proven = ProveRestricted(*database); !proven) return std::unexpected(proven.error());
    return database;
  } catch (const std::exception& thrown) {
    return Fail(ErrorCode::kInternal, "DuckDB can't be opened.", thrown.what());
  }
}

}  // namespace

Result<std::unique_ptr<PreparedEngine>> PreparedEngine::Open() {
  auto database = Prepare();
  if (!database) return std::unexpected(database.error());
  return std::make_unique<PreparedDuckDb>(std::move(*database));
}

Result<void> PreparedEngine::Rehearse(const std::string& spill_dir) {
  auto database = Prepare();
  if (!database) return std::unexpected(database.error());
  const Limits limits{.memory_bytes = kRehearsalBytes, .cpu_cores = 1, .spill_dir = spill_dir};
  MemoryPlan plan = PlanMemory(limits);
  plan.threads = 1;
  plan.async_threads = 0;
  auto engine = DuckDbEngine::Start(std::move(*database), limits, plan);
  if (!engine) return std::unexpected(engine.error());
  if (const auto locked = (*engine)->AttachAndLockDown({}, {}); !locked)
    return std::unexpected(locked.error());
  auto connection = (*engine)->Connect();
  if (!connection) return std::unexpected(connection.error());
  auto stream = (*connection)->Execute("SELECT i, i::VARCHAR FROM range(10) t(i) ORDER BY i");
  if (!stream) return std::unexpected(stream.error());
  for (;;) {
    const auto batch = (*stream)->Next();
    if (!batch) return std::unexpected(batch.error());
    if (*batch == nullptr) return {};
  }
}

}  // namespace pondpilot::worker::engine

#include "worker/engine/duckdb_engine.h"

#include <sys/resource.h>

#include <algorithm>
#include <array>
#include <future>
#include <set>

#include "base/text.h"
#include "telemetry/log.h"
#include "worker/engine/allocator.h"
#include "worker/engine/attach.h"
#include "worker/engine/connection.h"
#include "worker/engine/errors.h"
#include "worker/engine/lock_down.h"
#include "worker/engine/memory_plan.h"

namespace pondpilot::worker::engine {
namespace {

using base::ErrorCode;
using base::Fail;
using base::Result;

constexpr std::chrono::seconds kRetryEvery(5);

Result<void> Run(duckdb::Connection& connection, const std::string& sql) {
  const auto result = connection.Query(sql);
  if (result->HasError()) return std::unexpected(ToError(result->GetErrorObject()));
  return {};
}

// Packaged extensions by the names that the configuration knows.
const char* PackagedName(const std::string& extension) {
  if (extension == "postgres") return "postgres_scanner";
  if (extension == "mysql") return "mysql_scanner";
  if (extension == "sqlite") return "sqlite_scanner";
  if (extension == "httpfs") return "httpfs";
  return nullptr;
}

// Does `sql` hold `name` as a word, in any case?
bool Names(std::string_view sql, std::string_view name) {
  const std::string text = base::ToLowerAscii(sql);
  const std::string word = base::ToLowerAscii(name);
  const auto part_of_word = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' ||
           static_cast<unsigned char>(c) >= 0x80;
  };
  for (size_t at = text.find(word); at != std::string::npos; at = text.find(word, at + 1)) {
    const bool starts = at == 0 || !part_of_word(text[at - 1]);
    const size_t end = at + word.size();
    if (starts && (end == text.size() || !part_of_word(text[end]))) return true;
  }
  return false;
}

}  // namespace

Result<void> LimitProcessMemory(const Limits& limits) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  (void)limits;
#else
  const MemoryPlan plan = PlanMemory(limits);
  // Whoever has started this process may have set less, which it can't raise.
  rlimit given{RLIM_INFINITY, RLIM_INFINITY};
  (void)::getrlimit(RLIMIT_DATA, &given);
  const rlim_t most = std::min<rlim_t>(plan.data_bytes, given.rlim_max);
  const rlimit limit{most, most};
  if (::setrlimit(RLIMIT_DATA, &limit) != 0) {
    return Fail(ErrorCode::kInternal, "The limit on the data segment could not be set.");
  }
#endif
  return {};
}

Result<std::unique_ptr<Engine>> Engine::Open(const Limits& limits) {
  auto prepared = PreparedEngine::Open();
  if (!prepared) return std::unexpected(prepared.error());
  return (*prepared)->Start(limits);
}

Result<std::unique_ptr<DuckDbEngine>> DuckDbEngine::Start(std::unique_ptr<duckdb::DuckDB> database,
                                                          const Limits& limits, const MemoryPlan& plan) {
  std::unique_ptr<DuckDbEngine> engine(new DuckDbEngine());
  engine->limits_ = limits;
  engine->database_ = std::move(database);
  try {
    // A connection that existed before a fork would have the same random numbers in each child.
    engine->own_ = std::make_unique<duckdb::Connection>(*engine->database_);
    const std::array<std::string, 5> settings = {
        "SET GLOBAL memory_limit = '" + std::to_string(plan.duckdb_bytes) + "B'",
        "SET GLOBAL temp_directory = " + SqlLiteral(limits.spill_dir),
        "SET GLOBAL max_temp_directory_size = '" + std::to_string(plan.spill_bytes) + "B'",
        "SET GLOBAL threads = " + std::to_string(plan.threads),
        "SET GLOBAL async_threads = " + std::to_string(plan.async_threads),
    };
    for (const std::string& setting : settings) {
      if (const auto done = Run(*engine->own_, setting); !done) {
        return Fail(ErrorCode::kInternal, "DuckDB can't be given its limits.",
                    setting + ": " + done.error().message);
      }
    }
  } catch (const std::exception& thrown) {
    return Fail(ErrorCode::kInternal, "DuckDB can't be given its limits.", thrown.what());
  }
  return engine;
}

DuckDbEngine::~DuckDbEngine() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  if (retrier_.joinable()) retrier_.join();
}

Result<std::vector<AttachmentState>> DuckDbEngine::AttachAndLockDown(
    const std::vector<Attachment>& attachments, const std::vector<std::string>& extensions) {
  try {
    for (const std::string& extension : extensions) {
      const char* name = PackagedName(extension);
      if (name == nullptr) {
        return Fail(ErrorCode::kInvalidArgument,
                    "duckdb.extensions: there is no packaged extension " + extension + ".");
      }
      if (database_->ExtensionIsLoaded(name)) continue;
      if (const auto loaded = Run(*own_, std::string("LOAD ") + name); !loaded)
        return std::unexpected(loaded.error());
    }
    // All at once, so that refusals and slow answers overlap.
    std::vector<std::future<Result<void>>> attempts;
    attempts.reserve(attachments.size());
    for (const Attachment& attachment : attachments) {
      attempts.push_back(std::async(std::launch::async, [this, &attachment] {
        if (auto reachable = CheckReachable(attachment); !reachable) return reachable;
        duckdb::Connection connection(*database_);
        return AttachDatabase(connection, attachment);
      }));
    }
    std::vector<std::string> catalogs(kOwnCatalogs.begin(), kOwnCatalogs.end());
    std::vector<AttachmentState> states;
    std::vector<Attachment> missing;
    for (size_t i = 0; i < attachments.size(); ++i) {
      const Attachment& attachment = attachments[i];
      const Result<void> attached = attempts[i].get();
      catalogs.push_back(attachment.alias);
      states.push_back({attachment.alias, attached.has_value(), attached ? "" : attached.error().message});
      if (attached) continue;
      telemetry::Log(telemetry::Level::kWarn, "Database not attached",
                     {{"alias", attachment.alias}, {"reason", attached.error().message}});
      if (attachment.kind == Attachment::Kind::kPostgres || attachment.kind == Attachment::Kind::kMysql) {
        missing.push_back(attachment);
      }
    }
    std::set<uint16_t> ports;
    std::set<uint16_t> mysql_ports;
    for (const Attachment& attachment : attachments) {
      if (attachment.server.port == 0) continue;
      ports.insert(attachment.server.port);
      if (attachment.kind == Attachment::Kind::kMysql) mysql_ports.insert(attachment.server.port);
    }
    if (!mysql_ports.empty()) silence_.emplace(std::move(mysql_ports));
    follow_up_.SetRemotePorts(std::move(ports));
    policy_ = std::make_unique<StatementPolicy>(std::move(catalogs));
    if (const auto locked = LockDown(*own_); !locked) return std::unexpected(locked.error());
    if (const auto proven = ProveLockDown(*database_, attachments); !proven)
      return std::unexpected(proven.error());
    const std::lock_guard lock(mutex_);
    states_ = states;
    missing_ = std::move(missing);
    if (!missing_.empty()) retrier_ = std::thread(&DuckDbEngine::RetryLoop, this);
    locked_.store(true);
    return states;
  } catch (const std::exception& thrown) {
    return Fail(ErrorCode::kInternal, "The databases could not be attached.", thrown.what());
  }
}

bool DuckDbEngine::Stopping() const {
  const std::lock_guard lock(mutex_);
  return stopping_;
}

std::vector<AttachmentState> DuckDbEngine::Retry(std::vector<Attachment>& tries) {
  // Silent hosts are waited for at the same time, so that they don't make those late that are back.
  std::vector<std::future<Result<void>>> probes;
  probes.reserve(tries.size());
  for (const Attachment& attachment : tries) {
    probes.push_back(std::async(std::launch::async, [&attachment] { return CheckReachable(attachment); }));
  }
  std::vector<Result<void>> reachable;
  reachable.reserve(probes.size());
  for (auto& probe : probes) reachable.push_back(probe.get());
  std::vector<AttachmentState> changes;
  for (size_t i = 0; i < tries.size(); ++i) {
    const Attachment& attachment = tries[i];
    Result<void> attached = reachable[i];
    // Each attempt may last as long as its time-out; who ends the engine waits for one at most.
    if (attached && !Stopping()) {
      const ExternalAccess access(*own_);
      attached = AttachDatabase(*own_, attachment);
    }
    if (Stopping()) break;
    changes.push_back({attachment.alias, attached.has_value(), attached ? "" : attached.error().message});
    if (attached)
      telemetry::Log(telemetry::Level::kInfo, "Database attached late", {{"alias", attachment.alias}});
  }
  std::erase_if(tries, [&](const Attachment& tried) {
    return std::ranges::any_of(changes, [&](const AttachmentState& change) {
      return change.available && change.alias == tried.alias;
    });
  });
  return changes;
}

void DuckDbEngine::RetryLoop() {
  std::unique_lock lock(mutex_);
  while (!stopping_ && !missing_.empty()) {
    wake_.wait_for(lock, kRetryEvery, [this] { return stopping_; });
    if (stopping_) break;
    // Nobody else touches `missing_` once this thread runs.
    lock.unlock();
    std::vector<AttachmentState> changes;
    try {
      changes = Retry(missing_);
    } catch (const std::exception& thrown) {
      // No thread or no memory at the moment: what was not attached is tried again.
      telemetry::Log(telemetry::Level::kWarn, "Databases could not be tried again",
                     {{"error", thrown.what()}});
    }
    lock.lock();
    for (const AttachmentState& change : changes) {
      std::ranges::replace_if(
          states_, [&](const AttachmentState& state) { return state.alias == change.alias; }, change);
    }
  }
}

std::vector<AttachmentState> DuckDbEngine::attachments() const {
  const std::lock_guard lock(mutex_);
  return states_;
}

Result<std::unique_ptr<Connection>> DuckDbEngine::Connect() {
  if (!locked_.load()) return Fail(ErrorCode::kFailedPrecondition, "The worker has no user yet.");
  try {
    return std::make_unique<DuckDbConnection>(*this, std::make_shared<duckdb::Connection>(*database_));
  } catch (const std::exception& thrown) {
    return std::unexpected(ToError(thrown));
  }
}

bool DuckDbEngine::healthy() const {
  return healthy_.load() && !follow_up_.AnyOverdue() &&
         !duckdb::ValidChecker::IsInvalidated(*database_->instance);
}

uint64_t DuckDbEngine::BufferBytes() const {
  return duckdb::BufferManager::GetBufferManager(*database_->instance).GetUsedMemory();
}

void DuckDbEngine::NoteError(const base::Error& error) {
  if (error.message.find("database has been invalidated") != std::string::npos) healthy_.store(false);
  if (error.code == ErrorCode::kResourceExhausted) memory_was_short_.store(true);
}

void DuckDbEngine::MakeRoom() {
  if (memory_was_short_.exchange(false)) ReleaseFreedMemory();
}

void DuckDbEngine::ExplainMissingDatabase(std::string_view sql, base::Error& error) const {
  if (error.code != ErrorCode::kNotFound && error.code != ErrorCode::kInvalidArgument) return;
  const std::lock_guard lock(mutex_);
  for (const AttachmentState& state : states_) {
    if (state.available || !Names(sql, state.alias)) continue;
    error.code = ErrorCode::kUnavailable;
    error.message += "\nThe database \"" + state.alias + "\" is not available: " + state.reason + ".";
  }
}

}  // namespace pondpilot::worker::engine

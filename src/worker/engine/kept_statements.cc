#include "worker/engine/kept_statements.h"

#include <algorithm>
#include <utility>

#include "worker/engine/duckdb_engine.h"

namespace pondpilot::worker::engine {
namespace {

template <typename Databases>
bool OwnOnly(const Databases& databases) {
  return std::ranges::all_of(databases, [](const auto& database) {
    return std::ranges::contains(kOwnCatalogs, database.first.GetIdentifierName());
  });
}

}  // namespace

bool KeptStatements::IsPlain(duckdb::StatementType type) {
  switch (type) {
    case duckdb::StatementType::SELECT_STATEMENT:
    case duckdb::StatementType::INSERT_STATEMENT:
    case duckdb::StatementType::UPDATE_STATEMENT:
    case duckdb::StatementType::DELETE_STATEMENT:
      return true;
    default:
      return false;
  }
}

duckdb::unique_ptr<duckdb::PreparedStatement> KeptStatements::Take(std::string_view sql) {
  const std::lock_guard lock(mutex_);
  const auto found = std::ranges::find(kept_, sql, &Kept::sql);
  if (found == kept_.end()) return nullptr;
  auto statement = std::move(found->statement);
  kept_.erase(found);
  return statement;
}

void KeptStatements::Put(std::string sql, duckdb::unique_ptr<duckdb::PreparedStatement> statement) {
  if (sql.size() > kMaxSqlBytes || statement == nullptr || !statement->MetadataAvailable()) return;
  const auto& properties = statement->GetStatementProperties();
  if (!IsPlain(statement->GetStatementType()) || !OwnOnly(properties.read_databases) ||
      !OwnOnly(properties.modified_databases)) {
    return;
  }
  std::list<Kept> dropped;  // outside the lock
  const std::lock_guard lock(mutex_);
  kept_.push_front({std::move(sql), std::move(statement)});
  if (kept_.size() > kMost) dropped.splice(dropped.begin(), kept_, std::prev(kept_.end()));
}

void KeptStatements::Clear() {
  std::list<Kept> dropped;
  const std::lock_guard lock(mutex_);
  dropped.swap(kept_);
}

}  // namespace pondpilot::worker::engine

#pragma once

#include <string>
#include <vector>

#include "base/error.h"
#include "worker/engine/duckdb_headers.h"

namespace pondpilot::worker::engine {

// Which statements a tenant may run, decided by a parsed statement's type before it is bound: an allow-list,
// so that a statement type that a later DuckDB brings is refused until someone has looked at it.
class StatementPolicy {
 public:
  // `operator_catalogs`: names of databases that a tenant must neither detach nor take for its own.
  explicit StatementPolicy(std::vector<std::string> operator_catalogs)
      : operator_catalogs_(std::move(operator_catalogs)) {}

  // kPermissionDenied with what is not allowed and why.
  base::Result<void> Check(const duckdb::SQLStatement& statement) const;

 private:
  bool IsOperators(const std::string& name) const;
  base::Result<void> CheckAttach(const duckdb::AttachInfo& attach) const;
  base::Result<void> CheckDetach(const duckdb::DetachInfo& detach) const;

  std::vector<std::string> operator_catalogs_;
};

// Does the statement leave something behind on its connection that another connection would not see: a
// setting, a temporary object, a prepared statement?
bool LeavesSessionState(const duckdb::SQLStatement& statement);

}  // namespace pondpilot::worker::engine

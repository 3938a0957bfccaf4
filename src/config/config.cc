#include "config/config.h"

namespace pondpilot::config {

std::string_view ToString(DatabaseKind kind) {
  switch (kind) {
    case DatabaseKind::kPostgres:
      return "postgres";
    case DatabaseKind::kMysql:
      return "mysql";
    case DatabaseKind::kSqlite:
      return "sqlite";
  }
  return "unknown";
}

}  // namespace pondpilot::config

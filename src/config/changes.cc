#include "config/changes.h"

#include "config/options.h"

namespace pondpilot::config {
namespace {

bool SameSecrets(const std::vector<AttachedDatabase>& before, const std::vector<AttachedDatabase>& after) {
  if (before.size() != after.size()) return false;
  for (size_t i = 0; i < before.size(); ++i) {
    if (before[i].server && after[i].server &&
        before[i].server->password.Reveal() != after[i].server->password.Reveal()) {
      return false;
    }
  }
  return true;
}

}  // namespace

Changes Compare(const Config& before, const Config& after) {
  Changes changes;
  Config old = before;
  Config young = after;
  for (const Option& option : Options()) {
    bool same = RenderValue(option, old) == RenderValue(option, young);
    if (same && std::holds_alternative<Ref<std::vector<AttachedDatabase>>>(option.field)) {
      same = SameSecrets(before.duckdb.attached_databases, after.duckdb.attached_databases);
    }
    if (same) continue;
    (option.reloadable ? changes.taken : changes.needs_restart)
        .emplace_back(option.key.empty() ? option.env : option.key);
  }
  return changes;
}

}  // namespace pondpilot::config

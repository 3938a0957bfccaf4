#pragma once

#include <string>
#include <vector>

#include "worker/engine/engine.h"

namespace pondpilot::worker::documents {

// What can be queried, as JSON: {"databases": [{"name", "available", "schemas": [{"name", "tables": [{"name",
// "kind", "columns": [{"name", "type"}]}]}]}]}; a database that can't be queried has "reason" instead of
// "schemas".
std::string CatalogDocument(const engine::CatalogAnswer& answer,
                            const std::vector<engine::AttachmentState>& attachments,
                            const std::string& only_database);

}  // namespace pondpilot::worker::documents

#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace pondpilot::proxy::ai {

// What a model is told of the tables that its user can query. `catalog` is the document of GET /catalog.
// Holds about `most_bytes` at most; tables beyond that are counted, not named, and so are those whose names
// hold control characters. nullopt when `catalog` is no such document.
std::optional<std::string> CatalogPrompt(std::string_view catalog, size_t most_bytes);

}  // namespace pondpilot::proxy::ai

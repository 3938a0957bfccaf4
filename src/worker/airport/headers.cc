#include "worker/airport/headers.h"

namespace pondpilot::worker::airport {

std::string HeaderOf(const arrow::flight::ServerCallContext& context, const char* name) {
  const auto& headers = context.incoming_headers();
  const auto found = headers.find(name);
  return found == headers.end() ? std::string() : std::string(found->second);
}

}  // namespace pondpilot::worker::airport

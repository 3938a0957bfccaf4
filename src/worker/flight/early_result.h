#pragma once

#include <arrow/result.h>

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "worker/session/open_result.h"

namespace pondpilot::worker::flight {

// The messages that DoGet would send for a result, serialised as FlightData (Flight.proto of Arrow 25), so
// that they can leave with the answer of GetFlightInfo. nullopt when the result is not known to be whole, or
// they have more than `max_bytes` together. The result is not changed.
arrow::Result<std::optional<std::vector<std::string>>> EarlyMessages(const session::OpenResult& result,
                                                                     size_t max_bytes);

}  // namespace pondpilot::worker::flight

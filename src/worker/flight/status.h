#pragma once

#include <arrow/status.h>

#include "base/error.h"

namespace pondpilot::worker::flight {

// The one mapping from the project's codes to Arrow's, chosen so that Flight sends the gRPC status that
// belongs to the code. Only the public message goes out.
arrow::Status ToArrowStatus(const base::Error& error);

}  // namespace pondpilot::worker::flight

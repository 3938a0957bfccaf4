#pragma once

#include <arrow/status.h>

#include "base/error.h"

namespace pondpilot::worker::flight {

// The one mapping from the project's codes to Arrow's, chosen so that Flight sends the gRPC status that
// belongs to the code; where it has none, the proxy puts it right (contract::kErrorCodeDetail). Only the
// public message goes out, and of a long one its beginning and its end: Flight sends it twice in the
// trailers, and clients take 8 KiB of them by default; with more they report a broken stream.
arrow::Status ToArrowStatus(const base::Error& error);

// Of a message, after what gRPC's encoding makes of it.
inline constexpr size_t kMaxEncodedMessageBytes = 5 << 10;

}  // namespace pondpilot::worker::flight

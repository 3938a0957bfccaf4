#pragma once

namespace pondpilot::proxy::fleet {

// What every door says of a call that the end of the proxy ends, or keeps from beginning (kUnavailable).
inline constexpr char kShuttingDown[] = "The proxy is shutting down. Try again in a moment.";

}  // namespace pondpilot::proxy::fleet

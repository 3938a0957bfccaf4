#pragma once

#include <string>
#include <string_view>

namespace pondpilot::worker::session {

// Does `token` have the digest that this worker was started with? Constant time.
bool IsWorkerToken(std::string_view token, const std::string& token_sha256);

}  // namespace pondpilot::worker::session

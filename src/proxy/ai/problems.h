#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"
#include "proxy/ai/redactor.h"
#include "proxy/http/problem.h"

namespace pondpilot::proxy::ai {

// The failures of this module as clients see them; docs/http-api.md lists the codes.

// No key for `models` ("Claude models"); `variable` and `option` name where it goes.
http::Problem NotConfigured(std::string_view models, std::string_view variable, std::string_view option);
// More calls at the same time than are allowed.
http::Problem TooManyCalls(bool of_user);
// A Retry-After header's seconds; nullopt when there is none that can be read.
std::optional<std::chrono::milliseconds> ParseRetryAfter(const std::string& value);
// The catalog that the model was to be told of can't be read.
http::Problem BadCatalog();
// The provider answered `status` instead of 200. What it says is passed on where it is about the request, as
// `redactor` leaves it.
http::Problem ProviderRefusal(unsigned status, const std::string& retry_after, std::string_view body,
                              const Redactor& redactor);
// The way to the provider failed.
http::Problem TransportProblem(const base::Error& error);
// The provider sent what its API never sends.
http::Problem BadAnswer();
// The provider ended its answer in the middle; `reason` is its own word for it, or empty.
http::Problem BrokenOff(std::string_view reason);

}  // namespace pondpilot::proxy::ai

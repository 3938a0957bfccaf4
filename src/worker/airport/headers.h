#pragma once

#include <arrow/flight/server.h>

#include <string>

namespace pondpilot::worker::airport {

// What airport clients say about their calls.
inline constexpr char kAgentHeader[] = "airport-user-agent";     // on every one
inline constexpr char kCatalogHeader[] = "airport-catalog";      // when it is not ''
inline constexpr char kOperationHeader[] = "airport-operation";  // insert, update, delete
inline constexpr char kReturnHeader[] = "return-chunks";         // 0, 1

// Empty when the header is not there.
std::string HeaderOf(const arrow::flight::ServerCallContext& context, const char* name);

}  // namespace pondpilot::worker::airport

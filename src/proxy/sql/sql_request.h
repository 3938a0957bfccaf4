#pragma once

#include <string>

#include "base/error.h"
#include "contract/sql.pb.h"
#include "proxy/http/message.h"
#include "proxy/http/problem.h"

namespace pondpilot::proxy::sql {

// Seconds; as long as a week.
inline constexpr double kMaxTimeoutSeconds = 604'800;
inline constexpr size_t kMaxSessionBytes = 64;

// POST /sql as the worker takes it (docs/http-api.md has the fields): a JSON object, or SQL alone as
// application/sql or text/plain. The problem says what is wrong with it.
std::expected<pondpilot::sql::v1::RunRequest, http::Problem> ParseRunRequest(const http::Request& request);

// GET /catalog, likewise.
std::expected<pondpilot::sql::v1::CatalogRequest, http::Problem> ParseCatalogRequest(
    const http::Request& request);

// The Content-Type of a document in this format.
std::string ContentTypeOf(pondpilot::sql::v1::Format format);
// The Content-Encoding; empty for none.
std::string ContentCodingOf(pondpilot::sql::v1::Coding coding);

}  // namespace pondpilot::proxy::sql

#pragma once

#include "base/error.h"
#include "proxy/http/problem.h"

namespace pondpilot::proxy::sql {

// What a worker says of a statement, as an HTTP problem. Its codes are those of contract/sql_codes.h.
http::Problem StatementProblem(const base::Error& error);

}  // namespace pondpilot::proxy::sql

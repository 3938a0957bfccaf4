#pragma once

#include "base/error.h"
#include "contract/sql.pb.h"
#include "proxy/http/problem.h"

namespace pondpilot::proxy::sql {

// A failure that a worker tells of, as it was there.
base::Error ErrorOf(const pondpilot::sql::v1::Failure& failure);

// What a worker says of a statement, as an HTTP problem. Its codes are those of contract/sql_codes.h.
http::Problem StatementProblem(const base::Error& error);

}  // namespace pondpilot::proxy::sql

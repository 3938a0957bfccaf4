#pragma once

#include <arrow/result.h>

#include "worker/session/statement_runner.h"

namespace pondpilot::worker::flight {

// What there is. A database that does not answer is left out, with a line in the log; when none does, that is
// an error, never an empty answer. `what` is asked for, in the plural.
arrow::Result<engine::CatalogAnswer> AskCatalog(session::StatementRunner& runner,
                                                const session::Caller& caller,
                                                const engine::CatalogQuestion& question, const char* what);

}  // namespace pondpilot::worker::flight

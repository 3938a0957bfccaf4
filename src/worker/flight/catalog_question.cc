#include "worker/flight/catalog_question.h"

#include <string>

#include "telemetry/log.h"
#include "worker/flight/status.h"

namespace pondpilot::worker::flight {

arrow::Result<engine::CatalogAnswer> AskCatalog(session::StatementRunner& runner,
                                                const session::Caller& caller,
                                                const engine::CatalogQuestion& question, const char* what) {
  auto answer = runner.Look(caller, question);
  if (!answer) return ToArrowStatus(answer.error());
  for (const auto& [database, error] : answer->silent) {
    if (answer->answered == 0) {
      base::Error told = error;
      told.code = base::ErrorCode::kUnavailable;
      told.message = std::string("The ") + what + " can't be listed, because the database \"" + database +
                     "\" does not answer. " + error.message;
      return ToArrowStatus(told);
    }
    telemetry::Log(telemetry::Level::kWarn, "A database does not answer and is left out of a listing",
                   {{"alias", database}});
  }
  return std::move(*answer);
}

}  // namespace pondpilot::worker::flight

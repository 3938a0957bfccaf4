#include "worker/flight/caller.h"

#include <chrono>

#include "base/clock.h"
#include "contract/names.h"

namespace pondpilot::worker::flight {
namespace {

// How long a statement waits for its session's connection.
constexpr std::chrono::seconds kConnectionWait(30);

}  // namespace

std::string SessionOf(const arrow::flight::ServerCallContext& context) {
  const auto& headers = context.incoming_headers();
  const auto found = headers.find(contract::kConnectionHeader);
  return found == headers.end() ? std::string() : std::string(found->second);
}

session::Caller CallerOf(const arrow::flight::ServerCallContext& context, const std::string& transaction) {
  session::Caller caller;
  caller.connection_name = SessionOf(context);
  caller.gone = [&context] { return context.is_cancelled(); };
  caller.deadline = base::Clock::System().Now() + kConnectionWait;
  caller.use.transaction = transaction;
  return caller;
}

session::Caller JoiningCallerOf(const arrow::flight::ServerCallContext& context,
                                const std::string& transaction) {
  session::Caller caller = CallerOf(context, transaction);
  caller.use.joins_transaction = true;
  return caller;
}

session::Caller AloneCallerOf(const arrow::flight::ServerCallContext& context) {
  session::Caller caller = CallerOf(context);
  caller.alone = true;
  return caller;
}

}  // namespace pondpilot::worker::flight

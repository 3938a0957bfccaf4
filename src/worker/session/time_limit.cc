#include "worker/session/time_limit.h"

#include <string>

namespace pondpilot::worker::session {
namespace {

std::string Text(std::chrono::milliseconds length) {
  const auto count = length.count();
  return count % 1000 == 0 ? std::to_string(count / 1000) + " s" : std::to_string(count) + " ms";
}

}  // namespace

TimeLimit::TimeLimit(const base::Clock& clock, std::chrono::milliseconds length)
    : clock_(clock), length_(length), end_(clock.Now() + length) {}

bool TimeLimit::Check() {
  if (!exists()) return false;
  if (!passed_.load() && clock_.Now() >= end_) passed_.store(true);
  return passed_.load();
}

base::Error TimeLimit::Explain(base::Error error) const {
  if (error.code != base::ErrorCode::kCancelled || !passed_.load()) return error;
  error.code = base::ErrorCode::kDeadlineExceeded;
  error.message = "The statement was stopped because it took longer than " + Text(length_) +
                  ", which is the most that this server allows (duckdb.statement_timeout). Ask for less at "
                  "once, or ask the operator for more time.";
  return error;
}

}  // namespace pondpilot::worker::session

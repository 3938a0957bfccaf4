#include "worker/session/statement_runner.h"

#include <utility>

namespace pondpilot::worker::session {
namespace {

using base::Result;

class RunningMark {
 public:
  explicit RunningMark(Activity& activity) : activity_(activity) { activity_.StatementStarted(); }
  ~RunningMark() { activity_.StatementEnded(); }
  RunningMark(const RunningMark&) = delete;
  RunningMark& operator=(const RunningMark&) = delete;

 private:
  Activity& activity_;
};

}  // namespace

StatementRunner::StatementRunner(engine::Engine& engine, const base::Clock& clock)
    : clock_(clock),
      activity_(clock),
      sessions_(engine, clock),
      tickets_(clock),
      prepared_(clock),
      sweeper_(&StatementRunner::SweepLoop, this) {}

StatementRunner::~StatementRunner() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  stop_.notify_all();
  sweeper_.join();
}

Result<std::shared_ptr<OpenResult>> StatementRunner::Execute(const Caller& caller, std::string_view sql) {
  if (draining()) {
    return base::Fail(base::ErrorCode::kUnavailable,
                      "This worker is being stopped; run the statement again.");
  }
  auto session = sessions_.Get(caller.connection_name);
  if (!session) return std::unexpected(session.error());
  const RunningMark running(activity_);  // also while it waits for its connection
  auto lease = (*session)->Acquire(caller.deadline, caller.gone);
  if (!lease) return std::unexpected(lease.error());
  auto stream = [&] {
    const CallWatch::Guard guard(watch_, caller.gone, [&] { lease->connection().Interrupt(); });
    return lease->connection().Execute(sql);
  }();
  if (!stream) return std::unexpected(stream.error());
  if (auto settled = lease->Settle(); !settled) return std::unexpected(settled.error());
  auto result = std::make_shared<OpenResult>(std::move(*stream), std::move(*lease), activity_);
  const CallWatch::Guard guard(watch_, caller.gone, [open = result.get()] { open->Cancel(); });
  if (auto fetched = result->Prefetch(); !fetched) return std::unexpected(fetched.error());
  return result;
}

void StatementRunner::SweepLoop() {
  std::unique_lock lock(mutex_);
  while (!stop_.wait_for(lock, std::chrono::seconds(1), [this] { return stopping_; })) {
    lock.unlock();
    tickets_.Sweep();
    sessions_.Sweep();
    prepared_.Sweep();
    lock.lock();
  }
}

}  // namespace pondpilot::worker::session

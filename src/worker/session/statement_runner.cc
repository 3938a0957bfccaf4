#include "worker/session/statement_runner.h"

#include <optional>

namespace pondpilot::worker::session {
namespace {

using base::Result;
using engine::ResultStream;

// A result with the connection it comes from. The connection is given back when the result no longer needs
// it.
class LeasedStream final : public ResultStream {
 public:
  LeasedStream(std::unique_ptr<ResultStream> inner, ConnectionLease lease, Activity& activity)
      : activity_(activity), lease_(std::move(lease)), inner_(std::move(inner)) {
    activity_.StreamOpened();
    if (!inner_->HoldsConnection()) lease_.reset();
  }

  ~LeasedStream() override {
    inner_.reset();  // before the lease: it ends the statement on the connection
    lease_.reset();
    activity_.StreamClosed();
  }

  const std::shared_ptr<arrow::Schema>& schema() const override { return inner_->schema(); }

  Result<std::shared_ptr<arrow::RecordBatch>> Next() override {
    auto batch = inner_->Next();
    if (lease_ && !inner_->HoldsConnection()) lease_.reset();
    return batch;
  }

  bool HoldsConnection() const override { return lease_.has_value(); }
  void Cancel() override { inner_->Cancel(); }

 private:
  Activity& activity_;
  std::optional<ConnectionLease> lease_;
  std::unique_ptr<ResultStream> inner_;
};

}  // namespace

StatementRunner::StatementRunner(engine::Engine& engine, const base::Clock& clock)
    : clock_(clock),
      activity_(clock),
      sessions_(engine, clock),
      tickets_(clock),
      sweeper_(&StatementRunner::SweepLoop, this) {}

StatementRunner::~StatementRunner() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  stop_.notify_all();
  sweeper_.join();
}

Result<std::unique_ptr<ResultStream>> StatementRunner::Execute(const Caller& caller, std::string_view sql) {
  if (draining()) {
    return base::Fail(base::ErrorCode::kUnavailable,
                      "This worker is being stopped; run the statement again.");
  }
  auto session = sessions_.Get(caller.connection_name);
  if (!session) return std::unexpected(session.error());
  auto lease = (*session)->Acquire(caller.deadline, caller.gone);
  if (!lease) return std::unexpected(lease.error());
  activity_.StatementStarted();
  auto stream = [&] {
    const CallWatch::Guard guard(watch_, caller.gone, [&] { lease->connection().Interrupt(); });
    return lease->connection().Execute(sql);
  }();
  activity_.StatementEnded();
  if (!stream) return std::unexpected(stream.error());
  return std::make_unique<LeasedStream>(std::move(*stream), std::move(*lease), activity_);
}

void StatementRunner::SweepLoop() {
  std::unique_lock lock(mutex_);
  while (!stop_.wait_for(lock, std::chrono::seconds(1), [this] { return stopping_; })) {
    lock.unlock();
    tickets_.Sweep();
    sessions_.Sweep();
    lock.lock();
  }
}

}  // namespace pondpilot::worker::session

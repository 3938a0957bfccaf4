#include "worker/engine/cancel_follow_up.h"

#include <algorithm>
#include <utility>

#include "telemetry/log.h"
#include "worker/engine/remote_sockets.h"

namespace pondpilot::worker::engine {
namespace {

// Long enough for whatever computes to see DuckDB's interrupt, so that connections are not made anew in vain.
constexpr std::chrono::milliseconds kFirst(100);
// The same for a scan (measured: 0.6 s at most for MySQL), and short enough that nobody waits for a dead
// server: when other statements would lose their connections too.
constexpr std::chrono::milliseconds kGrace(700);
constexpr std::chrono::milliseconds kBetween(200);
// A call that stays inside although its connections were shut down so often does not wait for a server; the
// other calls keep theirs from then on.
constexpr int kSocketAttempts = 25;

}  // namespace

CancelFollowUp::~CancelFollowUp() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void CancelFollowUp::SetRemotePorts(std::set<uint16_t> ports) {
  const std::lock_guard lock(mutex_);
  ports_ = std::move(ports);
}

void CancelFollowUp::Watch(std::shared_ptr<CallGate> gate, std::shared_ptr<duckdb::Connection> connection) {
  const uint64_t call = gate->Current();
  if (call == 0) return;
  const std::lock_guard lock(mutex_);
  if (stopping_) return;
  // Cancelled twice is watched once, which also bounds the list by the number of connections.
  if (std::ranges::any_of(watched_, [&](const Watched& w) { return w.gate == gate && w.call == call; }))
    return;
  const auto now = std::chrono::steady_clock::now();
  watched_.push_back({.gate = std::move(gate),
                      .connection = std::move(connection),
                      .call = call,
                      .since = now,
                      .next = now + std::min(kFirst, overdue_after_)});
  // Started with the first cancel: most workers never need it.
  if (!thread_.joinable()) thread_ = std::thread(&CancelFollowUp::Loop, this);
  wake_.notify_all();
}

// True when it has to come back.
bool CancelFollowUp::Attempt(Watched& watched, const std::set<uint16_t>& ports, bool alone) {
  size_t sockets = 0;
  const bool may_close = alone || std::chrono::steady_clock::now() - watched.since >= kGrace;
  const bool inside = watched.gate->IfStillInside(watched.call, [&] {
    watched.connection->Interrupt();
    if (may_close && watched.attempts < kSocketAttempts) sockets = ShutDownRemoteSockets(ports);
  });
  if (!inside) {
    if (watched.overdue) --overdue_;
    return false;
  }
  if (sockets > 0) {
    telemetry::Log(telemetry::Level::kInfo, "Closed connections to databases to end a cancelled query",
                   {{"connections", sockets}});
  }
  ++watched.attempts;
  const auto now = std::chrono::steady_clock::now();
  watched.next = now + kBetween;
  if (!watched.overdue && now - watched.since >= overdue_after_) {
    watched.overdue = true;
    ++overdue_;
    telemetry::Log(
        telemetry::Level::kWarn, "A cancelled query does not end: this worker must be replaced",
        {{"seconds", std::chrono::duration_cast<std::chrono::seconds>(now - watched.since).count()}});
  }
  return true;
}

void CancelFollowUp::Loop() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    if (watched_.empty()) {
      wake_.wait(lock);
      continue;
    }
    const auto first = std::ranges::min_element(watched_, {}, &Watched::next)->next;
    if (std::chrono::steady_clock::now() < first) {
      wake_.wait_until(lock, first);
      continue;
    }
    std::vector<Watched> due = std::move(watched_);
    watched_.clear();
    const std::set<uint16_t> ports = ports_;
    lock.unlock();
    const auto cancelled = std::ranges::count_if(
        due, [](const Watched& watched) { return watched.gate->Current() == watched.call; });
    const bool alone = std::cmp_less_equal(users_->load(), cancelled);
    std::vector<Watched> left;
    for (Watched& one : due) {
      if (std::chrono::steady_clock::now() < one.next || Attempt(one, ports, alone))
        left.push_back(std::move(one));
    }
    // The last owner of a connection must not end it under the lock.
    due.clear();
    lock.lock();
    std::ranges::move(left, std::back_inserter(watched_));
  }
}

}  // namespace pondpilot::worker::engine

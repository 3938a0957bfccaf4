#include "worker/flight/quiet_event_engine.h"

#include <algorithm>
#include <utility>

namespace pondpilot::worker::flight {
namespace {

// Beyond this a steady clock's time point may not be counted any more.
constexpr std::chrono::hours kLongest(24 * 365);

absl::Status NotHere() { return absl::UnimplementedError("a worker opens no connections through gRPC"); }

}  // namespace

QuietEventEngine::QuietEventEngine() : thread_(&QuietEventEngine::Loop, this) {}

QuietEventEngine::~QuietEventEngine() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void QuietEventEngine::Run(Closure* closure) { (void)RunAfter(Duration::zero(), closure); }

void QuietEventEngine::Run(absl::AnyInvocable<void()> closure) {
  (void)RunAfter(Duration::zero(), std::move(closure));
}

QuietEventEngine::TaskHandle QuietEventEngine::RunAfter(Duration when, Closure* closure) {
  return RunAfter(when, [closure] { closure->Run(); });
}

QuietEventEngine::TaskHandle QuietEventEngine::RunAfter(Duration when, absl::AnyInvocable<void()> closure) {
  const auto wait = std::clamp<Duration>(when, Duration::zero(), kLongest);
  bool first = false;
  Key key;
  {
    const std::lock_guard lock(mutex_);
    key = {Clock::now() + wait, ++last_number_};
    const auto added = tasks_.emplace(key, std::move(closure)).first;
    first = added == tasks_.begin();  // not in one expression: begin() may be asked before it is there
  }
  if (first) changed_.notify_one();
  return {{static_cast<intptr_t>(key.first.time_since_epoch().count()), static_cast<intptr_t>(key.second)}};
}

bool QuietEventEngine::Cancel(TaskHandle handle) {
  const Key key{Clock::time_point(Clock::duration(handle.keys[0])), handle.keys[1]};
  absl::AnyInvocable<void()> cancelled;  // what it holds ends outside the lock
  const std::lock_guard lock(mutex_);
  const auto found = tasks_.find(key);
  if (found == tasks_.end()) return false;
  cancelled = std::move(found->second);
  tasks_.erase(found);
  return true;
}

void QuietEventEngine::Loop() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    if (tasks_.empty()) {
      changed_.wait(lock);
      continue;
    }
    const auto next = tasks_.begin();
    if (const auto due = next->first.first; due > Clock::now()) {
      changed_.wait_until(lock, due);
      continue;
    }
    auto task = std::move(next->second);
    tasks_.erase(next);
    lock.unlock();
    task();
    task = nullptr;
    lock.lock();
  }
}

absl::StatusOr<std::unique_ptr<QuietEventEngine::Listener>> QuietEventEngine::CreateListener(
    Listener::AcceptCallback, absl::AnyInvocable<void(absl::Status)>,
    const grpc_event_engine::experimental::EndpointConfig&,
    std::unique_ptr<grpc_event_engine::experimental::MemoryAllocatorFactory>) {
  return NotHere();
}

QuietEventEngine::ConnectionHandle QuietEventEngine::Connect(
    OnConnectCallback on_connect, const ResolvedAddress&,
    const grpc_event_engine::experimental::EndpointConfig&, grpc_event_engine::experimental::MemoryAllocator,
    Duration) {
  Run([callback = std::move(on_connect)]() mutable { callback(NotHere()); });
  return {{-1, -1}};
}

}  // namespace pondpilot::worker::flight

#include "worker/session/activity.h"

namespace pondpilot::worker::session {

void Activity::StatementStarted() {
  const std::lock_guard lock(mutex_);
  ++statements_;
  ++begun_;
}

void Activity::StatementEnded() {
  const std::lock_guard lock(mutex_);
  --statements_;
  NoteEnd();
}

void Activity::StreamOpened() {
  const std::lock_guard lock(mutex_);
  ++streams_;
  ++begun_;
}

void Activity::StreamClosed() {
  const std::lock_guard lock(mutex_);
  --streams_;
  NoteEnd();
}

void Activity::NoteEnd() {
  idle_since_ = clock_.Now();
  if (statements_ == 0 && streams_ == 0) none_.notify_all();
}

bool Activity::AwaitNone(std::chrono::milliseconds limit) const {
  std::unique_lock lock(mutex_);
  return none_.wait_for(lock, limit, [this] { return statements_ == 0 && streams_ == 0; });
}

Activity::Snapshot Activity::Get() const {
  const std::lock_guard lock(mutex_);
  Snapshot snapshot{.running_statements = statements_, .open_streams = streams_, .begun = begun_};
  if (statements_ == 0 && streams_ == 0) {
    snapshot.idle = std::chrono::duration_cast<std::chrono::milliseconds>(clock_.Now() - idle_since_);
  }
  return snapshot;
}

}  // namespace pondpilot::worker::session

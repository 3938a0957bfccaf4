#include "worker/engine/call_gate.h"

namespace pondpilot::worker::engine {

void CallGate::Enter() {
  Use(true);
  Turn();
}

void CallGate::Leave() {
  Turn();
  Use(holds_ && holds_());
}

void CallGate::Turn() {
  const std::lock_guard lock(mutex_);
  ++turns_;
}

void CallGate::Use(bool uses) {
  if (users_ == nullptr || uses == uses_) return;
  uses_ = uses;
  *users_ += uses ? 1 : -1;
}

}  // namespace pondpilot::worker::engine

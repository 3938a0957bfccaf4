#include "worker/engine/silence_watch.h"

#include <utility>

#include "worker/engine/remote_sockets.h"

namespace pondpilot::worker::engine {

SilenceWatch::SilenceWatch(std::set<uint16_t> ports)
    : ports_(std::move(ports)), thread_(&SilenceWatch::Loop, this) {}

SilenceWatch::~SilenceWatch() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  thread_.join();
}

void SilenceWatch::Loop() {
  std::unique_lock lock(mutex_);
  while (!wake_.wait_for(lock, kEvery, [this] { return stopping_; })) {
    lock.unlock();
    BoundSilence(ports_);
    lock.lock();
  }
}

}  // namespace pondpilot::worker::engine

#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <set>
#include <thread>

namespace pondpilot::worker::engine {

// Gives every connection to a MySQL or MariaDB server the bounds of BoundSilence soon after a driver has
// opened it: that driver knows a time-out for connecting only, and a scan of a host that falls silent would
// wait for hours. One thread of its own, which looks every kEvery.
class SilenceWatch {
 public:
  static constexpr std::chrono::milliseconds kEvery{1000};

  explicit SilenceWatch(std::set<uint16_t> ports);
  ~SilenceWatch();
  SilenceWatch(const SilenceWatch&) = delete;
  SilenceWatch& operator=(const SilenceWatch&) = delete;

 private:
  void Loop();

  const std::set<uint16_t> ports_;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace pondpilot::worker::engine

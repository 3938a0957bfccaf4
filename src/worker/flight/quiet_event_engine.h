#pragma once

#include <grpc/event_engine/event_engine.h>

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <thread>

namespace pondpilot::worker::flight {

// What gRPC runs later or elsewhere, on one thread that sleeps until something is due. gRPC's own engine has
// three, one of which looks around every second whether or not there is anything. A server needs no more of
// it: it has its connections from the poller that completion queues use. Thread-safe.
class QuietEventEngine final : public grpc_event_engine::experimental::EventEngine {
 public:
  QuietEventEngine();
  // What has not run yet is dropped.
  ~QuietEventEngine() override;
  QuietEventEngine(const QuietEventEngine&) = delete;
  QuietEventEngine& operator=(const QuietEventEngine&) = delete;

  bool IsWorkerThread() override { return std::this_thread::get_id() == thread_.get_id(); }
  void Run(Closure* closure) override;
  void Run(absl::AnyInvocable<void()> closure) override;
  TaskHandle RunAfter(Duration when, Closure* closure) override;
  TaskHandle RunAfter(Duration when, absl::AnyInvocable<void()> closure) override;
  // False when it runs, has run, or was cancelled.
  bool Cancel(TaskHandle handle) override;

  // For clients and for listeners of its own, of which a worker has none: kUnimplemented.
  absl::StatusOr<std::unique_ptr<Listener>> CreateListener(
      Listener::AcceptCallback on_accept, absl::AnyInvocable<void(absl::Status)> on_shutdown,
      const grpc_event_engine::experimental::EndpointConfig& config,
      std::unique_ptr<grpc_event_engine::experimental::MemoryAllocatorFactory> memory) override;
  ConnectionHandle Connect(OnConnectCallback on_connect, const ResolvedAddress& address,
                           const grpc_event_engine::experimental::EndpointConfig& config,
                           grpc_event_engine::experimental::MemoryAllocator memory, Duration timeout) override;
  bool CancelConnect(ConnectionHandle) override { return false; }
  // None.
  std::unique_ptr<DNSResolver> GetDNSResolver(const DNSResolver::ResolverOptions&) override { return nullptr; }

 private:
  using Clock = std::chrono::steady_clock;
  using Key = std::pair<Clock::time_point, int64_t>;

  void Loop();

  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<Key, absl::AnyInvocable<void()>> tasks_;  // by when they are due, then in the order they came in
  int64_t last_number_ = 0;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace pondpilot::worker::flight

#pragma once

#include <grpcpp/completion_queue.h>

#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>

namespace pondpilot::proxy::fleet {

// A completion queue of calls to workers that are not relayed, and its thread. The thread polls only while a
// call is on its way: gRPC shares its poller among all threads that wait in it, and one that waits here for
// nothing would take the relay's events and hand each of them over to the relay's own threads.
class ControlQueue {
 public:
  // Called on the queue's thread when the operation has ended, with gRPC's `ok`. The tag of the operation;
  // frees itself there.
  using Completion = std::function<void(bool)>;

  ControlQueue();
  // Waits for the calls under way; each has a deadline. Not on the queue's own thread.
  ~ControlQueue();
  ControlQueue(const ControlQueue&) = delete;
  ControlQueue& operator=(const ControlQueue&) = delete;

  ::grpc::CompletionQueue* queue() { return &queue_; }
  // The tag for one operation that is started right after; `done` is called once, whatever becomes of it.
  void* Begin(Completion done);

 private:
  void Run();

  ::grpc::CompletionQueue queue_;
  std::mutex mutex_;
  std::condition_variable changed_;
  size_t under_way_ = 0;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace pondpilot::proxy::fleet

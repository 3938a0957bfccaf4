#pragma once

#include <grpcpp/completion_queue.h>

#include <memory>
#include <thread>
#include <vector>

namespace pondpilot::proxy::grpc {

// What a completion queue hands back. The address of an Event is the tag of one pending operation; its owner
// keeps it alive until it has fired.
class Event {
 public:
  virtual ~Event() = default;
  // On the loop's thread. `ok` as gRPC defines it for the operation.
  virtual void Fire(bool ok) = 0;
};

// One completion queue and the one thread that empties it. Everything that belongs to a call, both towards
// the client and towards the worker, completes here, so that a call needs no lock.
class CompletionLoop {
 public:
  explicit CompletionLoop(std::unique_ptr<::grpc::ServerCompletionQueue> queue) : queue_(std::move(queue)) {}
  ~CompletionLoop();
  CompletionLoop(const CompletionLoop&) = delete;
  CompletionLoop& operator=(const CompletionLoop&) = delete;

  ::grpc::ServerCompletionQueue* queue() { return queue_.get(); }
  void Start();
  // After the server has shut down: lets what is pending fire, then ends the thread.
  void Stop();
  // On the loop's thread: fires `event` with true as soon as nothing else is ready, after a bounded number of
  // other events at the latest.
  void Defer(Event* event) { deferred_.push_back(event); }

 private:
  void Run();
  void FireDeferred();

  std::unique_ptr<::grpc::ServerCompletionQueue> queue_;
  std::vector<Event*> deferred_;
  std::thread thread_;
};

}  // namespace pondpilot::proxy::grpc

#include "proxy/grpc/completion_loop.h"

#include <chrono>
#include <utility>

namespace pondpilot::proxy::grpc {
namespace {

// So many events may come before what was deferred: a busy loop must not put it off for ever.
constexpr int kEventsBeforeDeferred = 32;

}  // namespace

CompletionLoop::~CompletionLoop() { Stop(); }

void CompletionLoop::Start() { thread_ = std::thread(&CompletionLoop::Run, this); }

void CompletionLoop::Stop() {
  if (!thread_.joinable()) return;
  queue_->Shutdown();
  thread_.join();
}

void CompletionLoop::FireDeferred() {
  for (Event* event : std::exchange(deferred_, {})) event->Fire(true);
}

void CompletionLoop::Run() {
  void* tag = nullptr;
  bool ok = false;
  while (true) {
    if (deferred_.empty()) {
      if (!queue_->Next(&tag, &ok)) return;
      static_cast<Event*>(tag)->Fire(ok);
      continue;
    }
    auto next = ::grpc::CompletionQueue::GOT_EVENT;
    for (int i = 0; i < kEventsBeforeDeferred && next == ::grpc::CompletionQueue::GOT_EVENT; ++i) {
      next = queue_->AsyncNext(&tag, &ok, std::chrono::system_clock::time_point());
      if (next == ::grpc::CompletionQueue::GOT_EVENT) static_cast<Event*>(tag)->Fire(ok);
    }
    FireDeferred();
  }
}

}  // namespace pondpilot::proxy::grpc

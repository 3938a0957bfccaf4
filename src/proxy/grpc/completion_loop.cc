#include "proxy/grpc/completion_loop.h"

namespace pondpilot::proxy::grpc {

CompletionLoop::~CompletionLoop() { Stop(); }

void CompletionLoop::Start() { thread_ = std::thread(&CompletionLoop::Run, this); }

void CompletionLoop::Stop() {
  if (!thread_.joinable()) return;
  queue_->Shutdown();
  thread_.join();
}

void CompletionLoop::Run() {
  void* tag = nullptr;
  bool ok = false;
  while (queue_->Next(&tag, &ok)) static_cast<Event*>(tag)->Fire(ok);
}

}  // namespace pondpilot::proxy::grpc

#include "worker/control/status_calls.h"

#include <exception>
#include <optional>
#include <utility>

namespace pondpilot::worker::control {

namespace proto = pondpilot::control::v1;

// One call at a time, again and again.
class StatusCalls::Call {
 public:
  explicit Call(StatusCalls& owner) : owner_(owner) {}

  void Await() {
    answered_ = false;
    // What one call leaves is not to be seen in the next.
    writer_.reset();
    context_.emplace();
    writer_.emplace(&*context_);
    request_.Clear();
    response_.Clear();
    owner_.IfRunning([this] {
      grpc::ServerCompletionQueue* queue = owner_.queue_.get();
      owner_.service_.RequestStatus(&*context_, &request_, &*writer_, queue, queue, this);
    });
  }

  // `ok`: as the queue says it, false for a wait that ends with the server.
  void Proceed(bool ok) {
    if (answered_) return Await();
    if (!ok) return;
    answered_ = true;
    grpc::Status status;
    try {
      status = owner_.answer_(*context_, &response_);
    } catch (const std::exception& thrown) {
      status = {grpc::StatusCode::RESOURCE_EXHAUSTED, thrown.what()};
    }
    owner_.IfRunning([&] { writer_->Finish(response_, status, this); });
  }

 private:
  StatusCalls& owner_;
  std::optional<grpc::ServerContext> context_;
  std::optional<grpc::ServerAsyncResponseWriter<proto::StatusResponse>> writer_;
  proto::StatusRequest request_;
  proto::StatusResponse response_;
  bool answered_ = false;
};

StatusCalls::StatusCalls(Service& service, Answer answer) : service_(service), answer_(std::move(answer)) {
  for (auto& call : calls_) call = std::make_unique<Call>(*this);
}

StatusCalls::~StatusCalls() {
  if (!queue_) return;
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  queue_->Shutdown();
  if (thread_.joinable()) {
    thread_.join();
    return;
  }
  void* tag = nullptr;
  bool ok = false;
  while (queue_->Next(&tag, &ok)) continue;
}

void StatusCalls::AttachTo(grpc::ServerBuilder& builder) { queue_ = builder.AddCompletionQueue(); }

void StatusCalls::Start() {
  for (const auto& call : calls_) call->Await();
  thread_ = std::thread(&StatusCalls::Run, this);
}

void StatusCalls::Run() {
  void* tag = nullptr;
  bool ok = false;
  while (queue_->Next(&tag, &ok)) static_cast<Call*>(tag)->Proceed(ok);
}

void StatusCalls::IfRunning(const std::function<void()>& enqueue) {
  const std::lock_guard lock(mutex_);
  if (!stopping_) enqueue();
}

}  // namespace pondpilot::worker::control

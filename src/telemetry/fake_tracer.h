#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "telemetry/span.h"
#include "telemetry/trace_context.h"

namespace pondpilot::telemetry {

// For tests: keeps what spans are begun with. Thread-safe.
class FakeTracer final : public Tracer {
 public:
  struct Begun {
    std::string name;
    std::string traceparent;
    std::map<std::string, std::string, std::less<>> texts;  // what was set, numbers left out
  };

  std::shared_ptr<telemetry::Span> Begin(std::string_view name, std::string_view traceparent) override {
    const std::lock_guard lock(mutex_);
    begun_.push_back(std::make_shared<Begun>(std::string(name), std::string(traceparent)));
    return std::make_shared<FakeSpan>(*this, begun_.back());
  }
  // Those that were begun since it was asked last.
  std::vector<Begun> Take() {
    const std::lock_guard lock(mutex_);
    std::vector<Begun> taken;
    for (const auto& one : begun_) taken.push_back(*one);
    begun_.clear();
    return taken;
  }

 private:
  class FakeSpan final : public telemetry::Span {
   public:
    FakeSpan(FakeTracer& tracer, std::shared_ptr<Begun> begun) : tracer_(tracer), begun_(std::move(begun)) {}
    std::string TraceParent() const override { return begun_->traceparent; }
    std::string TraceId() const override { return std::string(TraceIdOf(begun_->traceparent)); }
    void Set(std::string_view key, std::string_view value) override {
      const std::lock_guard lock(tracer_.mutex_);
      begun_->texts.insert_or_assign(std::string(key), std::string(value));
    }
    void Set(std::string_view, int64_t) override {}
    void Fail() override {}

   private:
    FakeTracer& tracer_;
    const std::shared_ptr<Begun> begun_;
  };

  std::mutex mutex_;
  std::vector<std::shared_ptr<Begun>> begun_;
};

}  // namespace pondpilot::telemetry

#include "telemetry/otlp_tracer.h"

#include <opentelemetry/exporters/otlp/otlp_http_exporter_factory.h>
#include <opentelemetry/exporters/otlp/otlp_http_exporter_options.h>
#include <opentelemetry/sdk/common/global_log_handler.h>
#include <opentelemetry/sdk/resource/resource.h>
#include <opentelemetry/sdk/trace/batch_span_processor_factory.h>
#include <opentelemetry/sdk/trace/batch_span_processor_options.h>
#include <opentelemetry/sdk/trace/exporter.h>
#include <opentelemetry/sdk/trace/processor.h>
#include <opentelemetry/sdk/trace/samplers/parent_factory.h>
#include <opentelemetry/sdk/trace/samplers/trace_id_ratio_factory.h>
#include <opentelemetry/sdk/trace/tracer_provider.h>
#include <opentelemetry/trace/span_context.h>
#include <opentelemetry/trace/span_startoptions.h>

#include <atomic>
#include <utility>

#include "base/hex.h"
#include "telemetry/log.h"
#include "telemetry/trace_context.h"

namespace pondpilot::telemetry {
namespace {

namespace api = opentelemetry::trace;
namespace nostd = opentelemetry::nostd;
namespace otlp = opentelemetry::exporter::otlp;
namespace sdk = opentelemetry::sdk::trace;
using opentelemetry::sdk::common::ExportResult;

// Batches that are begun later than this after the end was asked for are given up.
constexpr std::chrono::seconds kLastBatches(2);

// What the queue and the exporter share.
struct Flow {
  Counter* exported = nullptr;
  Counter* failed = nullptr;
  Counter* dropped = nullptr;
  std::atomic<size_t> waiting = 0;
  std::atomic<bool> given_up = false;
};

// Counts what is handed to the collector.
class CountingExporter final : public sdk::SpanExporter {
 public:
  CountingExporter(std::unique_ptr<sdk::SpanExporter> exporter, std::shared_ptr<Flow> flow)
      : exporter_(std::move(exporter)), flow_(std::move(flow)) {}

  std::unique_ptr<sdk::Recordable> MakeRecordable() noexcept override { return exporter_->MakeRecordable(); }
  ExportResult Export(const nostd::span<std::unique_ptr<sdk::Recordable>>& spans) noexcept override {
    const size_t count = spans.size();
    flow_->waiting -= count;
    const ExportResult result = flow_->given_up ? ExportResult::kFailure : exporter_->Export(spans);
    (result == ExportResult::kSuccess ? flow_->exported : flow_->failed)->Add(count);
    return result;
  }
  bool ForceFlush(std::chrono::microseconds timeout) noexcept override {
    return exporter_->ForceFlush(timeout);
  }
  bool Shutdown(std::chrono::microseconds timeout) noexcept override { return exporter_->Shutdown(timeout); }

 private:
  const std::unique_ptr<sdk::SpanExporter> exporter_;
  const std::shared_ptr<Flow> flow_;
};

// The library's queue drops silently when it is full: this one is full before it, and counts.
class BoundedProcessor final : public sdk::SpanProcessor {
 public:
  BoundedProcessor(std::unique_ptr<sdk::SpanProcessor> queue, size_t most, std::shared_ptr<Flow> flow)
      : queue_(std::move(queue)), most_(most), flow_(std::move(flow)) {}

  std::unique_ptr<sdk::Recordable> MakeRecordable() noexcept override { return queue_->MakeRecordable(); }
  void OnStart(sdk::Recordable& span, const api::SpanContext& parent) noexcept override {
    queue_->OnStart(span, parent);
  }
  void OnEnd(std::unique_ptr<sdk::Recordable>&& span) noexcept override {
    if (++flow_->waiting <= most_) return queue_->OnEnd(std::move(span));
    --flow_->waiting;
    flow_->dropped->Add();
  }
  bool ForceFlush(std::chrono::microseconds timeout) noexcept override { return queue_->ForceFlush(timeout); }
  bool Shutdown(std::chrono::microseconds timeout) noexcept override { return queue_->Shutdown(timeout); }

 private:
  const std::unique_ptr<sdk::SpanProcessor> queue_;
  const size_t most_;
  const std::shared_ptr<Flow> flow_;
};

// The library's own complaints go where the others are.
class LogLines final : public opentelemetry::sdk::common::internal_log::LogHandler {
 public:
  void Handle(opentelemetry::sdk::common::internal_log::LogLevel level, const char*, int, const char* message,
              const opentelemetry::sdk::common::AttributeMap&) noexcept override {
    using From = opentelemetry::sdk::common::internal_log::LogLevel;
    const bool bad = level == From::Error || level == From::Warning;
    Log(bad ? Level::kWarn : Level::kDebug, "OpenTelemetry", {{"says", message == nullptr ? "" : message}});
  }
};

// The client's place in its trace; an invalid one when it has sent none.
api::SpanContext ParentIn(std::string_view traceparent) {
  if (TraceIdOf(traceparent).empty()) return api::SpanContext::GetInvalid();
  const auto trace = base::FromHex(traceparent.substr(3, 32));
  const auto span = base::FromHex(traceparent.substr(36, 16));
  const auto flags = base::FromHex(traceparent.substr(53, 2));
  const auto bytes = [](const std::string& text) { return reinterpret_cast<const uint8_t*>(text.data()); };
  return {api::TraceId(nostd::span<const uint8_t, 16>(bytes(*trace), 16)),
          api::SpanId(nostd::span<const uint8_t, 8>(bytes(*span), 8)),
          api::TraceFlags(static_cast<uint8_t>((*flags)[0])), true};
}

nostd::string_view View(std::string_view text) { return {text.data(), text.size()}; }

class OtlpSpan final : public Span {
 public:
  explicit OtlpSpan(nostd::shared_ptr<api::Span> span) : span_(std::move(span)) {}
  ~OtlpSpan() override { span_->End(); }
  OtlpSpan(const OtlpSpan&) = delete;
  OtlpSpan& operator=(const OtlpSpan&) = delete;

  std::string TraceParent() const override {
    const api::SpanContext context = span_->GetContext();
    char id[16];
    context.span_id().ToLowerBase16(id);
    return "00-" + TraceId() + "-" + std::string(id, sizeof id) + (context.IsSampled() ? "-01" : "-00");
  }
  std::string TraceId() const override {
    char id[32];
    span_->GetContext().trace_id().ToLowerBase16(id);
    return {id, sizeof id};
  }
  void Set(std::string_view key, std::string_view value) override {
    span_->SetAttribute(View(key), View(value));
  }
  void Set(std::string_view key, int64_t value) override { span_->SetAttribute(View(key), value); }
  void Fail() override { span_->SetStatus(api::StatusCode::kError); }

 private:
  const nostd::shared_ptr<api::Span> span_;
};

class OtlpTracer final : public Tracer {
 public:
  OtlpTracer(const OtlpOptions& options, Registry& registry) {
    const auto counter = [&](const char* result) {
      return &registry.AddCounter("pondpilot_spans_total", "Spans of requests, by what became of them.",
                                  {{"result", result}});
    };
    flow_->exported = counter("exported");
    flow_->failed = counter("failed");
    flow_->dropped = counter("dropped");
    opentelemetry::sdk::common::internal_log::GlobalLogHandler::SetLogHandler(
        nostd::shared_ptr<opentelemetry::sdk::common::internal_log::LogHandler>(new LogLines));

    otlp::OtlpHttpExporterOptions where;  // headers and certificates from OpenTelemetry's variables
    where.url = options.endpoint + "/v1/traces";
    where.timeout = options.timeout;
    where.retry_policy_max_attempts = 2;
    sdk::BatchSpanProcessorOptions how;
    how.max_queue_size = options.queue;
    how.max_export_batch_size = options.batch;
    how.schedule_delay_millis = options.interval;
    auto queue = sdk::BatchSpanProcessorFactory::Create(
        std::make_unique<CountingExporter>(otlp::OtlpHttpExporterFactory::Create(where), flow_), how);
    std::unique_ptr<sdk::Sampler> sampler = sdk::ParentBasedSamplerFactory::Create(
        std::shared_ptr<sdk::Sampler>(sdk::TraceIdRatioBasedSamplerFactory::Create(options.sample_ratio)));
    provider_ = std::make_shared<sdk::TracerProvider>(
        std::make_unique<BoundedProcessor>(std::move(queue), options.queue, flow_),
        opentelemetry::sdk::resource::Resource::Create(
            {{"service.name", "pondpilot-proxy"}, {"service.version", options.version}}),
        std::move(sampler));
    tracer_ = provider_->GetTracer("pondpilot-proxy", options.version);
  }
  ~OtlpTracer() override {
    provider_->ForceFlush(kLastBatches);
    flow_->given_up = true;
    provider_->Shutdown();
  }
  OtlpTracer(const OtlpTracer&) = delete;
  OtlpTracer& operator=(const OtlpTracer&) = delete;

  std::shared_ptr<Span> Begin(std::string_view name, std::string_view traceparent) override {
    api::StartSpanOptions options;
    options.kind = api::SpanKind::kServer;
    options.parent = ParentIn(traceparent);
    return std::make_shared<OtlpSpan>(tracer_->StartSpan(View(name), options));
  }

 private:
  const std::shared_ptr<Flow> flow_ = std::make_shared<Flow>();
  std::shared_ptr<sdk::TracerProvider> provider_;
  nostd::shared_ptr<api::Tracer> tracer_;
};

}  // namespace

std::unique_ptr<Tracer> MakeOtlpTracer(const OtlpOptions& options, Registry& registry) {
  return std::make_unique<OtlpTracer>(options, registry);
}

}  // namespace pondpilot::telemetry

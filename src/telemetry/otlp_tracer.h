#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "telemetry/metrics.h"
#include "telemetry/span.h"

namespace pondpilot::telemetry {

struct OtlpOptions {
  std::string endpoint;  // base URL of a collector, without a final slash
  double sample_ratio = 1;
  std::string version;  // of this service
  // Spans that wait for the next batch, at most; more are dropped and counted.
  size_t queue = 2048;
  size_t batch = 512;
  std::chrono::milliseconds interval{2000};
  // How long one batch may take.
  std::chrono::milliseconds timeout{3000};
};

// Spans for an OpenTelemetry collector, over OTLP/HTTP, with OpenTelemetry's own library. A request never
// waits for the collector. Counts what becomes of spans in `registry`, which must outlive the tracer.
std::unique_ptr<Tracer> MakeOtlpTracer(const OtlpOptions& options, Registry& registry);

}  // namespace pondpilot::telemetry

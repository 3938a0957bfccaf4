#include "telemetry/metrics.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace pondpilot::telemetry {
namespace {

TEST(MetricsTest, RendersEveryKindInPrometheusText) {
  Registry registry;
  registry.AddCounter("b_total", "Things.", {{"kind", "one"}}).Add(3);
  registry.AddCounter("b_total", "ignored", {{"kind", "two"}});
  registry.AddGauge("a", "A gauge\nof two lines \\.", [] { return 2.5; });
  Histogram& seconds = registry.AddHistogram("c_seconds", "Times.", {0.1, 1}, {{"phase", "x\"y"}});
  for (const double value : {0.05, 0.1, 0.5, 7.0}) seconds.Observe(value);
  EXPECT_EQ(registry.Render(),
            "# HELP a A gauge\\nof two lines \\\\.\n"
            "# TYPE a gauge\n"
            "a 2.5\n"
            "# HELP b_total Things.\n"
            "# TYPE b_total counter\n"
            "b_total{kind=\"one\"} 3\n"
            "b_total{kind=\"two\"} 0\n"
            "# HELP c_seconds Times.\n"
            "# TYPE c_seconds histogram\n"
            "c_seconds_bucket{phase=\"x\\\"y\",le=\"0.1\"} 2\n"
            "c_seconds_bucket{phase=\"x\\\"y\",le=\"1\"} 3\n"
            "c_seconds_bucket{phase=\"x\\\"y\",le=\"+Inf\"} 4\n"
            "c_seconds_sum{phase=\"x\\\"y\"} 7.65\n"
            "c_seconds_count{phase=\"x\\\"y\"} 4\n");
}

TEST(MetricsTest, NothingIsLostBetweenThreads) {
  Registry registry;
  Counter& counter = registry.AddCounter("n_total", "N.");
  Histogram& histogram = registry.AddHistogram("h", "H.", LatencyBounds());
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&] {
        for (int i = 0; i < 10'000; ++i) {
          counter.Add();
          histogram.Observe(0.5);
          if (i % 1000 == 0) {
            EXPECT_FALSE(registry.Render().empty());
          }
        }
      });
    }
  }
  EXPECT_EQ(counter.Value(), 40'000u);
  EXPECT_DOUBLE_EQ(histogram.Get().sum, 20'000);
}

}  // namespace
}  // namespace pondpilot::telemetry

#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

namespace pondpilot::telemetry {

// Only ever grows. Thread-safe.
class Counter {
 public:
  void Add(uint64_t amount = 1) { value_.fetch_add(amount, std::memory_order_relaxed); }
  uint64_t Value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<uint64_t> value_ = 0;
};

// How often values fell into which range. Thread-safe.
class Histogram {
 public:
  // The ranges' upper ends, ascending; above the last there is one more.
  explicit Histogram(std::vector<double> bounds);

  void Observe(double value);

  const std::vector<double>& bounds() const { return bounds_; }
  struct Values {
    std::vector<uint64_t> counts;  // of each range, the last one's included
    double sum = 0;
  };
  Values Get() const;

 private:
  const std::vector<double> bounds_;
  mutable std::mutex mutex_;
  std::vector<uint64_t> counts_;
  double sum_ = 0;
};

// Bounds in seconds for what takes from a millisecond to a minute.
std::vector<double> LatencyBounds();

// Names and values; every value must come from a closed set, never from a user.
using Labels = std::vector<std::pair<std::string, std::string>>;

// What is measured, by name. Series are added when the process starts and stay. Thread-safe.
class Registry {
 public:
  // The same name may be added with several labels; help and kind are the first one's. The reference lives as
  // long as the registry.
  Counter& AddCounter(const std::string& name, const std::string& help, Labels labels = {});
  Histogram& AddHistogram(const std::string& name, const std::string& help, std::vector<double> bounds,
                          Labels labels = {});
  // Asked on every Render, on its thread.
  void AddGauge(const std::string& name, const std::string& help, std::function<double()> read,
                Labels labels = {});

  // Everything in Prometheus' text format, version 0.0.4
  // (https://prometheus.io/docs/instrumenting/exposition_formats/).
  std::string Render() const;

 private:
  enum class Kind { kCounter, kGauge, kHistogram };
  struct Series {
    std::string labels;  // rendered, without braces
    const Counter* counter = nullptr;
    const Histogram* histogram = nullptr;
    std::function<double()> read;
  };
  struct Family {
    Kind kind = Kind::kCounter;
    std::string help;
    std::vector<Series> series;
  };
  Family& FamilyOf(const std::string& name, const std::string& help, Kind kind);

  mutable std::mutex mutex_;
  std::map<std::string, Family> families_;
  std::deque<Counter> counters_;
  std::deque<Histogram> histograms_;
};

}  // namespace pondpilot::telemetry

#include "telemetry/metrics.h"

#include <algorithm>
#include <format>

namespace pondpilot::telemetry {
namespace {

std::string Escaped(const std::string& text, bool quotes) {
  std::string out;
  for (const char c : text) {
    if (c == '\\') {
      out += "\\\\";
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '"' && quotes) {
      out += "\\\"";
    } else {
      out += c;
    }
  }
  return out;
}

std::string Rendered(const Labels& labels) {
  std::string out;
  for (const auto& [name, value] : labels) {
    out += (out.empty() ? "" : ",") + name + "=\"" + Escaped(value, true) + "\"";
  }
  return out;
}

void Line(std::string& out, const std::string& name, const std::string& labels, const std::string& value) {
  out += name;
  if (!labels.empty()) out += "{" + labels + "}";
  out += " " + value + "\n";
}

void Lines(std::string& out, const std::string& name, const std::string& labels, const Histogram& histogram) {
  const Histogram::Values values = histogram.Get();
  const std::string before = labels.empty() ? "" : labels + ",";
  uint64_t so_far = 0;
  for (size_t i = 0; i < values.counts.size(); ++i) {
    so_far += values.counts[i];
    const std::string bound =
        i < histogram.bounds().size() ? std::format("{}", histogram.bounds()[i]) : std::string("+Inf");
    Line(out, name + "_bucket", before + "le=\"" + bound + "\"", std::to_string(so_far));
  }
  Line(out, name + "_sum", labels, std::format("{}", values.sum));
  Line(out, name + "_count", labels, std::to_string(so_far));
}

}  // namespace

Histogram::Histogram(std::vector<double> bounds) : bounds_(std::move(bounds)), counts_(bounds_.size() + 1) {}

void Histogram::Observe(double value) {
  const auto range = std::ranges::lower_bound(bounds_, value) - bounds_.begin();
  const std::scoped_lock lock(mutex_);
  ++counts_[static_cast<size_t>(range)];
  sum_ += value;
}

Histogram::Values Histogram::Get() const {
  const std::scoped_lock lock(mutex_);
  return {counts_, sum_};
}

std::vector<double> LatencyBounds() {
  return {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60};
}

Registry::Family& Registry::FamilyOf(const std::string& name, const std::string& help, Kind kind) {
  const auto [family, added] = families_.try_emplace(name);
  if (added) {
    family->second.kind = kind;
    family->second.help = help;
  }
  return family->second;
}

Counter& Registry::AddCounter(const std::string& name, const std::string& help, Labels labels) {
  const std::scoped_lock lock(mutex_);
  Counter& counter = counters_.emplace_back();
  FamilyOf(name, help, Kind::kCounter).series.push_back({Rendered(labels), &counter, nullptr, {}});
  return counter;
}

Histogram& Registry::AddHistogram(const std::string& name, const std::string& help,
                                  std::vector<double> bounds, Labels labels) {
  const std::scoped_lock lock(mutex_);
  Histogram& histogram = histograms_.emplace_back(std::move(bounds));
  FamilyOf(name, help, Kind::kHistogram).series.push_back({Rendered(labels), nullptr, &histogram, {}});
  return histogram;
}

void Registry::AddGauge(const std::string& name, const std::string& help, std::function<double()> read,
                        Labels labels) {
  const std::scoped_lock lock(mutex_);
  FamilyOf(name, help, Kind::kGauge).series.push_back({Rendered(labels), nullptr, nullptr, std::move(read)});
}

std::string Registry::Render() const {
  const std::scoped_lock lock(mutex_);
  std::string out;
  for (const auto& [name, family] : families_) {
    const char* kind = family.kind == Kind::kCounter ? "counter"
                       : family.kind == Kind::kGauge ? "gauge"
                                                     : "histogram";
    out += "# HELP " + name + " " + Escaped(family.help, false) + "\n# TYPE " + name + " " + kind + "\n";
    for (const Series& series : family.series) {
      if (series.counter) {
        Line(out, name, series.labels, std::to_string(series.counter->Value()));
      } else if (series.histogram) {
        Lines(out, name, series.labels, *series.histogram);
      } else {
        Line(out, name, series.labels, std::format("{}", series.read()));
      }
    }
  }
  return out;
}

}  // namespace pondpilot::telemetry

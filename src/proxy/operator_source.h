#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <vector>

#include "proxy/admin/operator.h"
#include "proxy/fleet/fleet.h"

namespace pondpilot::proxy {

// What operators may see and do, from the parts that the composition root has wired. Thread-safe.
class ProxyOperator final : public admin::OperatorSource {
 public:
  // `end` is called once, with the grace that was asked for, and must return at once.
  ProxyOperator(fleet::Fleet& fleet, std::function<void(std::chrono::milliseconds)> end)
      : fleet_(fleet), end_(std::move(end)) {}

  std::vector<admin::WorkerRow> Workers() override;
  bool StopWorker(const std::string& worker_id) override { return fleet_.StopWorker(worker_id); }
  bool Drain(std::chrono::milliseconds grace) override;

 private:
  fleet::Fleet& fleet_;
  const std::function<void(std::chrono::milliseconds)> end_;
  std::atomic<bool> draining_ = false;
};

}  // namespace pondpilot::proxy

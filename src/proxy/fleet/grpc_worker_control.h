#pragma once

#include <memory>

#include "config/config.h"
#include "proxy/fleet/control_queue.h"
#include "proxy/fleet/worker_control.h"

namespace pondpilot::proxy::fleet {

// The control contract over gRPC. Calls end on the executor of the coroutine that made them and can be
// cancelled (terminal cancellation). A worker's Flight calls go over the same connection, which is not shared
// with other workers.
class GrpcWorkerControlFactory final : public WorkerControlFactory {
 public:
  // Every worker is assigned these attachments and extensions.
  explicit GrpcWorkerControlFactory(const config::Config::DuckDb& duckdb);
  ~GrpcWorkerControlFactory() override;

  base::Secret Terms() const override;

  // For workers that are assigned from now on. Thread-safe.
  void Reconfigure(const config::Config::DuckDb& duckdb);

  // Connects at the first call, over the worker's socket if it takes it.
  std::shared_ptr<WorkerControl> Connect(const launch::LaunchedWorker& worker,
                                         const base::Secret& token) override;

 private:
  // What workers are assigned at the moment; shared with their controls.
  class Template;
  std::shared_ptr<Template> template_;
  std::shared_ptr<ControlQueue> queue_;
};

}  // namespace pondpilot::proxy::fleet

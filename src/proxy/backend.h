#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/error.h"
#include "config/config.h"
#include "proxy/launch/launcher.h"

namespace pondpilot::proxy {

// What workers run in, and what of it only people want to know.
class Backend {
 public:
  virtual ~Backend() = default;

  virtual std::string name() const = 0;  // "docker", "process"
  virtual launch::Launcher& launcher() = 0;
  // Once its Prepare has succeeded: says so in the log, and, loudly, which isolation the system denies.
  virtual void LogReady() const = 0;
  // Adds to an error of Prepare what else could be done.
  virtual base::Error Explain(base::Error error) const = 0;
  // For /health/detailed: why no worker can be started.
  virtual std::string unavailable_reason() const = 0;
  // The layers of isolation that workers go without, by name; empty when there are none.
  virtual std::string MissingIsolation() const { return {}; }
};

// By containers.backend. `config` must outlive it. `lost` is called once, on a thread of the backend's own,
// when no more workers can be started until the proxy is.
std::unique_ptr<Backend> ChooseBackend(const config::Config& config, std::function<void()> lost);

}  // namespace pondpilot::proxy

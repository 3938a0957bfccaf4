#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "jail/layers.h"
#include "proxy/launch/launcher.h"
#include "proxy/launch/process/jailer_client.h"
#include "proxy/launch/process/worker_folders.h"

namespace pondpilot::proxy::launch::process {

struct ProcessOptions {
  JailerOptions jailer;
  // Where the folders of workers may be, the best first.
  std::vector<std::filesystem::path> state_folders;
  // Sets apart the workers of several proxies on one machine; the same after a restart.
  std::string instance;
  // Layers without which no worker may run (jail/layers.h).
  std::vector<std::string> require;
  // Workers are forked by a zygote (jail/zygote.h) while there is one.
  bool zygote = true;
};

// Workers as sandboxed processes beside the proxy, which the jailer starts (src/jail). Prepare comes first
// and alone; after it, thread-safe.
class ProcessLauncher final : public Launcher {
 public:
  explicit ProcessLauncher(ProcessOptions options) : options_(std::move(options)) {}

  boost::asio::awaitable<base::Result<void>> Prepare() override;
  boost::asio::awaitable<base::Result<std::vector<FoundWorker>>> Find() override;
  boost::asio::awaitable<base::Result<void>> Check() override;
  boost::asio::awaitable<base::Result<LaunchedWorker>> Launch(WorkerSpec spec) override;
  boost::asio::awaitable<base::Result<void>> Stop(std::string handle,
                                                  std::chrono::milliseconds grace) override;
  boost::asio::awaitable<base::Result<WorkerExit>> WaitForExit(std::string handle) override;

  // What Prepare has found.
  const jail::Report& report() const { return report_; }
  const std::string& program() const { return program_; }
  // "ready", why there is none, or "off".
  const std::string& zygote() const { return zygote_; }
  std::string folder() const { return folders_ ? folders_->root().string() : ""; }

 private:
  base::Result<void> CheckRequired() const;
  boost::asio::awaitable<bool> Adopt(WorkerRecord record);
  LaunchedWorker Describe(const WorkerRecord& record) const;
  boost::asio::awaitable<base::Result<LaunchedWorker>> Start(WorkerSpec spec);

  const ProcessOptions options_;
  std::unique_ptr<JailerClient> jailer_;
  std::optional<WorkerFolders> folders_;
  jail::Report report_;
  std::string program_;
  std::string zygote_ = "off";
};

}  // namespace pondpilot::proxy::launch::process

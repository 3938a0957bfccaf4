#pragma once

#include <boost/json/fwd.hpp>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "proxy/launch/docker/engine_client.h"
#include "proxy/launch/docker/self_container.h"
#include "proxy/launch/docker/socket_folders.h"
#include "proxy/launch/launcher.h"

namespace pondpilot::proxy::launch::docker {

struct DockerOptions {
  std::string socket = "/var/run/docker.sock";
  std::string image;
  std::string network = "bridge";
  // Sets apart the workers of several proxies on one engine; empty: derived from the proxy's own container.
  std::string instance;
  // A folder in which workers' sockets are made; empty or not usable: workers are reached by their network
  // address.
  std::string socket_folder;
  // Sets apart proxies that run on one host without a container of their own: their ports, say. The same
  // after a restart.
  std::string place;
  std::chrono::milliseconds pull_timeout = std::chrono::minutes(10);
};

// Workers as containers of a Docker engine. Prepare comes first and alone; after it, thread-safe.
class DockerLauncher final : public Launcher {
 public:
  explicit DockerLauncher(DockerOptions options, HostFacts facts = ReadHostFacts());

  boost::asio::awaitable<base::Result<void>> Prepare() override;
  boost::asio::awaitable<base::Result<std::vector<FoundWorker>>> Find() override;
  boost::asio::awaitable<base::Result<void>> Check() override;
  boost::asio::awaitable<base::Result<LaunchedWorker>> Launch(WorkerSpec spec) override;
  std::string PossibleHandle(const std::string& worker_id) const override;
  boost::asio::awaitable<base::Result<void>> Stop(std::string handle,
                                                  std::chrono::milliseconds grace) override;
  boost::asio::awaitable<base::Result<WorkerExit>> WaitForExit(std::string handle) override;

  // What Prepare has found, for the log.
  const std::string& network() const { return network_; }
  const std::string& instance() const { return instance_; }
  const std::string& api_version() const { return engine_.api_version(); }
  const char* transport() const { return sockets_ && sockets_->usable() ? "unix" : "tcp"; }

 private:
  boost::asio::awaitable<base::Result<void>> FindImage();
  boost::asio::awaitable<base::Result<void>> PullImage();
  boost::asio::awaitable<base::Result<void>> FindNetwork();
  boost::asio::awaitable<base::Result<std::optional<std::string>>> ComposeNetwork();
  boost::asio::awaitable<base::Error> NoSuchNetwork();
  boost::asio::awaitable<base::Result<LaunchedWorker>> CreateAndStart(WorkerSpec spec, std::string name);
  boost::asio::awaitable<base::Result<EngineReply>> Create(const WorkerSpec& spec, std::string name,
                                                           std::shared_ptr<WorkerSocket>& socket);
  boost::asio::awaitable<base::Result<void>> Remove(std::string container);
  std::string InstanceName() const;
  // gRPC target of a container as the engine describes it; empty when it has no address on the network.
  std::string AddressIn(const boost::json::value& container) const;

  const DockerOptions options_;
  const HostFacts facts_;
  EngineClient engine_;
  // Known after Prepare, constant from then on.
  std::optional<SelfContainer> self_;
  std::string network_;
  std::string instance_;
  std::unique_ptr<SocketFolders> sockets_;  // null: none
};

}  // namespace pondpilot::proxy::launch::docker

#include "proxy/launch/docker/container_spec.h"

#include <boost/json.hpp>
#include <cmath>
#include <format>

#include "contract/names.h"

namespace pondpilot::proxy::launch::docker {
namespace {

namespace json = boost::json;

constexpr char kWorkerUser[] = "1000:1000";
constexpr char kSpillDir[] = "/var/lib/pondpilot/spill";
constexpr int64_t kPidsLimit = 512;

}  // namespace

json::value ContainerSpec(const WorkerSpec& worker, const std::string& image, const std::string& network,
                          const std::string& instance, const std::vector<FileMount>& files, bool has_socket) {
  const auto memory = static_cast<int64_t>(worker.memory_limit_bytes);
  json::array environment;
  environment.emplace_back(std::string(contract::kWorkerTokenSha256Env) + "=" + worker.token_sha256);
  environment.emplace_back(std::string(contract::kWorkerIdEnv) + "=" + worker.worker_id);
  environment.emplace_back(std::string(contract::kMemoryBytesEnv) + "=" + std::to_string(memory));
  environment.emplace_back(std::string(contract::kCpuCoresEnv) + "=" + std::format("{}", worker.cpu_limit));
  if (has_socket) {
    environment.emplace_back(std::string(contract::kSocketEnv) + "=" + contract::kSocketFolder + "/" +
                             contract::kSocketName);
  }

  // Spilled data goes to a volume of its own that is removed with the container: the root is read-only, and a
  // tmpfs would count against the memory limit that the spilling is to stay under.
  json::array mounts;
  mounts.push_back(json::object{{"Type", "volume"}, {"Target", kSpillDir}});
  for (const FileMount& file : files) {
    mounts.push_back(
        json::object{{"Type", "bind"}, {"Source", file.source}, {"Target", file.target}, {"ReadOnly", true}});
  }

  const json::object host{
      {"NetworkMode", network},
      {"Memory", memory},
      {"MemorySwap", memory},  // the same: no swap
      {"NanoCpus", static_cast<int64_t>(std::llround(worker.cpu_limit * 1e9))},
      {"PidsLimit", kPidsLimit},
      {"CapDrop", json::array{"ALL"}},
      {"SecurityOpt", json::array{"no-new-privileges"}},
      {"ReadonlyRootfs", true},
      {"Tmpfs", json::object{{"/tmp", "rw,size=16m,noexec,nosuid,nodev"}}},
      {"Mounts", std::move(mounts)},
      // Databases on the engine's own host are reached under this name.
      {"ExtraHosts", json::array{"host.docker.internal:host-gateway"}},
      {"LogConfig", json::object{{"Type", "json-file"}, {"Config", json::object{{"max-size", "10m"}}}}},
      // A core dump would hold the user's data.
      {"Ulimits", json::array{json::object{{"Name", "core"}, {"Soft", 0}, {"Hard", 0}}}},
      {"RestartPolicy", json::object{{"Name", "no"}}},
  };
  json::object labels{
      {kManagedLabel, "true"}, {kInstanceLabel, instance}, {kWorkerIdLabel, worker.worker_id}};
  if (!worker.user_id.empty()) labels[kUserDigestLabel] = UserDigest(worker.user_id);
  return json::object{
      {"Image", image},      {"Env", std::move(environment)},
      {"User", kWorkerUser}, {"Labels", std::move(labels)},
      {"HostConfig", host},
  };
}

}  // namespace pondpilot::proxy::launch::docker

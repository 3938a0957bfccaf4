#pragma once

#include <boost/asio/awaitable.hpp>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "proxy/launch/docker/engine_client.h"

namespace pondpilot::proxy::launch::docker {

// What the proxy's own process can see of where it runs.
struct HostFacts {
  std::string mountinfo;  // /proc/self/mountinfo
  std::string hostname;
  std::function<bool(const std::string&)> is_file;  // a regular file that the proxy sees at this path
};

HostFacts ReadHostFacts();

struct SelfMount {
  std::string source;       // on the engine's host
  std::string destination;  // in the proxy's container
};

// The container that the proxy itself runs in.
struct SelfContainer {
  std::string id;
  std::string name;
  std::map<std::string, std::string> labels;
  std::vector<std::string> networks;
  std::vector<SelfMount> mounts;
};

// The container's id by the file that the engine mounts at /etc/hostname; nullopt when there is none.
std::optional<std::string> ContainerIdIn(std::string_view mountinfo);

// nullopt: not in a container of this engine.
boost::asio::awaitable<base::Result<std::optional<SelfContainer>>> FindSelf(const EngineClient& engine,
                                                                            const HostFacts& facts);

// Where `path` is on the engine's host, by the mount with the longest destination above it; nullopt when no
// mount covers it.
std::optional<std::string> HostPath(const std::string& path, const std::vector<SelfMount>& mounts);

// A bind mount of one file or folder, read-only.
struct FileMount {
  std::string source;  // on the engine's host
  std::string target;  // in the worker

  bool operator==(const FileMount&) const = default;
};

// The mounts that show a worker the files at `paths`, each at the same path as here, with the -wal and -shm
// files beside them that exist. A path in the proxy's container that no mount covers needs none: it is in the
// image.
std::vector<FileMount> MountsFor(const std::vector<std::string>& paths,
                                 const std::optional<SelfContainer>& self, const HostFacts& facts);

}  // namespace pondpilot::proxy::launch::docker

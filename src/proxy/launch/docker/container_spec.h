#pragma once

#include <boost/json/value.hpp>
#include <string>
#include <vector>

#include "proxy/launch/docker/self_container.h"
#include "proxy/launch/launcher.h"

namespace pondpilot::proxy::launch::docker {

inline constexpr char kManagedLabel[] = "pondpilot.managed";
inline constexpr char kInstanceLabel[] = "pondpilot.instance";
inline constexpr char kWorkerIdLabel[] = "pondpilot.worker-id";
inline constexpr char kUserDigestLabel[] = "pondpilot.user-digest";

// The body of POST /containers/create for a worker. This is where a worker's confinement is written down.
// `has_socket`: one of the mounts is the folder with its socket.
boost::json::value ContainerSpec(const WorkerSpec& worker, const std::string& image,
                                 const std::string& network, const std::string& instance,
                                 const std::vector<FileMount>& files, bool has_socket);

}  // namespace pondpilot::proxy::launch::docker

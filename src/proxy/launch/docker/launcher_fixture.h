#pragma once

#include <gtest/gtest.h>

#include <string>

#include "proxy/launch/docker/docker_launcher.h"
#include "proxy/launch/docker/fake_engine.h"

namespace pondpilot::proxy::launch::docker {

inline const std::string kSelfId(64, 'a');
inline const std::string kWorkerId = "0123456789abcdef";
inline const std::string kHandle(64, 'c');

inline HostFacts OnTheHost() {
  return {.mountinfo = "", .hostname = "box", .is_file = [](const std::string&) { return false; }};
}

inline HostFacts InAContainer() {
  HostFacts facts = OnTheHost();
  facts.mountinfo =
      "1 2 8:1 /var/lib/docker/containers/" + kSelfId + "/hostname /etc/hostname rw - ext4 /dev/sda rw\n";
  return facts;
}

class DockerLauncherTest : public ::testing::Test {
 protected:
  DockerLauncherTest() {
    options_.socket = engine_.path();
    options_.image = "worker:1";
    engine_.On("GET /v1.41/images/worker%3A1/json", {{200, R"({"Id":"i"})"}});
    engine_.On("GET /v1.41/networks/bridge", {{200, R"({"Name":"bridge"})"}});
    engine_.On(Leftovers("box"), {{200, "[]"}});
  }

  static std::string Leftovers(const std::string& instance) {
    return "GET /v1.41/containers/json?all=true&filters=" +
           UrlEncode(R"({"label":["pondpilot.managed=true","pondpilot.instance=)" + instance + R"("]})");
  }

  // The proxy's own container, on these networks.
  void Self(const std::string& networks, const std::string& labels = "{}", const std::string& mounts = "[]") {
    engine_.On(
        "GET /v1.41/containers/" + kSelfId + "/json",
        {{200, R"({"Id":")" + kSelfId + R"(","Name":"/proxy","Config":{"Labels":)" + labels +
                   R"(},"NetworkSettings":{"Networks":)" + networks + R"(},"Mounts":)" + mounts + "}"}});
    engine_.On(Leftovers("proxy"), {{200, "[]"}});
  }

  void LaunchGoesWell() {
    engine_.On("POST /v1.41/containers/create?name=pondpilot-worker-" + kWorkerId,
               {{201, R"({"Id":")" + kHandle + "\"}"}});
    engine_.On("POST /v1.41/containers/" + kHandle + "/start", {{204}});
    engine_.On("GET /v1.41/containers/" + kHandle + "/json",
               {{200, R"({"NetworkSettings":{"Networks":{"bridge":{"IPAddress":"172.17.0.9"}}}})"}});
  }

  DockerLauncher Prepared(HostFacts facts = OnTheHost()) {
    DockerLauncher launcher(options_, std::move(facts));
    const auto prepared = Await(launcher.Prepare());
    EXPECT_TRUE(prepared) << prepared.error().message;
    return launcher;
  }

  std::string PrepareError(HostFacts facts = OnTheHost()) {
    DockerLauncher launcher(options_, std::move(facts));
    const auto prepared = Await(launcher.Prepare());
    EXPECT_FALSE(prepared);
    return prepared ? "" : prepared.error().message;
  }

  static WorkerSpec Spec() {
    return {.worker_id = kWorkerId,
            .user_id = "alice",
            .token_sha256 = std::string(64, 'd'),
            .memory_limit_bytes = 512 << 20,
            .cpu_limit = 0.5,
            .sqlite_paths = {}};
  }

  FakeEngine engine_;
  DockerOptions options_;
};

}  // namespace pondpilot::proxy::launch::docker

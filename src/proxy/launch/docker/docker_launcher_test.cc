#include "proxy/launch/docker/docker_launcher.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/json.hpp>

#include "base/secret.h"
#include "proxy/launch/docker/launcher_fixture.h"

namespace pondpilot::proxy::launch::docker {
namespace {

namespace json = boost::json;
using base::ErrorCode;
using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

TEST_F(DockerLauncherTest, AWorkerIsConfined) {
  LaunchGoesWell();
  auto launcher = Prepared();
  const auto worker = Await(launcher.Launch(Spec()));
  ASSERT_TRUE(worker) << worker.error().message;
  EXPECT_EQ(worker->handle, kHandle);
  EXPECT_EQ(worker->address, "ipv4:172.17.0.9:9090");

  const json::value body = json::parse(engine_.BodyOf("POST /v1.41/containers/create"));
  EXPECT_EQ(body.at("Image"), json::value("worker:1"));
  EXPECT_EQ(body.at("User"), json::value("1000:1000"));
  EXPECT_EQ(json::serialize(body.at("Env")),
            R"(["PONDPILOT_WORKER_TOKEN_SHA256=)" + std::string(64, 'd') +
                R"(","PONDPILOT_WORKER_ID=0123456789abcdef","PONDPILOT_MEMORY_BYTES=536870912",)"
                R"("PONDPILOT_CPU_CORES=0.5"])");
  const json::value& host = body.at("HostConfig");
  EXPECT_EQ(host.at("Memory"), json::value(512 << 20));
  EXPECT_EQ(host.at("MemorySwap"), json::value(512 << 20));
  EXPECT_EQ(host.at("NanoCpus"), json::value(500'000'000));
  EXPECT_EQ(host.at("PidsLimit"), json::value(512));
  EXPECT_EQ(json::serialize(host.at("CapDrop")), R"(["ALL"])");
  EXPECT_EQ(json::serialize(host.at("SecurityOpt")), R"(["no-new-privileges"])");
  EXPECT_EQ(host.at("ReadonlyRootfs"), json::value(true));
  EXPECT_EQ(json::serialize(host.at("Tmpfs")), R"({"/tmp":"rw,size=16m,noexec,nosuid,nodev"})");
  EXPECT_EQ(json::serialize(host.at("Mounts")), R"([{"Type":"volume","Target":"/var/lib/pondpilot/spill"}])");
  EXPECT_EQ(host.at("NetworkMode"), json::value("bridge"));
  const json::value& labels = body.at("Labels");
  EXPECT_EQ(labels.at("pondpilot.managed"), json::value("true"));
  EXPECT_EQ(labels.at("pondpilot.instance"), json::value("box"));
  EXPECT_EQ(labels.at("pondpilot.worker-id"), json::value(kWorkerId));
  EXPECT_EQ(labels.at("pondpilot.user-digest"), json::value(UserDigest("alice")));
  EXPECT_THAT(engine_.BodyOf("POST /v1.41/containers/create"), Not(HasSubstr("alice")));
}

TEST_F(DockerLauncherTest, AFailedStartLeavesNothingBehind) {
  LaunchGoesWell();
  engine_.On("POST /v1.41/containers/" + kHandle + "/start", {{500, R"({"message":"no such runtime"})"}});
  engine_.On("DELETE /v1.41/containers/pondpilot-worker-" + kWorkerId + "?force=true&v=true", {{204}});
  auto launcher = Prepared();
  const auto worker = Await(launcher.Launch(Spec()));
  ASSERT_FALSE(worker);
  EXPECT_THAT(worker.error().message, HasSubstr("no such runtime"));
  EXPECT_EQ(engine_.Count("DELETE /v1.41/containers/pondpilot-worker-"), 1u);
}

TEST_F(DockerLauncherTest, AContainerWithoutAnAddressIsRemoved) {
  LaunchGoesWell();
  engine_.On(
      "GET /v1.41/containers/" + kHandle + "/json",
      {{200, R"({"State":{"Status":"exited"},"NetworkSettings":{"Networks":{"bridge":{"IPAddress":""}}}})"}});
  auto launcher = Prepared();
  const auto worker = Await(launcher.Launch(Spec()));
  ASSERT_FALSE(worker);
  EXPECT_THAT(worker.error().message, HasSubstr("exited"));
  EXPECT_EQ(engine_.Count("DELETE /v1.41/containers/pondpilot-worker-"), 1u);
}

TEST_F(DockerLauncherTest, FilesOfTheProxysMountsAreSharedReadOnly) {
  options_.network = "bridge";
  Self(R"({"bridge":{}})", "{}", R"([{"Type":"bind","Source":"/srv/shop","Destination":"/data"}])");
  LaunchGoesWell();
  HostFacts facts = InAContainer();
  facts.is_file = [](const std::string& path) { return path == "/data/shop.db"; };
  auto launcher = Prepared(facts);
  WorkerSpec spec = Spec();
  spec.sqlite_paths = {"/data/shop.db", "/elsewhere.db"};
  ASSERT_TRUE(Await(launcher.Launch(spec)));
  const json::value body = json::parse(engine_.BodyOf("POST /v1.41/containers/create"));
  EXPECT_EQ(json::serialize(body.at("HostConfig").at("Mounts").at(1)),
            R"({"Type":"bind","Source":"/srv/shop/shop.db","Target":"/data/shop.db","ReadOnly":true})");
  EXPECT_EQ(body.at("HostConfig").at("Mounts").as_array().size(), 2u);
}

TEST_F(DockerLauncherTest, AMissingImageIsPulled) {
  engine_.On("GET /v1.41/images/worker%3A1/json", {{404, R"({"message":"no such image"})"}});
  engine_.On("POST /v1.41/images/create?fromImage=worker%3A1",
             {{200, "{\"status\":\"Pulling\"}\r\n{\"status\":\"Done\"}\r\n"}});
  Prepared();
  EXPECT_EQ(engine_.Count("POST /v1.41/images/create"), 1u);
}

TEST_F(DockerLauncherTest, AnImageWithoutATagIsPulledAsLatest) {
  options_.image = "reg:5000/worker";
  engine_.On("POST /v1.41/images/create?fromImage=reg%3A5000%2Fworker%3Alatest", {{200, "{}"}});
  Prepared();
}

TEST_F(DockerLauncherTest, AnImageThatCannotBePulledSaysHowToGetIt) {
  engine_.On("GET /v1.41/images/worker%3A1/json", {{404, "{}"}});
  engine_.On(
      "POST /v1.41/images/create?fromImage=worker%3A1",
      {{200, "{\"status\":\"Pulling\"}\r\n{\"errorDetail\":{},\"error\":\"denied by registry\"}\r\n"}});
  EXPECT_THAT(PrepareError(),
              AllOf(HasSubstr("worker:1"), HasSubstr("denied by registry"), HasSubstr("CONTAINER_IMAGE")));
}

TEST_F(DockerLauncherTest, AnUnknownNetworkIsAnErrorThatListsThoseThereAre) {
  options_.network = "nowhere";
  engine_.On("GET /v1.41/networks", {{200, R"([{"Name":"bridge"},{"Name":"shop_net"}])"}});
  EXPECT_THAT(PrepareError(), AllOf(HasSubstr("nowhere"), HasSubstr("bridge, shop_net")));
}

TEST_F(DockerLauncherTest, ANetworkFoundByThePrefixOfItsIdIsNotTheOneMeant) {
  options_.network = "ab";
  engine_.On("GET /v1.41/networks/ab", {{200, R"({"Name":"other"})"}});
  EXPECT_THAT(PrepareError(), HasSubstr("no network ab"));
}

TEST_F(DockerLauncherTest, AComposeNetworkIsFoundByItsNameInTheFile) {
  options_.network = "workers";
  Self(R"({"shop_default":{},"shop_workers":{}})");
  engine_.On("GET /v1.41/networks/shop_default",
             {{200, R"({"Name":"shop_default","Labels":{"com.docker.compose.network":"default"}})"}});
  engine_.On("GET /v1.41/networks/shop_workers",
             {{200, R"({"Name":"shop_workers","Labels":{"com.docker.compose.network":"workers"}})"}});
  EXPECT_EQ(Prepared(InAContainer()).network(), "shop_workers");
}

TEST_F(DockerLauncherTest, TheDefaultGivesWayToTheNetworkThatTheProxyIsOn) {
  Self(R"({"shop_default":{}})");
  EXPECT_EQ(Prepared(InAContainer()).network(), "shop_default");
}

TEST_F(DockerLauncherTest, TheDefaultStaysWhereWorkersCanBeReachedOnIt) {
  Self(R"({"bridge":{},"other":{}})");
  EXPECT_EQ(Prepared(InAContainer()).network(), "bridge");
  Self(R"({"host":{}})");
  EXPECT_EQ(Prepared(InAContainer()).network(), "bridge");
}

TEST_F(DockerLauncherTest, TheInstanceComesFromTheConfigurationThenComposeThenTheName) {
  EXPECT_EQ(Prepared().instance(), "box");
  Self(R"({"bridge":{}})");
  EXPECT_EQ(Prepared(InAContainer()).instance(), "proxy");
  Self(R"({"bridge":{}})", R"({"com.docker.compose.project":"shop","com.docker.compose.service":"gate",)"
                           R"("com.docker.compose.container-number":"1"})");
  engine_.On(Leftovers("shop/gate/1"), {{200, "[]"}});
  EXPECT_EQ(Prepared(InAContainer()).instance(), "shop/gate/1");
  options_.instance = "mine";
  engine_.On(Leftovers("mine"), {{200, "[]"}});
  EXPECT_EQ(Prepared(InAContainer()).instance(), "mine");
}

TEST_F(DockerLauncherTest, WhatAnEarlierRunLeftIsFound) {
  engine_.On(Leftovers("box"),
             {{200, R"([{"Id":"one","State":"running","Labels":{"pondpilot.worker-id":"w1",)"
                    R"("pondpilot.user-digest":"d1"},"NetworkSettings":{"Networks":{"bridge":)"
                    R"({"IPAddress":"172.17.0.9"}}}},)"
                    R"({"Id":"two","State":"exited","Labels":{"pondpilot.worker-id":"w2"}},)"
                    R"({"Id":"three"},{"State":"running"},7])"}});
  auto launcher = Prepared();
  const auto found = Await(launcher.Find());
  ASSERT_TRUE(found) << found.error().message;
  ASSERT_EQ(found->size(), 3u) << "what has no id can't even be removed";
  const FoundWorker& one = found->at(0);
  EXPECT_EQ(one.worker.handle, "one");
  EXPECT_EQ(one.worker.worker_id, "w1");
  EXPECT_EQ(one.worker.address, "ipv4:172.17.0.9:9090");
  EXPECT_FALSE(one.worker.socket);
  EXPECT_EQ(one.user_digest, "d1");
  EXPECT_TRUE(one.running);
  EXPECT_EQ(found->at(1).user_digest, "");
  EXPECT_FALSE(found->at(1).running);
  EXPECT_FALSE(found->at(2).running);
  EXPECT_EQ(engine_.Count("DELETE"), 0u);
}

TEST_F(DockerLauncherTest, AListThatIsNoneIsAnError) {
  auto launcher = Prepared();
  engine_.On(Leftovers("box"), {{500, R"({"message":"database is locked"})"}});
  const auto found = Await(launcher.Find());
  ASSERT_FALSE(found);
  EXPECT_THAT(found.error().message, HasSubstr("database is locked"));
}

TEST_F(DockerLauncherTest, AWorkerForNobodyHasNoUsersLabel) {
  LaunchGoesWell();
  auto launcher = Prepared();
  WorkerSpec spec = Spec();
  spec.user_id.clear();
  ASSERT_TRUE(Await(launcher.Launch(spec)));
  EXPECT_THAT(engine_.BodyOf("POST /v1.41/containers/create"), Not(HasSubstr("user-digest")));
}

TEST_F(DockerLauncherTest, ACancelledLaunchRemovesWhatItMade) {
  LaunchGoesWell();
  engine_.On("POST /v1.41/containers/" + kHandle + "/start", {{.silent = true}});
  engine_.On("DELETE /v1.41/containers/pondpilot-worker-" + kWorkerId + "?force=true&v=true", {{204}});
  auto launcher = Prepared();
  boost::asio::io_context context;
  boost::asio::cancellation_signal stop;
  auto future =
      boost::asio::co_spawn(context, launcher.Launch(Spec()),
                            boost::asio::bind_cancellation_slot(stop.slot(), boost::asio::use_future));
  while (engine_.Count("POST /v1.41/containers/" + kHandle + "/start") == 0) {
    context.run_for(milliseconds(2));
  }
  stop.emit(boost::asio::cancellation_type::terminal);
  context.restart();
  context.run();
  const auto launched = future.get();
  ASSERT_FALSE(launched);
  EXPECT_EQ(launched.error().code, ErrorCode::kCancelled);
  EXPECT_EQ(engine_.Count("DELETE /v1.41/containers/pondpilot-worker-"), 1u);
}

TEST_F(DockerLauncherTest, AnAddressOfTheSixthVersionWillDo) {
  LaunchGoesWell();
  engine_.On("GET /v1.41/containers/" + kHandle + "/json",
             {{200, R"({"NetworkSettings":{"Networks":{"bridge":{"IPAddress":"",)"
                    R"("GlobalIPv6Address":"fd00::9"}}}})"}});
  auto launcher = Prepared();
  const auto worker = Await(launcher.Launch(Spec()));
  ASSERT_TRUE(worker) << worker.error().message;
  EXPECT_EQ(worker->address, "ipv6:[fd00::9]:9090");
}

TEST_F(DockerLauncherTest, TheHostsOwnNetworkIsRefused) {
  options_.network = "host";
  engine_.On("GET /v1.41/networks/host", {{200, R"({"Name":"host"})"}});
  EXPECT_THAT(PrepareError(), AllOf(HasSubstr("network host"), HasSubstr("CONTAINER_NETWORK")));
}

TEST_F(DockerLauncherTest, ProxiesOnOneHostWithoutContainersAreToldApartByTheirPlace) {
  options_.place = "8080-8081";
  engine_.On(Leftovers("box/8080-8081"), {{200, "[]"}});
  EXPECT_EQ(Prepared().instance(), "box/8080-8081");
}

TEST_F(DockerLauncherTest, StopIsGracefulThenRemoves) {
  engine_.On("POST /v1.41/containers/c/stop?t=3", {{204}});
  engine_.On("DELETE /v1.41/containers/c?force=true&v=true", {{204}});
  auto launcher = Prepared();
  EXPECT_TRUE(Await(launcher.Stop("c", milliseconds(2500))));
  EXPECT_EQ(engine_.Count("POST /v1.41/containers/c/stop"), 1u);
  EXPECT_EQ(engine_.Count("DELETE"), 1u);
}

TEST_F(DockerLauncherTest, StoppingWhatIsGoneIsSuccessAndWhatCannotBeRemovedIsNot) {
  auto launcher = Prepared();
  EXPECT_TRUE(Await(launcher.Stop("gone", seconds(1))));
  EXPECT_TRUE(Await(launcher.Stop("gone", seconds(0))));
  engine_.On("DELETE /v1.41/containers/stuck?force=true&v=true", {{500, R"({"message":"device busy"})"}});
  const auto stuck = Await(launcher.Stop("stuck", seconds(0)));
  ASSERT_FALSE(stuck);
  EXPECT_THAT(stuck.error().message, HasSubstr("device busy"));
}

TEST_F(DockerLauncherTest, AnExitSurvivesTheEnginesRestart) {
  engine_.On("POST /v1.41/containers/c/wait",
             {{.hang_up = true}, {503, "{}"}, {200, R"({"StatusCode":137})"}});
  engine_.On("GET /v1.41/containers/c/json", {{200, R"({"State":{"OOMKilled":true}})"}});
  auto launcher = Prepared();
  const auto exit = Await(launcher.WaitForExit("c"));
  ASSERT_TRUE(exit);
  EXPECT_EQ(exit->exit_code, 137);
  EXPECT_TRUE(exit->out_of_memory);
  EXPECT_EQ(engine_.Count("POST /v1.41/containers/c/wait"), 3u);
}

TEST_F(DockerLauncherTest, WhatDoesNotExistHasEnded) {
  auto launcher = Prepared();
  const auto exit = Await(launcher.WaitForExit("gone"));
  ASSERT_TRUE(exit);
  EXPECT_EQ(exit->exit_code, 137) << "it did not end by itself";
}

TEST_F(DockerLauncherTest, CheckAsksTheEngine) {
  auto launcher = Prepared();
  EXPECT_TRUE(Await(launcher.Check()));
  engine_.On("GET /_ping", {{500, R"({"message":"going down"})"}});
  EXPECT_FALSE(Await(launcher.Check()));
}

}  // namespace
}  // namespace pondpilot::proxy::launch::docker

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <filesystem>

#include "base/temporary_folder.h"
#include "proxy/launch/docker/launcher_fixture.h"

namespace pondpilot::proxy::launch::docker {
namespace {

namespace json = boost::json;
using ::testing::HasSubstr;
using ::testing::Not;

class SocketTest : public DockerLauncherTest {
 protected:
  SocketTest() {
    options_.socket_folder = folder_.path();
    LaunchGoesWell();
  }

  static std::filesystem::path FolderOf(const LaunchedWorker& worker) {
    return std::filesystem::path(worker.socket->path()).parent_path();
  }

  void ExpectNoFolderLeft() const {
    for (const auto& instance : std::filesystem::directory_iterator(folder_.path())) {
      EXPECT_TRUE(std::filesystem::is_empty(instance.path())) << instance.path();
    }
  }

  const base::TemporaryFolder folder_;
};

TEST_F(SocketTest, AWorkerIsShownItsFolderAndToldOfItsSocket) {
  auto launcher = Prepared();
  EXPECT_STREQ(launcher.transport(), "unix");
  auto worker = Await(launcher.Launch(Spec()));
  ASSERT_TRUE(worker) << worker.error().message;
  ASSERT_TRUE(worker->socket);
  EXPECT_TRUE(worker->socket->path().starts_with(folder_.path())) << worker->socket->path();
  EXPECT_TRUE(std::filesystem::is_socket(worker->socket->path()));
  const json::value body = json::parse(engine_.BodyOf("POST /v1.41/containers/create"));
  EXPECT_EQ(json::serialize(body.at("HostConfig").at("Mounts").at(1)),
            R"({"Type":"bind","Source":")" + FolderOf(*worker).string() +
                R"(","Target":"/run/pondpilot","ReadOnly":true})");
  EXPECT_THAT(json::serialize(body.at("Env")), HasSubstr("PONDPILOT_SOCKET=/run/pondpilot/flight.sock"));
  worker->socket.reset();
  ExpectNoFolderLeft();
}

TEST_F(SocketTest, AFailedLaunchLeavesNoFolder) {
  engine_.On("POST /v1.41/containers/" + kHandle + "/start", {{500, "{}"}});
  engine_.On("DELETE /v1.41/containers/pondpilot-worker-" + kWorkerId + "?force=true&v=true", {{204}});
  auto launcher = Prepared();
  ASSERT_FALSE(Await(launcher.Launch(Spec())));
  EXPECT_THAT(engine_.BodyOf("POST /v1.41/containers/create"), HasSubstr(folder_.path()));
  ExpectNoFolderLeft();
}

TEST_F(SocketTest, AnEngineThatCannotShowTheFolderGetsWorkersWithoutSockets) {
  engine_.On("POST /v1.41/containers/create?name=pondpilot-worker-" + kWorkerId,
             {{400, R"({"message":"bind source path does not exist"})"},
              {201, R"({"Id":")" + kHandle + "\"}"},
              {201, R"({"Id":")" + kHandle + "\"}"}});
  auto launcher = Prepared();
  for (int i = 0; i < 2; ++i) {
    const auto worker = Await(launcher.Launch(Spec()));
    ASSERT_TRUE(worker) << worker.error().message;
    EXPECT_FALSE(worker->socket);
    EXPECT_EQ(worker->address, "ipv4:172.17.0.9:9090");
  }
  EXPECT_EQ(engine_.Count("POST /v1.41/containers/create"), 3u) << "the second launch tries no more";
  EXPECT_THAT(engine_.BodyOf("POST /v1.41/containers/create"), Not(HasSubstr("PONDPILOT_SOCKET")));
  ExpectNoFolderLeft();
}

TEST_F(SocketTest, AFolderThatCannotBeMadeCostsOneWorkerItsSocket) {
  auto launcher = Prepared();
  const auto first = Await(launcher.Launch(Spec()));
  ASSERT_TRUE(first && first->socket);
  // The same worker's once more: its socket is there already.
  const auto again = Await(launcher.Launch(Spec()));
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_FALSE(again->socket);
}

TEST_F(SocketTest, AContainerThatIsRefusedForAnotherReasonCostsNobodyTheSockets) {
  engine_.On("POST /v1.41/containers/create?name=pondpilot-worker-" + kWorkerId,
             {{400, R"({"message":"range of CPUs is from 0.01 to 2.00"})"},
              {400, R"({"message":"range of CPUs is from 0.01 to 2.00"})"},
              {201, R"({"Id":")" + kHandle + "\"}"}});
  engine_.On("DELETE /v1.41/containers/pondpilot-worker-" + kWorkerId + "?force=true&v=true", {{404, "{}"}});
  auto launcher = Prepared();
  const auto refused = Await(launcher.Launch(Spec()));
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("range of CPUs"));
  const auto next = Await(launcher.Launch(Spec()));
  ASSERT_TRUE(next) << next.error().message;
  EXPECT_TRUE(next->socket);
}

}  // namespace
}  // namespace pondpilot::proxy::launch::docker

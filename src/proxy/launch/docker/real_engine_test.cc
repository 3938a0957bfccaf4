#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <boost/json.hpp>
#include <cstdlib>
#include <thread>

#include "base/secret.h"
#include "proxy/launch/docker/docker_launcher.h"
#include "proxy/launch/docker/fake_engine.h"

// Against a real Docker engine: PONDPILOT_TEST_DOCKER_SOCKET names its socket, PONDPILOT_TEST_DOCKER_IMAGE an
// image with a shell that is on it (default debian:forky). Everything made here is removed again. What every
// launcher does is in conformance_test.cc.
namespace pondpilot::proxy::launch::docker {
namespace {

namespace json = boost::json;
using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::HasSubstr;

constexpr milliseconds kPatience = seconds(60);

class RealEngineTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const char* socket = std::getenv("PONDPILOT_TEST_DOCKER_SOCKET");  // NOLINT(concurrency-mt-unsafe)
    if (!socket) GTEST_SKIP() << "needs a Docker engine: ./dev test integration runs it over one";
    const char* image = std::getenv("PONDPILOT_TEST_DOCKER_IMAGE");  // NOLINT(concurrency-mt-unsafe)
    base_image_ = image ? image : "debian:forky";
    options_.socket = socket;
    engine_.emplace(socket);
    const auto negotiated = Await(engine_->Negotiate());
    ASSERT_TRUE(negotiated) << negotiated.error().message;
    ASSERT_EQ(Call("GET", "/images/" + UrlEncode(base_image_) + "/json").status, 200)
        << base_image_ << " is not on the engine: set PONDPILOT_TEST_DOCKER_IMAGE";
    name_ = "pondpilot-launch-test-" + base::RandomHex(4);
    ASSERT_EQ(Call("POST", "/networks/create", json::object{{"Name", name_}}).status, 201);
    options_.instance = name_;
    options_.network = name_;
  }

  void TearDown() override {
    if (!engine_) return;
    RemoveWorkers(options_);
    for (const std::string& image : images_) Call("DELETE", "/images/" + UrlEncode(image) + "?force=true");
    Call("DELETE", "/networks/" + name_);
  }

  // All that this instance has left.
  static void RemoveWorkers(const DockerOptions& options) {
    if (options.image.empty()) return;
    DockerLauncher cleaner(options);
    EXPECT_TRUE(Await(cleaner.Prepare()));
    const auto left = Await(cleaner.Find());
    ASSERT_TRUE(left) << left.error().message;
    for (const FoundWorker& worker : *left) {
      EXPECT_TRUE(Await(cleaner.Stop(worker.worker.handle, milliseconds(0))));
    }
  }

  EngineReply Call(const std::string& verb, const std::string& path,
                   std::optional<json::value> body = std::nullopt) {
    const auto reply = Await(verb == "GET"    ? engine_->Get(path, kPatience)
                             : verb == "POST" ? engine_->Post(path, std::move(body), kPatience)
                                              : engine_->Delete(path, kPatience));
    EXPECT_TRUE(reply) << reply.error().message;
    return reply ? *reply : EngineReply{};
  }

  // Makes an image of which the worker runs `command` in a shell.
  void UseImage(const std::string& command) {
    // Never started: only its files are wanted.
    const auto created =
        Call("POST", "/containers/create", json::object{{"Image", base_image_}, {"Cmd", json::array{"sh"}}});
    ASSERT_EQ(created.status, 201);
    const std::string id = StringAt(created.body, "/Id");
    const std::string tag = base::RandomHex(4);
    const json::object config{{"Cmd", json::array{"sh", "-c", command}}};
    const auto committed = Call("POST", "/commit?container=" + id + "&repo=" + name_ + "&tag=" + tag, config);
    EXPECT_EQ(committed.status, 201) << committed.text;
    Call("DELETE", "/containers/" + id + "?force=true&v=true");
    options_.image = name_ + ":" + tag;
    images_.push_back(options_.image);
  }

  static WorkerSpec Spec(const std::string& user = "alice") {
    return {.worker_id = base::RandomHex(8),
            .user_id = user,
            .token_sha256 = base::Sha256Hex("token"),
            .memory_limit_bytes = 32 << 20,
            .cpu_limit = 0.5,
            .sqlite_paths = {}};
  }

  std::optional<EngineClient> engine_;
  DockerOptions options_;
  std::string base_image_;
  std::string name_;
  std::vector<std::string> images_;
};

TEST_F(RealEngineTest, AWorkerIsLaunchedConfinedStoppedAndGone) {
  UseImage("trap 'exit 0' TERM; while :; do sleep 0.1; done");
  DockerLauncher launcher(options_);
  auto prepared = Await(launcher.Prepare());
  ASSERT_TRUE(prepared) << prepared.error().message;
  EXPECT_TRUE(Await(launcher.Check()));
  const auto worker = Await(launcher.Launch(Spec()));
  ASSERT_TRUE(worker) << worker.error().message << worker.error().detail;
  EXPECT_TRUE(worker->address.starts_with("ipv4:") && worker->address.ends_with(":9090")) << worker->address;

  const auto shown = Call("GET", "/containers/" + worker->handle + "/json");
  boost::system::error_code error;
  EXPECT_EQ(*shown.body.find_pointer("/HostConfig/ReadonlyRootfs", error), json::value(true));
  EXPECT_EQ(*shown.body.find_pointer("/HostConfig/Memory", error), json::value(32 << 20));
  EXPECT_EQ(*shown.body.find_pointer("/HostConfig/NanoCpus", error), json::value(500'000'000));
  EXPECT_EQ(StringAt(shown.body, "/Config/User"), "1000:1000");
  EXPECT_EQ(StringAt(shown.body, "/State/Status"), "running");
  const std::string volume = StringAt(shown.body, "/Mounts/0/Name");
  ASSERT_FALSE(volume.empty());

  std::optional<base::Result<WorkerExit>> exit;
  std::jthread watcher([&] { exit = Await(launcher.WaitForExit(worker->handle)); });
  const auto begun = std::chrono::steady_clock::now();
  const auto stopped = Await(launcher.Stop(worker->handle, seconds(10)));
  EXPECT_TRUE(stopped) << stopped.error().message;
  EXPECT_LT(std::chrono::steady_clock::now() - begun, seconds(9)) << "SIGTERM did not arrive";
  watcher.join();
  ASSERT_TRUE(exit && *exit);
  EXPECT_FALSE((*exit)->out_of_memory);
  EXPECT_EQ(Call("GET", "/containers/" + worker->handle + "/json").status, 404);
  EXPECT_EQ(Call("GET", "/volumes/" + volume).status, 404) << "its spill volume was left behind";
  EXPECT_TRUE(Await(launcher.Stop(worker->handle, seconds(1)))) << "stopping it twice";
}

TEST_F(RealEngineTest, ARestartedProxyFindsItsOwnWorkersAndNoOthers) {
  UseImage("exec sleep 300");
  DockerLauncher mine(options_);
  ASSERT_TRUE(Await(mine.Prepare()));
  DockerOptions other_options = options_;
  other_options.instance = name_ + "-other";
  DockerLauncher other(other_options);
  ASSERT_TRUE(Await(other.Prepare()));
  const auto left = Await(mine.Launch(Spec("a")));
  const auto ended = Await(mine.Launch(Spec("")));
  const auto foreign = Await(other.Launch(Spec("b")));
  ASSERT_TRUE(left && ended && foreign);
  Call("POST", "/containers/" + ended->handle + "/kill");
  ASSERT_TRUE(Await(mine.WaitForExit(ended->handle)));

  DockerLauncher restarted(options_);
  ASSERT_TRUE(Await(restarted.Prepare()));
  const auto found = Await(restarted.Find());
  ASSERT_TRUE(found) << found.error().message;
  ASSERT_EQ(found->size(), 2u);
  const auto at = std::ranges::find(*found, left->handle, [](const auto& f) { return f.worker.handle; });
  ASSERT_NE(at, found->end());
  EXPECT_EQ(at->worker.worker_id, left->worker_id);
  EXPECT_EQ(at->worker.address, left->address);
  EXPECT_EQ(at->user_digest, UserDigest("a"));
  EXPECT_TRUE(at->running);
  const FoundWorker& dead = at == found->begin() ? found->back() : found->front();
  EXPECT_EQ(dead.worker.handle, ended->handle);
  EXPECT_EQ(dead.user_digest, "");
  EXPECT_FALSE(dead.running);
  EXPECT_EQ(Call("GET", "/containers/" + foreign->handle + "/json").status, 200);
  EXPECT_TRUE(Await(other.Stop(foreign->handle, seconds(0))));
}

TEST_F(RealEngineTest, AWorkerThatCannotStartLeavesNothingBehind) {
  UseImage("exec sleep 300");
  DockerLauncher launcher(options_);
  ASSERT_TRUE(Await(launcher.Prepare()));
  WorkerSpec spec = Spec();
  spec.memory_limit_bytes = 1024;  // below what the engine accepts
  const auto worker = Await(launcher.Launch(spec));
  ASSERT_FALSE(worker);
  EXPECT_THAT(worker.error().message, HasSubstr("emory"));
  EXPECT_EQ(Call("GET", "/containers/pondpilot-worker-" + spec.worker_id + "/json").status, 404);
}

TEST_F(RealEngineTest, AnImageThatIsNowhereIsAClearError) {
  DockerOptions options = options_;
  options.image = "localhost:1/pondpilot/nothing:here";
  DockerLauncher launcher(options);
  const auto prepared = Await(launcher.Prepare());
  ASSERT_FALSE(prepared);
  EXPECT_THAT(prepared.error().message, HasSubstr("docker pull localhost:1/pondpilot/nothing:here"));
}

TEST_F(RealEngineTest, FindsItsOwnContainerWhenItRunsInOne) {
  const HostFacts facts = ReadHostFacts();
  if (!ContainerIdIn(facts.mountinfo)) GTEST_SKIP() << "the test does not run in a container";
  const auto self = Await(FindSelf(*engine_, facts));
  ASSERT_TRUE(self) << self.error().message;
  ASSERT_TRUE(*self) << "the test runs in a container of another engine";
  EXPECT_EQ((*self)->id, *ContainerIdIn(facts.mountinfo));
  EXPECT_FALSE((*self)->networks.empty());
}

}  // namespace
}  // namespace pondpilot::proxy::launch::docker

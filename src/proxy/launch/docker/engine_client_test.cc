#include "proxy/launch/docker/engine_client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <boost/json.hpp>

#include "proxy/launch/docker/fake_engine.h"

namespace pondpilot::proxy::launch::docker {
namespace {

namespace asio = boost::asio;
using base::ErrorCode;
using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::HasSubstr;

TEST(EngineClientTest, AgreesOnTheEnginesVersionOrItsOwn) {
  for (const auto& [theirs, agreed] : {std::pair("1.41", "1.41"), {"1.47", "1.47"}, {"1.52", "1.47"}}) {
    FakeEngine engine(theirs);
    EngineClient client(engine.path());
    ASSERT_TRUE(Await(client.Negotiate()));
    EXPECT_EQ(client.api_version(), agreed);
  }
}

TEST(EngineClientTest, RefusesAnOldEngineAndWhatIsNone) {
  FakeEngine old("1.40");
  EngineClient client(old.path());
  const auto refused = Await(client.Negotiate());
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("1.41"));
  EXPECT_THAT(refused.error().message, HasSubstr("1.40"));

  FakeEngine none("");
  EngineClient other(none.path());
  EXPECT_FALSE(Await(other.Negotiate()));
}

TEST(EngineClientTest, AMissingSocketIsNamed) {
  EngineClient client("/nowhere/docker.sock");
  const auto result = Await(client.Negotiate());
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::kUnavailable);
  EXPECT_THAT(result.error().message, HasSubstr("/nowhere/docker.sock does not exist"));
}

TEST(EngineClientTest, ASocketThatNobodyServesIsSaidToBeSo) {
  std::string path;
  {
    FakeEngine engine;
    path = engine.path();
  }
  asio::io_context context;
  asio::local::stream_protocol::acceptor bound(context);
  bound.open();
  bound.bind(asio::local::stream_protocol::endpoint(path));  // bound, but nobody listens
  EngineClient client(path);
  const auto result = Await(client.Negotiate());
  ::unlink(path.c_str());
  ASSERT_FALSE(result);
  EXPECT_THAT(result.error().message, HasSubstr("not running"));
}

TEST(EngineClientTest, AForbiddenSocketSaysWhatToDo) {
  if (::geteuid() == 0) {
    // Root may do everything, so a process that is not root asks.
    FakeEngine engine;
    ::chmod(engine.path().c_str(), 0600);
    int out[2];
    ASSERT_EQ(::pipe(out), 0);
    const pid_t child = ::fork();
    if (child == 0) {
      if (::setuid(65534) != 0) ::_exit(1);
      EngineClient client(engine.path());
      const auto result = Await(client.Negotiate());
      const std::string message = result ? "no error" : result.error().message;
      ::_exit(::write(out[1], message.data(), message.size()) < 0 ? 1 : 0);
    }
    ::close(out[1]);
    std::string message(4096, '\0');
    message.resize(static_cast<size_t>(std::max<ssize_t>(0, ::read(out[0], message.data(), message.size()))));
    ::close(out[0]);
    EXPECT_THAT(message, HasSubstr("ls -la " + engine.path()));
    EXPECT_THAT(message, HasSubstr("--group-add 0"));
    return;
  }
  FakeEngine engine;
  ::chmod(engine.path().c_str(), 0);
  EngineClient client(engine.path());
  const auto result = Await(client.Negotiate());
  ASSERT_FALSE(result);
  EXPECT_THAT(result.error().message, HasSubstr("ls -la " + engine.path()));
  ::chmod(engine.path().c_str(), 0700);  // so that the engine can be woken to its end
}

TEST(EngineClientTest, ASilentEngineEndsAtTheTimeout) {
  FakeEngine engine;
  engine.On("GET /v1.41/info", {{.silent = true}});
  EngineClient client(engine.path());
  ASSERT_TRUE(Await(client.Negotiate()));
  const auto begun = std::chrono::steady_clock::now();
  const auto result = Await(client.Get("/info", milliseconds(100)));
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::kDeadlineExceeded);
  EXPECT_LT(std::chrono::steady_clock::now() - begun, seconds(5));
}

TEST(EngineClientTest, AClosedConnectionIsAnError) {
  FakeEngine engine;
  engine.On("GET /v1.41/info", {{.hang_up = true}});
  EngineClient client(engine.path());
  ASSERT_TRUE(Await(client.Negotiate()));
  const auto result = Await(client.Get("/info", seconds(5)));
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::kUnavailable);
}

TEST(EngineClientTest, TheEnginesOwnErrorsComeAsRepliesWithTheirMessage) {
  FakeEngine engine;
  engine.On("POST /v1.41/x", {{500, R"({"message":"no space left"})"}});
  EngineClient client(engine.path());
  ASSERT_TRUE(Await(client.Negotiate()));
  const auto reply = Await(client.Post("/x", boost::json::object{{"a", 1}}, seconds(5)));
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->status, 500);
  EXPECT_EQ(EngineError("do x", *reply).message, "The Docker engine refused to do x: no space left");
  EXPECT_EQ(engine.BodyOf("POST /v1.41/x"), R"({"a":1})");
}

TEST(EngineClientTest, EncodesForUrls) { EXPECT_EQ(UrlEncode(R"(a/b:{"c"})"), "a%2Fb%3A%7B%22c%22%7D"); }

}  // namespace
}  // namespace pondpilot::proxy::launch::docker

#include "proxy/fleet/listening.h"

#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/use_future.hpp>
#include <future>

#include "base/temporary_folder.h"

namespace pondpilot::proxy::fleet {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using std::chrono::milliseconds;
using std::chrono::seconds;

TEST(ListeningTest, ReadsTheTargetsThatLaunchersGive) {
  EXPECT_EQ(EndpointOf("ipv4:172.20.0.5:9090"), tcp::endpoint(asio::ip::make_address("172.20.0.5"), 9090));
  EXPECT_EQ(EndpointOf("ipv6:[fd00::9]:9090"), tcp::endpoint(asio::ip::make_address("fd00::9"), 9090));
  for (const char* other : {"", "unix:/tmp/worker.sock", "ipv4:", "ipv4:1.2.3.4",
                            "ipv4:1.2.3.4:", "ipv4:1.2.3.4:x", "ipv4:1.2.3.4:65536", "ipv4:1.2.3.4:80x",
                            "ipv4:worker:80", "ipv6:[1.2.3.4]:80", "ipv6:[::1]80", "dns:worker:80"}) {
    EXPECT_EQ(EndpointOf(other), std::nullopt) << other;
  }
}

class AwaitListeningTest : public ::testing::Test {
 protected:
  AwaitListeningTest() {
    acceptor_.open(tcp::v4());
    acceptor_.set_option(tcp::acceptor::reuse_address(true));
    acceptor_.bind({asio::ip::address_v4::loopback(), 0});
  }

  std::shared_ptr<launch::WorkerSocket> Socket() const {
    auto socket = launch::WorkerSocket::Listen(folder_ / "s");
    EXPECT_TRUE(socket);
    return socket ? *socket : nullptr;
  }

  std::future<Door> Begin(Doors doors, milliseconds timeout) {
    return asio::co_spawn(context_, AwaitListening(std::move(doors), timeout), asio::use_future);
  }

  // Of what has begun; nullopt when it does not end.
  std::optional<Door> Outcome(std::future<Door>& done) {
    context_.restart();
    context_.run_for(seconds(10));
    if (done.wait_for(seconds(0)) != std::future_status::ready) return std::nullopt;
    return done.get();
  }

  asio::io_context context_;
  tcp::acceptor acceptor_{context_};
  const base::TemporaryFolder folder_;
};

TEST_F(AwaitListeningTest, EndsSoonAfterSomebodyListens) {
  auto done = Begin({acceptor_.local_endpoint(), nullptr}, seconds(60));
  context_.run_for(milliseconds(100));
  EXPECT_EQ(done.wait_for(seconds(0)), std::future_status::timeout);
  acceptor_.listen();
  EXPECT_EQ(Outcome(done), Door::kAddress);
}

TEST_F(AwaitListeningTest, EndsAtItsTimeout) {
  auto done = Begin({acceptor_.local_endpoint(), Socket()}, milliseconds(50));
  EXPECT_EQ(Outcome(done), Door::kNone);
}

TEST_F(AwaitListeningTest, AWorkerThatTakesItsSocketIsFound) {
  auto done = Begin({acceptor_.local_endpoint(), Socket()}, seconds(60));
  context_.run_for(milliseconds(20));
  asio::local::stream_protocol::socket worker(context_);
  worker.connect(folder_ / "s");
  EXPECT_EQ(Outcome(done), Door::kSocket);
}

TEST_F(AwaitListeningTest, ASocketAloneWillDo) {
  auto done = Begin({std::nullopt, Socket()}, seconds(60));
  asio::local::stream_protocol::socket worker(context_);
  worker.connect(folder_ / "s");
  EXPECT_EQ(Outcome(done), Door::kSocket);
  auto nowhere = Begin({}, seconds(60));
  EXPECT_EQ(Outcome(nowhere), Door::kNone);
}

TEST_F(AwaitListeningTest, AWorkerThatTakesNoSocketIsFoundAtItsAddress) {
  acceptor_.listen();
  auto done = Begin({acceptor_.local_endpoint(), Socket()}, seconds(60));
  EXPECT_EQ(Outcome(done), Door::kAddress);
}

}  // namespace
}  // namespace pondpilot::proxy::fleet

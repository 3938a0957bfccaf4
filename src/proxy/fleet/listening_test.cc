#include "proxy/fleet/listening.h"

#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_future.hpp>
#include <thread>

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

  asio::io_context context_;
  tcp::acceptor acceptor_{context_};
};

TEST_F(AwaitListeningTest, EndsSoonAfterSomebodyListens) {
  auto done =
      asio::co_spawn(context_, AwaitListening(acceptor_.local_endpoint(), seconds(60)), asio::use_future);
  context_.run_for(milliseconds(100));
  EXPECT_EQ(done.wait_for(seconds(0)), std::future_status::timeout);
  acceptor_.listen();
  context_.run_for(seconds(10));
  EXPECT_EQ(done.wait_for(seconds(0)), std::future_status::ready);
}

TEST_F(AwaitListeningTest, EndsAtItsTimeout) {
  auto done = asio::co_spawn(context_, AwaitListening(acceptor_.local_endpoint(), milliseconds(50)),
                             asio::use_future);
  context_.run_for(seconds(10));
  EXPECT_EQ(done.wait_for(seconds(0)), std::future_status::ready);
}

}  // namespace
}  // namespace pondpilot::proxy::fleet

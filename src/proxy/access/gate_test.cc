#include "proxy/access/gate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_future.hpp>

#include "proxy/access/address_key.h"
#include "proxy/auth/token_issuer.h"

namespace pondpilot::proxy::access {
namespace {

using testing::Contains;
using testing::Pair;

const base::Secret kKey("a-key-for-tests-that-is-long-enough-for-hs256");

class GateTest : public testing::Test {
 protected:
  std::string TokenOf(const std::string& user) { return issuer_.Issue(user, std::chrono::hours(1))->token; }

  http::Response Ask(const std::string& token, const std::string& address = "192.0.2.1") {
    http::Request request;
    request.method = "GET";
    request.path = "/mine";
    request.peer_address = address;
    if (!token.empty()) request.headers.set("Authorization", "Bearer " + token);
    boost::asio::io_context io;
    auto answer = boost::asio::co_spawn(io, router_.Handle(request), boost::asio::use_future);
    io.run();
    return answer.get();
  }

  base::ManualClock clock_{std::chrono::system_clock::now()};
  auth::TokenIssuer issuer_{kKey, clock_};
  auth::TokenVerifier verifier_{kKey, clock_};
  limits::RateLimiter users_{{60, 2}, "requests", clock_};
  limits::RateLimiter strangers_{{60, 3}, "requests without a valid token", clock_};
  Gate gate_{verifier_, strangers_, [this](const auth::Principal& who) { return users_.Ask(who.user_id); }};
  http::Router router_{{gate_.Route("GET", "/mine",
                                    [](const http::Request&,
                                       const auth::Principal& who) -> boost::asio::awaitable<http::Response> {
                                      co_return http::Response{200, "text/plain", who.user_id, {}, {}};
                                    })},
                       http::Cors({})};
};

TEST_F(GateTest, TellsWhereACallerStands) {
  const std::string token = TokenOf("alice");
  const http::Response first = Ask(token);
  EXPECT_EQ(first.body, "alice");
  EXPECT_THAT(first.headers, Contains(Pair("RateLimit-Limit", "2")));
  EXPECT_THAT(first.headers, Contains(Pair("RateLimit-Remaining", "1")));
  EXPECT_THAT(first.headers, Contains(Pair("RateLimit-Reset", "1")));
  EXPECT_EQ(Ask(token).status, 200u);
  const http::Response refused = Ask(token);
  EXPECT_EQ(refused.status, 429u);
  EXPECT_THAT(refused.headers, Contains(Pair("RateLimit-Remaining", "0")));
  EXPECT_THAT(refused.headers, Contains(Pair("Retry-After", "1")));
  EXPECT_EQ(Ask(TokenOf("bob")).status, 200u) << "others have their own";
}

TEST_F(GateTest, AddressesWithoutAValidTokenAreLimited) {
  for (int i = 0; i < 3; ++i) EXPECT_EQ(Ask("no-token").status, 401u);
  EXPECT_EQ(Ask("no-token").status, 429u);
  EXPECT_EQ(Ask("").status, 429u);
  EXPECT_EQ(Ask("no-token", "192.0.2.2").status, 401u) << "another address";
  EXPECT_EQ(Ask(TokenOf("alice")).status, 200u) << "a valid token is not refused for its neighbours";
  clock_.Advance(std::chrono::seconds(1));
  EXPECT_EQ(Ask("no-token").status, 401u);
}

TEST_F(GateTest, LargeBodiesAreReadOfCallersOnly) {
  const http::Route& route = router_.routes().front();
  http::Request head;
  head.method = "GET";
  head.path = "/mine";
  head.peer_address = "192.0.2.1";
  const auto stranger = route.body_gate(head, "");
  ASSERT_TRUE(stranger.has_value());
  EXPECT_EQ(stranger->status, 401u);
  head.headers.set("Authorization", "Bearer " + TokenOf("alice"));
  EXPECT_FALSE(route.body_gate(head, "").has_value());
  EXPECT_THAT(Ask(TokenOf("alice")).headers, Contains(Pair("RateLimit-Remaining", "1")))
      << "it costs nothing";
}

TEST(AddressKeyTest, OneCustomerIsOneKey) {
  EXPECT_EQ(AddressKey("192.0.2.1"), "192.0.2.1");
  EXPECT_EQ(AddressKey("::ffff:192.0.2.1"), "192.0.2.1");
  EXPECT_EQ(AddressKey("2001:db8:1:2:3:4:5:6"), AddressKey("2001:db8:1:2::1"));
  EXPECT_NE(AddressKey("2001:db8:1:2::1"), AddressKey("2001:db8:1:3::1"));
  EXPECT_EQ(AddressKey("unknown"), "unknown");
}

}  // namespace
}  // namespace pondpilot::proxy::access

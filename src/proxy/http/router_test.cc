#include "proxy/http/router.h"

#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_future.hpp>
#include <stdexcept>

namespace pondpilot::proxy::http {
namespace {

class RouterTest : public ::testing::Test {
 protected:
  Response Ask(const std::string& method, const std::string& path, const std::string& origin = "") {
    Request request;
    request.method = method;
    request.path = path;
    request.request_id = "id";
    if (!origin.empty()) request.headers.set("Origin", origin);
    boost::asio::io_context io;
    auto future = boost::asio::co_spawn(io, router_.Handle(request), boost::asio::use_future);
    io.run();
    return future.get();
  }
  static std::string HeaderOf(const Response& response, const std::string& name) {
    for (const auto& [key, value] : response.headers) {
      if (key == name) return value;
    }
    return "";
  }

  Router router_{{{"GET", "/health",
                   [](const Request&) -> boost::asio::awaitable<Response> {
                     co_return Response{200, "application/json", "{}", {}, {}};
                   }},
                  {"POST", "/broken",
                   [](const Request&) -> boost::asio::awaitable<Response> {
                     throw std::runtime_error("secret inside");
                     co_return Response{};
                   }}},
                 Cors({"https://app.example"})};
};

TEST_F(RouterTest, FindsRoutesAndAnswersTheRest) {
  EXPECT_EQ(Ask("GET", "/health").status, 200u);
  EXPECT_EQ(Ask("HEAD", "/health").status, 200u);
  EXPECT_EQ(Ask("GET", "/nothing").status, 404u);
  const Response wrong = Ask("DELETE", "/health");
  EXPECT_EQ(wrong.status, 405u);
  EXPECT_EQ(HeaderOf(wrong, "Allow"), "GET, HEAD, OPTIONS");
}

TEST_F(RouterTest, AHandlerThatThrowsIsA500WithoutItsText) {
  const Response response = Ask("POST", "/broken");
  EXPECT_EQ(response.status, 500u);
  EXPECT_EQ(response.body.find("secret"), std::string::npos);
}

TEST_F(RouterTest, CorsForAllowedOriginsOnly) {
  EXPECT_EQ(HeaderOf(Ask("GET", "/health", "https://app.example"), "Access-Control-Allow-Origin"),
            "https://app.example");
  EXPECT_EQ(HeaderOf(Ask("GET", "/health", "https://evil.example"), "Access-Control-Allow-Origin"), "");
  const Response preflight = Ask("OPTIONS", "/broken", "https://app.example");
  EXPECT_EQ(preflight.status, 204u);
  EXPECT_EQ(HeaderOf(preflight, "Access-Control-Allow-Methods"), "POST, OPTIONS");
}

}  // namespace
}  // namespace pondpilot::proxy::http

#include "proxy/http/server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/connect.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/use_future.hpp>
#include <boost/asio/write.hpp>
#include <memory>
#include <optional>
#include <semaphore>
#include <stdexcept>
#include <thread>

#include "telemetry/fake_tracer.h"

namespace pondpilot::proxy::http {
namespace {

namespace asio = boost::asio;
using ::testing::HasSubstr;
using ::testing::StartsWith;

class ServerTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ServerLimits limits;
    limits.header_bytes = 4096;
    limits.small_body_bytes = 100;
    limits.body_bytes = 1000;
    limits.all_bodies_bytes = 1800;
    limits.request_wait = std::chrono::milliseconds(500);
    limits.connections = 50;
    ServerExtras extras;
    extras.tracer = tracer();
    extras.trusted = trusted();
    extras.is_callers = [](const Request& request) {
      return request.Header("Authorization") == "Bearer good";
    };
    auto server = Server::Start(io_.get_executor(), "127.0.0.1", 0, router_, limits, extras);
    ASSERT_TRUE(server.has_value()) << server.error().message;
    server_ = *server;
    thread_ = std::thread([this] { io_.run(); });
  }

  void TearDown() override {
    asio::co_spawn(io_, server_->Stop(std::chrono::milliseconds(200)), asio::use_future).get();
    server_.reset();
    work_.reset();
    thread_.join();
  }

  virtual telemetry::Tracer* tracer() { return nullptr; }
  virtual base::TrustedProxies trusted() { return {}; }

  asio::ip::tcp::socket Connect() {
    asio::ip::tcp::socket socket(client_io_);
    socket.connect({asio::ip::make_address("127.0.0.1"), server_->port()});
    return socket;
  }

  // Sends `text` on a connection of its own and reads until the server closes it.
  std::string Exchange(const std::string& text) {
    auto socket = Connect();
    boost::system::error_code error;
    asio::write(socket, asio::buffer(text), error);
    std::string answer;
    asio::read(socket, asio::dynamic_buffer(answer), error);
    return answer;
  }

  static Route Health() {
    Route route{"GET", "/health", [](const Request&) -> asio::awaitable<Response> {
                  co_return Response{200, "application/json", R"({"status":"healthy"})", {}, {}};
                }};
    route.at_once = true;
    return route;
  }
  // Takes large bodies of all but who says that it is a stranger.
  static Route Echo() {
    Route route{"POST", "/echo", [](const Request& request) -> asio::awaitable<Response> {
                  co_return Response{200, "text/plain", request.body + "|" + request.query, {}, {}};
                }};
    route.body_gate = [](const Request& head, std::string_view) -> std::optional<Response> {
      if (head.Header("X-Stranger").empty()) return std::nullopt;
      return Response{401, "text/plain", "who is " + head.peer_address + "?", {}, {}};
    };
    return route;
  }
  // Has a pool of its own, and takes large bodies that begin with "good".
  static Route Framed() {
    Route route{"POST", "/framed", [](const Request& request) -> asio::awaitable<Response> {
                  co_return Response{200, "text/plain", std::to_string(request.body.size()), {}, {}};
                }};
    route.body_gate = [](const Request&, std::string_view begin) -> std::optional<Response> {
      if (begin.starts_with("good")) return std::nullopt;
      return Response{403, "text/plain", "begins with " + std::string(begin.substr(0, 4)), {}, {}};
    };
    route.gate_bytes = 4;
    route.body_pool = std::make_shared<BodyPool>(1800);
    return route;
  }

  static constexpr size_t kLargeAnswer = 16 << 20;

  Router router_{{Health(),
                  Echo(),
                  Framed(),
                  {"GET", "/large",
                   [](const Request&) -> asio::awaitable<Response> {
                     co_return Response{200, "text/plain", std::string(kLargeAnswer, 'x') + "end", {}, {}};
                   }},
                  {"GET", "/stream",
                   [](const Request&) -> asio::awaitable<Response> {
                     Response response;
                     response.content_type = "text/event-stream";
                     response.stream = [](BodyWriter& writer) -> asio::awaitable<void> {
                       for (const char* piece : {"one", "", "two"}) co_await writer.Write(piece);
                     };
                     co_return response;
                   }},
                  {"GET", "/cut",
                   [](const Request&) -> asio::awaitable<Response> {
                     Response response;
                     response.stream = [](BodyWriter& writer) -> asio::awaitable<void> {
                       co_await writer.Write("begun");
                       throw std::runtime_error("broke");
                     };
                     co_return response;
                   }},
                  {"GET", "/ends-early",
                   [](const Request&) -> asio::awaitable<Response> {
                     Response response;
                     response.stream = [](BodyWriter& writer) -> asio::awaitable<void> {
                       co_await writer.Write("begun");
                       writer.Cut();
                     };
                     co_return response;
                   }},
                  {"GET", "/never", [this](const Request&) { return Never(); }},
                  {"GET", "/never-streams",
                   [this](const Request&) -> asio::awaitable<Response> {
                     Response response;
                     response.stream = [this](BodyWriter& writer) -> asio::awaitable<void> {
                       co_await writer.Write("begun");
                       co_await Never();
                     };
                     co_return response;
                   }}},
                 Cors({"https://app.example.com"})};

  // A handler that ends only when it is cancelled.
  asio::awaitable<Response> Never() {
    started_.release();
    const std::shared_ptr<void> at_end(nullptr, [this](void*) { ended_.release(); });
    asio::steady_timer timer(io_, asio::steady_timer::time_point::max());
    co_await timer.async_wait(asio::use_awaitable);
    co_return Response{};
  }

  std::binary_semaphore started_{0};
  std::binary_semaphore ended_{0};
  asio::io_context io_;
  // The context must outlive a server that has stopped: TearDown stops it once more.
  asio::executor_work_guard<asio::io_context::executor_type> work_ = asio::make_work_guard(io_);
  asio::io_context client_io_;
  std::shared_ptr<Server> server_;
  std::thread thread_;
};

TEST_F(ServerTest, AnswersAndCloses) {
  const std::string answer =
      Exchange("GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Request-Id: abc\r\n\r\n");
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 200 OK\r\n"));
  EXPECT_THAT(answer, HasSubstr("X-Request-Id: abc\r\n"));
  EXPECT_THAT(answer, HasSubstr("\r\n\r\n{\"status\":\"healthy\"}"));
}

TEST_F(ServerTest, PipelinedRequestsAreAnsweredInOrder) {
  const std::string answer = Exchange(
      "POST /echo?a=1 HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"
      "HEAD /health HTTP/1.1\r\nHost: x\r\n\r\n"
      "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: "
      "close\r\n\r\n2\r\nde\r\n0\r\n\r\n");
  const size_t first = answer.find("abc|a=1");
  const size_t second = answer.find("de|");
  EXPECT_NE(first, std::string::npos) << answer;
  EXPECT_NE(second, std::string::npos) << answer;
  EXPECT_LT(first, second);
  EXPECT_EQ(answer.find("healthy"), std::string::npos);  // HEAD has no body
}

TEST_F(ServerTest, AClientThatSendsNoMoreIsNotWaitedFor) {
  const auto began = std::chrono::steady_clock::now();
  for (const char* request :
       {"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc",
        "GET /health HTTP/1.1\r\nHost: x\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\naPOST /echo HTTP/1.1\r\nHo"}) {
    auto socket = Connect();
    asio::write(socket, asio::buffer(std::string(request)));
    socket.shutdown(asio::ip::tcp::socket::shutdown_send);
    std::string answer;
    boost::system::error_code error;
    asio::read(socket, asio::dynamic_buffer(answer), error);  // ends when the server closes
    EXPECT_EQ(error, asio::error::eof) << request;
  }
  // Sooner than an idle connection, which has 75 seconds.
  EXPECT_LT(std::chrono::steady_clock::now() - began, std::chrono::seconds(30));
}

TEST_F(ServerTest, StreamsInChunks) {
  const std::string answer = Exchange("GET /stream HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  EXPECT_THAT(answer, HasSubstr("Transfer-Encoding: chunked"));
  EXPECT_THAT(answer, HasSubstr("\r\n\r\n3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n"));
}

TEST_F(ServerTest, ACutAnswerHasNoEnd) {
  const std::string answer =
      Exchange("GET /ends-early HTTP/1.1\r\nHost: x\r\n\r\nGET /health HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_TRUE(answer.ends_with("\r\n\r\n5\r\nbegun\r\n")) << answer;
}

TEST_F(ServerTest, AnAnswerThatTheKernelDoesNotTakeAtOnceArrivesWhole) {
  const std::string answer = Exchange(
      "HEAD /large HTTP/1.1\r\nHost: x\r\n\r\nGET /large HTTP/1.1\r\nHost: x\r\n\r\n"
      "GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  const size_t body = answer.find("\r\n\r\nx");
  ASSERT_NE(body, answer.npos);
  EXPECT_EQ(answer.find("end", body), body + 4 + kLargeAnswer);
  EXPECT_TRUE(answer.ends_with("{\"status\":\"healthy\"}"));
  EXPECT_EQ(answer.find("Content-Length: " + std::to_string(kLargeAnswer + 3)),
            answer.find("Content-Length: "));
}

TEST_F(ServerTest, RefusesWhatIsTooLarge) {
  EXPECT_THAT(Exchange("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\n\r\n"),
              StartsWith("HTTP/1.1 413"));
  EXPECT_THAT(Exchange("GET /health HTTP/1.1\r\nHost: x\r\nX-Big: " + std::string(5000, 'a') + "\r\n\r\n"),
              StartsWith("HTTP/1.1 431"));
}

TEST_F(ServerTest, RefusesRequestsWithTwoMeanings) {
  for (const char* headers :
       {"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n", "Content-Length: 3\r\nContent-Length: 4\r\n",
        "Content-Length: 3\r\nContent-Length: 3\r\n", "Content-Length: -1\r\n", "Content-Length: +3\r\n",
        "Content-Length: 3 4\r\n", "Content-Length: 3, 3\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "Transfer-Encoding: xchunked\r\n",
        "Transfer-Encoding: gzip\r\n", "Transfer-Encoding: chunked, gzip\r\n",
        "Transfer-Encoding: gzip, chunked\r\n", "Content-Length: 3\r\nX-Folded: a\r\n b\r\n",
        "X-Folded: a\r\n\tTransfer-Encoding: chunked\r\nContent-Length: 3\r\n"}) {
    const std::string answer =
        Exchange(std::string("POST /echo HTTP/1.1\r\nHost: x\r\n") + headers +
                 "\r\nabcGET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    EXPECT_THAT(answer, StartsWith("HTTP/1.1 400")) << headers;
    EXPECT_EQ(answer.find("healthy"), std::string::npos) << headers;
  }
}

TEST_F(ServerTest, GarbageIsA400) {
  EXPECT_THAT(Exchange("hello there\r\n\r\n"), StartsWith("HTTP/1.1 400"));
  EXPECT_THAT(Exchange(std::string("\x16\x03\x01\x02\x00\x01\x00", 7) + "\r\n\r\n"),
              StartsWith("HTTP/1.1 400"));
  EXPECT_THAT(Exchange("GET /health HTTP/1.1\r\nHost : x\r\n\r\n"), StartsWith("HTTP/1.1 400"));
}

TEST_F(ServerTest, ARequestThatDoesNotComeIsGivenUp) {
  auto socket = Connect();
  asio::write(socket, asio::buffer(std::string("GET /health HT")));
  std::string answer;
  boost::system::error_code error;
  asio::read(socket, asio::dynamic_buffer(answer), error);  // ends when the server closes
  EXPECT_EQ(answer, "");
}

TEST_F(ServerTest, IdleConnectionsAreBounded) {
  std::vector<asio::ip::tcp::socket> idle;
  for (int i = 0; i < 50; ++i) idle.push_back(Connect());
  // The one too many is closed; when it is seen closed the fifty are counted.
  std::string answer;
  boost::system::error_code error;
  auto extra = Connect();
  asio::read(extra, asio::dynamic_buffer(answer), error);
  EXPECT_TRUE(error);
  idle.clear();
}

TEST_F(ServerTest, AHeaderMayComeByteByByte) {
  auto socket = Connect();
  for (const char c : std::string("GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")) {
    asio::write(socket, asio::buffer(&c, 1));
  }
  std::string answer;
  boost::system::error_code error;
  asio::read(socket, asio::dynamic_buffer(answer), error);
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 200"));
}

TEST_F(ServerTest, ABodyMayLookLikeAFoldedHeader) {
  EXPECT_THAT(
      Exchange("POST /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 6\r\n\r\na\r\n b\n"),
      HasSubstr("a\r\n b\n|"));
}

TEST_F(ServerTest, WhoSendsTooMuchStillGetsTheRefusal) {
  EXPECT_THAT(Exchange("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 2000000\r\n\r\n" +
                       std::string(2'000'000, 'a')),
              StartsWith("HTTP/1.1 413"));
}

TEST_F(ServerTest, AnAnswerThatBreaksOffHasNoEnd) {
  const std::string answer = Exchange("GET /cut HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_THAT(answer, HasSubstr("5\r\nbegun\r\n"));
  EXPECT_EQ(answer.find("0\r\n\r\n"), std::string::npos);
}

TEST_F(ServerTest, AllBodiesTogetherAreBounded) {
  const std::string head =
      "POST /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 900\r\n\r\n";
  const std::string whole = head + std::string(900, 'x');
  const auto eventually = [&](const std::string& expected) {
    std::string answer;
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    do {
      answer = Exchange(whole);
    } while (!answer.contains(expected) && std::chrono::steady_clock::now() < end);
    EXPECT_THAT(answer, HasSubstr(expected));
    return answer;
  };
  {
    // Bodies that are only announced take nothing from the others.
    std::vector<asio::ip::tcp::socket> silent;
    for (int i = 0; i < 10; ++i) {
      silent.push_back(Connect());
      asio::write(silent.back(), asio::buffer(head));
    }
    EXPECT_THAT(Exchange(whole), HasSubstr("200 OK"));
  }
  {
    std::vector<asio::ip::tcp::socket> slow;
    for (int i = 0; i < 2; ++i) {
      slow.push_back(Connect());
      asio::write(slow.back(), asio::buffer(whole.substr(0, whole.size() - 1)));
    }
    const std::string refusal = eventually("503 ");
    EXPECT_THAT(refusal, HasSubstr("too_busy"));
    EXPECT_THAT(refusal, HasSubstr("Retry-After: 1"));
    // What has no body is answered all the same.
    EXPECT_THAT(Exchange("GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"),
                HasSubstr("200 OK"));
  }
  // The places of those who went are free again, at the latest when their time is up.
  eventually("200 OK");
}

// A request whose body is announced to be large, without it.
std::string Head(const std::string& path, const std::string& headers = "") {
  return "POST " + path + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 900\r\n" + headers +
         "\r\n";
}

TEST_F(ServerTest, ALargeBodyThatTheGateRefusesIsNotWaitedFor) {
  const std::string answer =
      Exchange(Head("/echo", "X-Stranger: 1\r\nExpect: 100-continue\r\nOrigin: https://app.example.com\r\n"));
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 401"));
  EXPECT_THAT(answer, HasSubstr("who is 127.0.0.1?"));
  EXPECT_THAT(answer, HasSubstr("Connection: close"));
  EXPECT_THAT(answer, HasSubstr("Access-Control-Allow-Origin: https://app.example.com"));
  // Its first bytes are, where they decide.
  EXPECT_THAT(Exchange(Head("/framed") + "evil"), HasSubstr("begins with evil"));
  EXPECT_THAT(Exchange(Head("/framed") + "good" + std::string(896, 'x')), HasSubstr("\r\n\r\n900"));
  // Who does not say how long it is has sent more than a small one.
  const std::string chunked =
      "POST /framed HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n";
  EXPECT_THAT(Exchange(chunked + "65\r\nevil" + std::string(97, 'x') + "\r\n"),
              HasSubstr("begins with evil"));
  EXPECT_THAT(Exchange(chunked + "5\r\nevil!\r\n0\r\n\r\n"), HasSubstr("\r\n\r\n5"));
}

TEST_F(ServerTest, WhereNobodyIsAskedBodiesAreSmall) {
  const std::string small = "Connection: close\r\nContent-Length: 100\r\n\r\n" + std::string(100, 'x');
  const std::string large = "Connection: close\r\nContent-Length: 101\r\n\r\n";
  EXPECT_THAT(Exchange("GET /health HTTP/1.1\r\nHost: x\r\n" + small), StartsWith("HTTP/1.1 200"));
  EXPECT_THAT(Exchange("GET /health HTTP/1.1\r\nHost: x\r\n" + large), StartsWith("HTTP/1.1 413"));
  EXPECT_THAT(Exchange("POST /nowhere HTTP/1.1\r\nHost: x\r\n" + small), StartsWith("HTTP/1.1 404"));
  EXPECT_THAT(Exchange("POST /nowhere HTTP/1.1\r\nHost: x\r\n" + large), StartsWith("HTTP/1.1 413"));
}

TEST_F(ServerTest, LargeBodiesTakeNoPlaceOfSmallOnesNorOfAnotherPool) {
  const std::string body = "good" + std::string(896, 'x');
  const auto fill = [&](const std::string& path) {
    std::vector<asio::ip::tcp::socket> slow;
    for (int i = 0; i < 2; ++i) {
      slow.push_back(Connect());
      asio::write(slow.back(), asio::buffer(Head(path) + body.substr(0, 899)));
    }
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    std::string answer;
    do {
      answer = Exchange(Head(path) + body);
    } while (!answer.contains("too_busy") && std::chrono::steady_clock::now() < end);
    EXPECT_THAT(answer, HasSubstr("too_busy")) << path;
    return slow;
  };
  for (const auto& [full, other] : {std::pair("/echo", "/framed"), std::pair("/framed", "/echo")}) {
    const auto slow = fill(full);
    EXPECT_THAT(Exchange(Head(other) + body), StartsWith("HTTP/1.1 200")) << other;
    EXPECT_THAT(Exchange("POST " + std::string(full) +
                         " HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 3\r\n\r\nabc"),
                StartsWith("HTTP/1.1 200"))
        << full;
  }
}

TEST_F(ServerTest, AHandlerIsCancelledWhenItsClientGoes) {
  for (const char* path : {"/never", "/never-streams"}) {
    auto socket = Connect();
    asio::write(socket, asio::buffer(std::string("GET ") + path + " HTTP/1.1\r\nHost: x\r\n\r\n"));
    ASSERT_TRUE(started_.try_acquire_for(std::chrono::seconds(10)));
    EXPECT_FALSE(ended_.try_acquire());
    socket.close();
    EXPECT_TRUE(ended_.try_acquire_for(std::chrono::seconds(10))) << path;
  }
}

TEST_F(ServerTest, StopEndsHandlersThatDoNotEnd) {
  auto socket = Connect();
  asio::write(socket, asio::buffer(std::string("GET /never HTTP/1.1\r\nHost: x\r\n\r\n")));
  ASSERT_TRUE(started_.try_acquire_for(std::chrono::seconds(10)));
  asio::co_spawn(io_, server_->Stop(std::chrono::milliseconds(50)), asio::use_future).get();
  EXPECT_TRUE(ended_.try_acquire());
}

const char* const kTraceParent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

class TracedServerTest : public ServerTest {
 protected:
  telemetry::Tracer* tracer() override { return &tracer_; }

  // The span of a request with these headers, a traceparent besides.
  telemetry::FakeTracer::Begun SpanOf(const std::string& line, const std::string& headers = "") {
    Exchange(line + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\ntraceparent: " + kTraceParent + "\r\n" +
             headers + "\r\n");
    const auto spans = tracer_.Take();
    EXPECT_EQ(spans.size(), 1u) << line;
    return spans.empty() ? telemetry::FakeTracer::Begun() : spans[0];
  }

  telemetry::FakeTracer tracer_;
};

class TrustingServerTest : public TracedServerTest {
 protected:
  base::TrustedProxies trusted() override { return base::TrustedProxies({"127.0.0.0/8"}); }
};

TEST_F(TracedServerTest, WhoIsNotKnownDoesNotSayWhatIsExported) {
  EXPECT_EQ(SpanOf("GET /health").traceparent, "");
  EXPECT_EQ(SpanOf("GET /health", "Authorization: Bearer bad\r\n").traceparent, "");
  EXPECT_EQ(SpanOf("GET /health", "X-Forwarded-For: 127.0.0.1\r\n").traceparent, "");
  EXPECT_EQ(SpanOf("GET /health", "Authorization: Bearer good\r\n").traceparent, kTraceParent);
}

TEST_F(TrustingServerTest, WhatATrustedProxyPassesOnIsBelieved) {
  EXPECT_EQ(SpanOf("GET /health", "X-Forwarded-For: 203.0.113.9\r\n").traceparent, kTraceParent);
}

TEST_F(TracedServerTest, NamesOfSpansAreAClosedSet) {
  EXPECT_EQ(SpanOf("GET /health").name, "GET /health");
  EXPECT_EQ(SpanOf("HEAD /health").name, "HEAD /health");
  EXPECT_EQ(SpanOf("GET /nowhere").name, "GET");
  for (const char* method : {"BREW", "get", "X1", "PROPFIND"}) {
    const auto known = SpanOf(std::string(method) + " /health");
    EXPECT_EQ(known.name, "HTTP /health");
    EXPECT_EQ(known.texts.at("http.request.method"), "_OTHER");
    EXPECT_EQ(SpanOf(std::string(method) + " /nowhere").name, "HTTP");
  }
}

TEST_F(ServerTest, ATakenPortSaysWhatToDo) {
  asio::io_context io;
  const auto second = Server::Start(io.get_executor(), "127.0.0.1", server_->port(), router_);
  ASSERT_FALSE(second.has_value());
  EXPECT_THAT(second.error().message, HasSubstr("server.port"));
  EXPECT_FALSE(Server::Start(io.get_executor(), "localhost", 0, router_).has_value());
}

}  // namespace
}  // namespace pondpilot::proxy::http

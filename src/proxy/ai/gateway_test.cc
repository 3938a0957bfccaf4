#include "proxy/ai/gateway.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/use_future.hpp>
#include <mutex>
#include <nlohmann/json.hpp>
#include <semaphore>
#include <thread>

#include "proxy/ai/call_slots.h"
#include "proxy/ai/fake_provider.h"
#include "proxy/auth/token_issuer.h"
#include "proxy/http/server.h"
#include "telemetry/log.h"

namespace pondpilot::proxy::ai {
namespace {

namespace asio = boost::asio;
using nlohmann::json;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

const base::Secret kKey("a-key-for-tests-that-is-long-enough-for-hs256");
const char* const kChat = R"({"messages":[{"role":"user","content":"Hi"}],"model":"claude-x"})";
const char* const kChatGpt = R"({"messages":[{"role":"user","content":"Hi"}],"model":"gpt-x"})";
const char* const kWhole =
    R"({"messages":[{"role":"user","content":"Hi"}],"model":"claude-x","stream":false})";

std::mutex log_mutex;
std::string log_text;
void KeepLog(const std::string& line) {
  const std::lock_guard lock(log_mutex);
  log_text += line + "\n";
}
std::string TakeLog() {
  const std::lock_guard lock(log_mutex);
  return std::exchange(log_text, "");
}

// The gateway in the real HTTP server, with a provider that each test scripts.
class GatewayTest : public ::testing::Test {
 protected:
  GatewayTest() {
    telemetry::SetSinkForTest(&KeepLog);
    TakeLog();
    waits_.connect = std::chrono::seconds(5);
    waits_.answer = std::chrono::seconds(5);
    waits_.silence = std::chrono::seconds(5);
    waits_.retry_pause = std::chrono::milliseconds(20);
  }
  ~GatewayTest() override {
    if (server_) asio::co_spawn(io_, server_->Stop(std::chrono::milliseconds(0)), asio::use_future).get();
    server_.reset();
    if (thread_.joinable()) thread_.join();
    telemetry::SetSinkForTest(nullptr);
  }

  void Start(FakeProvider::Script script) {
    provider_ = std::make_unique<FakeProvider>(std::move(script));
    settings_.claude_base_url = provider_->url();
    settings_.openai_base_url = provider_->url() + "/v1/";
    StartServer();
  }
  void StartServer() {
    GatewayServices services;
    services.gate = &gate_;
    services.clock = &base::Clock::System();
    services.settings = settings_;
    services.waits = waits_;
    services.observer = &observer_;
    services.offload = offload_;
    services.catalog = [this](const http::Request&,
                              const auth::Principal& who) -> asio::awaitable<Outcome<std::string>> {
      catalog_of_ = who.user_id;
      co_return catalog_;
    };
    router_ = std::make_unique<http::Router>(AiRoutes(std::move(services)), http::Cors({}));
    auto server = http::Server::Start(io_.get_executor(), "127.0.0.1", 0, *router_);
    ASSERT_TRUE(server.has_value()) << server.error().message;
    server_ = *server;
    thread_ = std::thread([this] { io_.run(); });
  }

  asio::ip::tcp::socket Connect(asio::io_context& io) const {
    asio::ip::tcp::socket socket(io);
    socket.connect({asio::ip::make_address("127.0.0.1"), server_->port()});
    return socket;
  }
  static std::string Message(const std::string& path, const std::string& body,
                             const std::string& authorization) {
    return "POST " + path + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Request-Id: id-7\r\n" +
           authorization +
           "Content-Type: application/json\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" +
           body;
  }
  std::string Bearer(const std::string& token) const { return "Authorization: Bearer " + token + "\r\n"; }
  std::string Alice() const { return Bearer(issuer_.Issue("alice", std::chrono::hours(1))->token); }

  std::string Exchange(const std::string& message) const {
    asio::io_context io;
    auto socket = Connect(io);
    asio::write(socket, asio::buffer(message));
    std::string answer;
    boost::system::error_code error;
    asio::read(socket, asio::dynamic_buffer(answer), error);
    return answer;
  }
  std::string Post(const std::string& path, const std::string& body) const {
    return Exchange(Message(path, body, Alice()));
  }
  static json BodyOf(const std::string& answer) {
    return json::parse(answer.substr(answer.find("\r\n\r\n") + 4));
  }
  static unsigned StatusOf(const std::string& answer) {
    return static_cast<unsigned>(std::stoul(answer.substr(answer.find(' ') + 1)));
  }

  const std::shared_ptr<http::Offload> offload_ = std::make_shared<http::Offload>();
  auth::TokenVerifier verifier_{kKey, base::Clock::System()};
  auth::TokenIssuer issuer_{kKey, base::Clock::System()};
  base::Result<void> admitted_;
  limits::RateLimiter strangers_{{}, "requests", base::Clock::System()};
  access::Gate gate_{verifier_, strangers_,
                     [this](const auth::Principal&) { return limits::Answer{admitted_, {}}; }};
  config::Config::Ai settings_ = [] {
    config::Config::Ai settings;
    settings.claude_api_key = base::Secret("claude-key-secret");
    settings.openai_api_key = base::Secret("openai-key-secret");
    return settings;
  }();
  struct Observer final : CallObserver {
    void Ended(std::string_view, std::string_view, const Usage&) override {}
    void Retried(std::string_view) override { ++retries; }
    std::atomic<int> retries = 0;
  };

  UpstreamWaits waits_;
  Observer observer_;
  Outcome<std::string> catalog_ =
      R"({"databases":[{"name":"mydb","available":true,"schemas":[{"name":"public",
      "tables":[{"name":"users","kind":"table","columns":[{"name":"id","type":"INTEGER"}]}]}]}]})";
  std::string catalog_of_;
  asio::io_context io_;
  std::unique_ptr<FakeProvider> provider_;
  std::unique_ptr<http::Router> router_;
  std::shared_ptr<http::Server> server_;
  std::thread thread_;
};

const char* const kStreamHead =
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";

TEST_F(GatewayTest, OnlyJsonIsTaken) {
  StartServer();
  std::string message = Message("/ai/chat", "{}", Alice());
  message.replace(message.find("application/json"), 16, "application/xml ");
  const std::string answer = Exchange(message);
  EXPECT_EQ(StatusOf(answer), 415u);
  EXPECT_EQ(BodyOf(answer)["code"], "unsupported_media_type");
}

TEST_F(GatewayTest, StreamsClaudeAsItsOwnEvents) {
  FakeProvider::Request seen;
  Start([&](const FakeProvider::Request& request, FakeProvider::Socket& socket) {
    seen = request;
    FakeProvider::Send(socket, kStreamHead);
    for (const char* data :
         {R"({"type":"message_start","message":{"model":"claude-x-1","usage":{"input_tokens":5}}})",
          R"({"type":"content_block_delta","delta":{"type":"text_delta","text":"Hel\nlo"}})",
          R"({"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":2}})",
          R"({"type":"message_stop"})"}) {
      FakeProvider::Send(socket, FakeProvider::Chunk(std::string("event: x\ndata: ") + data + "\n\n"));
    }
    FakeProvider::Send(socket, "0\r\n\r\n");
  });
  const std::string answer = Post("/ai/chat", kChat);
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 200 OK\r\n"));
  EXPECT_THAT(answer, HasSubstr("Content-Type: text/event-stream\r\n"));
  EXPECT_THAT(answer, HasSubstr("event: delta\ndata: {\"text\":\"Hel\\nlo\"}\n\n"));
  EXPECT_THAT(answer, HasSubstr("event: done\ndata: {\"model\":\"claude-x-1\",\"stop_reason\":\"end_turn\","
                                "\"usage\":{\"input_tokens\":5,\"output_tokens\":2}}\n\n"));
  EXPECT_THAT(answer, EndsWith("\r\n0\r\n\r\n"));
  EXPECT_EQ(seen.target(), "/v1/messages");
  EXPECT_EQ(seen["x-api-key"], "claude-key-secret");
  EXPECT_EQ(seen["anthropic-version"], "2023-06-01");
  EXPECT_EQ(seen.count("Authorization"), 0u);  // the user's token stays here
  EXPECT_EQ(json::parse(seen.body())["messages"][0]["content"], "Hi");
  EXPECT_THAT(TakeLog(), HasSubstr("msg=\"AI call\" user_id=alice provider=claude model=claude-x result=ok "
                                   "input_tokens=5 output_tokens=2"));
}

TEST_F(GatewayTest, OtherModelsGoToOpenAi) {
  FakeProvider::Request seen;
  Start([&](const FakeProvider::Request& request, FakeProvider::Socket& socket) {
    seen = request;
    FakeProvider::Send(socket, kStreamHead);
    FakeProvider::Send(socket,
                       FakeProvider::Chunk("data: {\"model\":\"gpt-x\",\"choices\":[{\"delta\":{\"content\":"
                                           "\"Hi\"},\"finish_reason\":\"stop\"}]}\n\ndata: [DO"));
    FakeProvider::Send(socket, FakeProvider::Chunk("NE]\n\n") + "0\r\n\r\n");
  });
  const std::string answer = Post("/ai/chat", kChatGpt);
  EXPECT_THAT(answer, HasSubstr("event: delta\ndata: {\"text\":\"Hi\"}\n\n"));
  EXPECT_THAT(answer, HasSubstr("event: done\ndata: {\"model\":\"gpt-x\",\"stop_reason\":\"end_turn\""));
  EXPECT_EQ(seen.target(), "/v1/chat/completions");
  EXPECT_EQ(seen["Authorization"], "Bearer openai-key-secret");
}

TEST_F(GatewayTest, AWholeAnswerOnRequest) {
  Start([](const FakeProvider::Request&, FakeProvider::Socket& socket) {
    FakeProvider::Answer(
        socket, "200 OK",
        R"({"model":"claude-x-1","content":[{"type":"text","text":"Hello"}],"stop_reason":"end_turn",
                             "usage":{"input_tokens":1,"output_tokens":2}})");
  });
  const std::string answer = Post("/ai/chat", kWhole);
  EXPECT_EQ(StatusOf(answer), 200u);
  EXPECT_EQ(BodyOf(answer), json::parse(R"({"model":"claude-x-1","text":"Hello","stop_reason":"end_turn",
                                            "usage":{"input_tokens":1,"output_tokens":2}})"));
}

TEST_F(GatewayTest, EmbedsInOrder) {
  FakeProvider::Request seen;
  Start([&](const FakeProvider::Request& request, FakeProvider::Socket& socket) {
    seen = request;
    FakeProvider::Answer(
        socket, "200 OK",
        R"({"model":"e","data":[{"index":1,"embedding":[0.5]},{"index":0,"embedding":[0.25]}],"usage":{"prompt_tokens":4}})");
  });
  const std::string answer = Post("/ai/embed", R"({"input":["a","b"],"model":"e"})");
  EXPECT_EQ(BodyOf(answer), json::parse(R"({"model":"e","embeddings":[[0.25],[0.5]],
                                            "usage":{"input_tokens":4,"output_tokens":0}})"));
  EXPECT_EQ(seen.target(), "/v1/embeddings");
}

TEST_F(GatewayTest, WithoutATokenNothingIsCalled) {
  std::atomic<int> calls = 0;
  Start([&](const FakeProvider::Request&, FakeProvider::Socket&) { ++calls; });
  for (const char* path : {"/ai/chat", "/ai/embed"}) {
    const std::string answer = Exchange(Message(path, kChat, ""));
    EXPECT_EQ(StatusOf(answer), 401u);
    EXPECT_THAT(answer, HasSubstr("WWW-Authenticate: Bearer\r\n"));
    EXPECT_EQ(BodyOf(answer)["request_id"], "id-7");
    EXPECT_EQ(StatusOf(Exchange(Message(path, kChat, Bearer("a.b.c")))), 401u);
    EXPECT_EQ(StatusOf(Exchange(Message(path, kChat, Alice() + Alice()))), 401u);
  }
  const std::string get = Exchange("GET /ai/chat HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  EXPECT_EQ(StatusOf(get), 405u);
  EXPECT_THAT(get, HasSubstr("Allow: POST, OPTIONS\r\n"));
  EXPECT_EQ(calls, 0);
}

TEST_F(GatewayTest, TheUsersBudgetIsAsked) {
  admitted_ = std::unexpected(
      base::Error{base::ErrorCode::kResourceExhausted, "Rate limit exceeded.", "", std::chrono::seconds(3)});
  Start([](const FakeProvider::Request&, FakeProvider::Socket&) {});
  const std::string answer = Post("/ai/chat", kChat);
  EXPECT_EQ(StatusOf(answer), 429u);
  EXPECT_THAT(answer, HasSubstr("Retry-After: 3\r\n"));
}

TEST_F(GatewayTest, WithoutAKeyItSaysWhichVariableToSet) {
  settings_.claude_api_key = {};
  settings_.openai_api_key = {};
  StartServer();
  const std::string claude = Post("/ai/chat", kChat);
  EXPECT_EQ(StatusOf(claude), 503u);
  EXPECT_EQ(BodyOf(claude)["code"], "ai_not_configured");
  EXPECT_THAT(BodyOf(claude)["detail"], HasSubstr("CLAUDE_API_KEY"));
  EXPECT_THAT(claude, HasSubstr("Retry-After:"));
  EXPECT_THAT(BodyOf(Post("/ai/chat", kChatGpt))["detail"], HasSubstr("OPENAI_API_KEY"));
  EXPECT_THAT(BodyOf(Post("/ai/embed", R"({"input":"a","model":"e"})"))["detail"],
              HasSubstr("OPENAI_API_KEY"));
  EXPECT_EQ(StatusOf(Post("/ai/chat", "{}")), 400u);
}

TEST_F(GatewayTest, DemoUsersGetShortAnswers) {
  FakeProvider::Request seen;
  Start([&](const FakeProvider::Request& request, FakeProvider::Socket& socket) {
    seen = request;
    FakeProvider::Answer(socket, "200 OK", R"({"content":[]})");
  });
  const std::string demo = Bearer(issuer_.IssueDemo()->token);
  for (const char* tokens : {"", R"(,"max_tokens":500000)"}) {
    std::string body = kWhole;
    body.insert(body.size() - 1, tokens);
    EXPECT_EQ(StatusOf(Exchange(Message("/ai/chat", body, demo))), 200u);
    EXPECT_EQ(json::parse(seen.body())["max_tokens"], kDemoMaxTokens);
  }
}

TEST_F(GatewayTest, WhatIsLargeIsNotReadOnTheEventLoop) {
  Start([](const FakeProvider::Request& request, FakeProvider::Socket& socket) {
    const std::string text(100'000, 'x');
    const bool embeds = request.target().contains("embeddings");
    std::string numbers = "1";
    for (int i = 1; i < 40'000; ++i) numbers += ",1";
    FakeProvider::Answer(socket, "200 OK",
                         embeds ? R"({"data":[{"embedding":[)" + numbers + "]}]}"
                                : R"({"content":[{"type":"text","text":")" + text + R"("}]})");
  });
  // The catalog, and the provider's answer.
  catalog_ = R"({"databases":[{"name":")" + std::string(100'000, 'd') + R"("}]})";
  std::string body = kWhole;
  body.insert(body.size() - 1, R"(,"schema":true)");
  EXPECT_EQ(StatusOf(Post("/ai/chat", body)), 200u);
  EXPECT_EQ(offload_->taken(), 2u);
  // Requests.
  EXPECT_EQ(StatusOf(Post("/ai/chat", "[" + std::string(100'000, ' ') + "]")), 400u);
  EXPECT_EQ(StatusOf(Post("/ai/embed", "[" + std::string(100'000, ' ') + "]")), 400u);
  EXPECT_EQ(offload_->taken(), 4u);
  // Vectors, as they come and as they go.
  EXPECT_EQ(StatusOf(Post("/ai/embed", R"({"input":"x","model":"e"})")), 200u);
  EXPECT_EQ(offload_->taken(), 6u);
}

TEST_F(GatewayTest, RefusalsOfTheProvider) {
  struct Case {
    const char* status;
    const char* body;
    unsigned expected;
    const char* code;
  };
  const Case cases[] = {
      {"400 Bad", R"({"error":{"message":"max_tokens is too large"}})", 400, "ai_request_refused"},
      {"404 Not Found", R"({"error":{"message":"no such model"}})", 400, "ai_request_refused"},
      {"400 Bad",
       R"({"error":{"message":"The key claude-key-secret is not known at http://inside:8000/v1"}})", 400,
       "ai_request_refused"},
      {"422 Odd", R"({"error":{"message":"ask inside:8000 with claude-k...cret"}})", 400,
       "ai_request_refused"},
      {"404 Not Found", "<html>", 400, "ai_request_refused"},
      {"401 Unauthorized", R"({"error":{"message":"Incorrect API key provided: claude-key-secret"}})", 502,
       "ai_credentials_refused"},
      {"403 Forbidden", "", 502, "ai_credentials_refused"},
      {"429 Too Many", "", 429, "ai_rate_limited"},
      {"500 Oops", R"({"error":{"message":"inside"}})", 502, "ai_provider_failed"},
      {"529 Overloaded", "", 502, "ai_provider_failed"},
      {"504 Gateway Timeout", "", 504, "ai_timeout"},
      {"302 Found", "", 502, "ai_provider_failed"},
      {"204 No Content", "", 502, "ai_provider_failed"},
  };
  std::atomic<const Case*> current = nullptr;
  Start([&](const FakeProvider::Request&, FakeProvider::Socket& socket) {
    FakeProvider::Answer(socket, current.load()->status, current.load()->body,
                         "Retry-After: 17\r\nLocation: http://127.0.0.1:1/\r\n");
  });
  for (const Case& one : cases) {
    current = &one;
    for (const char* request : {kChat, kWhole}) {
      const std::string answer = Post("/ai/chat", request);
      EXPECT_EQ(StatusOf(answer), one.expected) << one.status;
      EXPECT_EQ(BodyOf(answer)["code"], one.code) << one.status;
      EXPECT_THAT(answer, Not(HasSubstr("key-secret")));
      EXPECT_THAT(answer, Not(HasSubstr("cret")));
      EXPECT_THAT(answer, Not(HasSubstr("inside")));
      if (one.expected == 429) {
        EXPECT_THAT(answer, HasSubstr("Retry-After: 17\r\n"));
      }
    }
    const std::string log = TakeLog();
    EXPECT_THAT(log, Not(HasSubstr("key-secret")));
    EXPECT_EQ(log.find("level=error") != std::string::npos,
              std::string(one.code) == "ai_credentials_refused");
  }
  current = &cases[0];
  EXPECT_THAT(BodyOf(Post("/ai/chat", kChat))["detail"], HasSubstr("max_tokens is too large"));
}

TEST_F(GatewayTest, AStreamThatBreaksOffEndsWithAnErrorEvent) {
  std::atomic<const char*> tail = "";
  Start([&](const FakeProvider::Request&, FakeProvider::Socket& socket) {
    FakeProvider::Send(socket, kStreamHead +
                                   FakeProvider::Chunk("data: {\"choices\":[{\"delta\":{\"content\":\"Hi\"}}]"
                                                       "}\n\n") +
                                   tail.load());
  });
  for (const char* how : {"", "0\r\n\r\n", "9\r\ndata: {}\n", "c\r\ndata: junk\n\n\r\n", "zz"}) {
    tail = how;
    const std::string answer = Post("/ai/chat", kChatGpt);
    EXPECT_EQ(StatusOf(answer), 200u);
    EXPECT_THAT(answer, HasSubstr("event: delta\ndata: {\"text\":\"Hi\"}\n\n"));
    EXPECT_THAT(answer, HasSubstr("event: error\ndata: {\"type\":\"about:blank\"")) << how;
    EXPECT_THAT(answer, HasSubstr("\"status\":502"));
    EXPECT_THAT(answer, Not(HasSubstr("event: done")));
    EXPECT_THAT(answer, EndsWith("0\r\n\r\n"));
  }
}

TEST_F(GatewayTest, WhatIsNotTheApiIsABadAnswer) {
  Start([](const FakeProvider::Request&, FakeProvider::Socket& socket) {
    FakeProvider::Answer(socket, "200 OK", "<html>a page</html>");
  });
  EXPECT_EQ(BodyOf(Post("/ai/chat", kWhole))["code"], "ai_bad_answer");
  EXPECT_EQ(BodyOf(Post("/ai/embed", R"({"input":"a","model":"e"})"))["code"], "ai_bad_answer");
}

TEST_F(GatewayTest, AnAnswerWithoutEndIsCutOff) {
  Start([](const FakeProvider::Request&, FakeProvider::Socket& socket) {
    FakeProvider::Send(socket, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    const std::string chunk = FakeProvider::Chunk(std::string(1 << 20, ' '));
    boost::system::error_code error;
    while (!error) asio::write(socket, asio::buffer(chunk), error);
  });
  const std::string answer = Post("/ai/chat", kWhole);
  EXPECT_EQ(StatusOf(answer), 502u);
  EXPECT_THAT(BodyOf(answer)["detail"], HasSubstr("too large"));
}

TEST_F(GatewayTest, ASilentProviderIsGivenUp) {
  waits_.answer = std::chrono::milliseconds(200);
  waits_.silence = std::chrono::milliseconds(200);
  std::atomic<bool> begin = false;
  Start([&](const FakeProvider::Request&, FakeProvider::Socket& socket) {
    if (begin) FakeProvider::Send(socket, kStreamHead);
    FakeProvider::AwaitClosed(socket);
  });
  const std::string silent = Post("/ai/chat", kChat);
  EXPECT_EQ(StatusOf(silent), 504u);
  EXPECT_EQ(BodyOf(silent)["code"], "ai_timeout");
  begin = true;
  EXPECT_THAT(Post("/ai/chat", kChat), HasSubstr("\"code\":\"ai_timeout\""));
}

TEST_F(GatewayTest, ATotalTimeBoundsATricklingProvider) {
  waits_.total = std::chrono::milliseconds(300);
  Start([](const FakeProvider::Request&, FakeProvider::Socket& socket) {
    FakeProvider::Send(socket, kStreamHead);
    boost::system::error_code error;
    const std::string ping = FakeProvider::Chunk(": ping\n\n");
    while (!error) asio::write(socket, asio::buffer(ping), error);
  });
  EXPECT_THAT(Post("/ai/chat", kChat), HasSubstr("\"code\":\"ai_timeout\""));
}

TEST_F(GatewayTest, NobodyThere) {
  settings_.claude_base_url = "http://127.0.0.1:1";
  StartServer();
  const std::string answer = Post("/ai/chat", kChat);
  EXPECT_EQ(StatusOf(answer), 502u);
  EXPECT_EQ(BodyOf(answer)["code"], "ai_unreachable");
  EXPECT_THAT(answer, Not(HasSubstr("127.0.0.1")));
  EXPECT_THAT(TakeLog(), HasSubstr("127.0.0.1:1 (connect)"));
}

TEST_F(GatewayTest, AClientThatGoesCancelsTheProvidersCall) {
  std::binary_semaphore arrived(0);
  std::binary_semaphore closed(0);
  std::atomic<bool> begin = false;
  Start([&](const FakeProvider::Request&, FakeProvider::Socket& socket) {
    if (begin) FakeProvider::Send(socket, kStreamHead);
    arrived.release();
    FakeProvider::AwaitClosed(socket);
    closed.release();
  });
  for (const bool streaming : {false, true}) {
    begin = streaming;
    asio::io_context io;
    auto socket = Connect(io);
    asio::write(socket, asio::buffer(Message("/ai/chat", kChat, Alice())));
    ASSERT_TRUE(arrived.try_acquire_for(std::chrono::seconds(10)));
    if (streaming) {
      // The answer has begun: its headers are here.
      std::string head;
      asio::read_until(socket, asio::dynamic_buffer(head), "\r\n\r\n");
    }
    socket.close();
    EXPECT_TRUE(closed.try_acquire_for(std::chrono::seconds(4))) << streaming;  // sooner than any wait is up
  }
}

TEST_F(GatewayTest, CallsAtTheSameTimeAreBounded) {
  std::counting_semaphore<> arrived(0);
  std::vector<FakeProvider::Socket> open;  // kept unanswered
  Start([&](const FakeProvider::Request&, FakeProvider::Socket& socket) {
    open.push_back(std::move(socket));
    arrived.release();
  });
  asio::io_context io;
  std::vector<asio::ip::tcp::socket> clients;
  for (size_t i = 0; i < CallSlots::kPerUser; ++i) {
    clients.push_back(Connect(io));
    asio::write(clients.back(), asio::buffer(Message("/ai/chat", kChat, Alice())));
    ASSERT_TRUE(arrived.try_acquire_for(std::chrono::seconds(10)));
  }
  const std::string answer = Post("/ai/chat", kChat);
  EXPECT_EQ(StatusOf(answer), 429u);
  EXPECT_EQ(BodyOf(answer)["code"], "ai_too_many_calls");
  EXPECT_EQ(StatusOf(Exchange(Message("/ai/chat", "{}", Alice()))), 400u);
}

const char* const kHello =
    R"({"content":[{"type":"text","text":"Hello"}],"stop_reason":"end_turn","usage":{"input_tokens":1,"output_tokens":2}})";

TEST_F(GatewayTest, AFailureThatMayPassIsTriedOnceMore) {
  std::atomic<const char*> first = "";
  std::atomic<int> calls = 0;
  Start([&](const FakeProvider::Request&, FakeProvider::Socket& socket) {
    if (++calls % 2 == 0) return FakeProvider::Answer(socket, "200 OK", kHello);
    if (first.load() != std::string("drop")) FakeProvider::Answer(socket, first.load(), "{}");
  });
  for (const char* how : {"429 Too Many", "529 Overloaded", "500 Oops", "503 Unavailable", "drop"}) {
    first = how;
    const int before = calls;
    const std::string answer = Post("/ai/chat", kWhole);
    EXPECT_EQ(StatusOf(answer), 200u) << how;
    EXPECT_EQ(calls - before, 2) << how;
  }
  EXPECT_EQ(observer_.retries, 5);
  EXPECT_THAT(TakeLog(),
              HasSubstr("msg=\"AI provider is asked again\" provider=claude code=ai_rate_limited"));
}

TEST_F(GatewayTest, NoFailureIsTriedTwiceMore) {
  std::atomic<int> calls = 0;
  std::atomic<const char*> status = "500 Oops";
  Start([&](const FakeProvider::Request&, FakeProvider::Socket& socket) {
    ++calls;
    FakeProvider::Answer(socket, status.load(), "{}");
  });
  EXPECT_EQ(StatusOf(Post("/ai/chat", kChat)), 502u);
  EXPECT_EQ(calls, 2);
  // What is wrong stays wrong.
  for (const char* wrong : {"400 Bad", "401 Unauthorized", "404 Not Found"}) {
    status = wrong;
    calls = 0;
    Post("/ai/chat", kChat);
    EXPECT_EQ(calls, 1) << wrong;
  }
}

TEST_F(GatewayTest, RetryAfterIsHonouredWithinReason) {
  std::atomic<int> calls = 0;
  std::atomic<const char*> wait = "1";
  Start([&](const FakeProvider::Request&, FakeProvider::Socket& socket) {
    if (++calls == 2) return FakeProvider::Answer(socket, "200 OK", kHello);
    FakeProvider::Answer(socket, "429 Too Many", "{}", std::string("Retry-After: ") + wait.load() + "\r\n");
  });
  const auto began = base::Clock::System().Now();
  EXPECT_EQ(StatusOf(Post("/ai/chat", kWhole)), 200u);
  EXPECT_GE(base::Clock::System().Now() - began, std::chrono::seconds(1));
  wait = "30";
  calls = 2;
  const std::string refused = Post("/ai/chat", kWhole);
  EXPECT_EQ(StatusOf(refused), 429u);
  EXPECT_THAT(refused, HasSubstr("Retry-After: 30\r\n"));
  EXPECT_EQ(calls, 3);
}

TEST_F(GatewayTest, ARetryStaysWithinTheDeadline) {
  waits_.total = std::chrono::milliseconds(900);
  std::atomic<int> calls = 0;
  Start([&](const FakeProvider::Request&, FakeProvider::Socket& socket) {
    ++calls;
    FakeProvider::Answer(socket, "503 Busy", "{}", "Retry-After: 1\r\n");
  });
  EXPECT_EQ(StatusOf(Post("/ai/chat", kWhole)), 502u);
  EXPECT_EQ(calls, 1);
}

TEST_F(GatewayTest, WhatHasBegunIsNotTriedAgain) {
  std::atomic<int> calls = 0;
  Start([&](const FakeProvider::Request&, FakeProvider::Socket& socket) {
    ++calls;
    FakeProvider::Send(socket, kStreamHead);
  });
  EXPECT_THAT(Post("/ai/chat", kChat), HasSubstr("\"code\":\"ai_unreachable\""));
  EXPECT_EQ(calls, 1);
}

TEST_F(GatewayTest, AClientThatGoesIsNotRetriedFor) {
  waits_.retry_pause = std::chrono::seconds(9);  // less than waits_.retry_most
  std::counting_semaphore<> arrived(0);
  Start([&](const FakeProvider::Request&, FakeProvider::Socket& socket) {
    FakeProvider::Answer(socket, "503 Busy", "{}");
    arrived.release();
  });
  {
    asio::io_context io;
    auto socket = Connect(io);
    asio::write(socket, asio::buffer(Message("/ai/chat", kChat, Alice())));
    ASSERT_TRUE(arrived.try_acquire_for(std::chrono::seconds(10)));
  }
  const auto gone = base::Clock::System().Now();
  std::string log;
  while (!log.contains("result=client_gone") &&
         base::Clock::System().Now() < gone + std::chrono::seconds(8)) {
    log += TakeLog();
    std::this_thread::yield();
  }
  EXPECT_THAT(log, HasSubstr("result=client_gone"));
  EXPECT_FALSE(arrived.try_acquire());
}

TEST_F(GatewayTest, TheCallersCatalogGoesBeforeTheModel) {
  FakeProvider::Request seen;
  Start([&](const FakeProvider::Request& request, FakeProvider::Socket& socket) {
    seen = request;
    FakeProvider::Answer(socket, "200 OK", kHello);
  });
  const std::string answer = Post(
      "/ai/chat",
      R"({"messages":[{"role":"user","content":"Hi"}],"model":"claude-x","stream":false,"schema":true,"system":"Be brief."})");
  EXPECT_EQ(StatusOf(answer), 200u);
  EXPECT_EQ(catalog_of_, "alice");
  const std::string system = json::parse(seen.body())["system"];
  EXPECT_THAT(system, StartsWith("Be brief.\n\n"));
  EXPECT_THAT(system, HasSubstr("mydb.public.users (id INTEGER)"));
  catalog_of_.clear();
  EXPECT_EQ(StatusOf(Post("/ai/chat", kWhole)), 200u);
  EXPECT_EQ(catalog_of_, "");
  catalog_ = std::unexpected(http::Problem{503, "unavailable", "Not available", "No worker.", {}});
  const std::string failed =
      Post("/ai/chat", R"({"messages":[{"role":"user","content":"Hi"}],"model":"claude-x","schema":true})");
  EXPECT_EQ(StatusOf(failed), 503u);
  EXPECT_EQ(BodyOf(failed)["detail"], "No worker.");
}

TEST_F(GatewayTest, OpenAisShapeOnRequest) {
  Start([](const FakeProvider::Request& request, FakeProvider::Socket& socket) {
    if (json::parse(request.body())["stream"] == false) return FakeProvider::Answer(socket, "200 OK", kHello);
    FakeProvider::Send(
        socket, kStreamHead +
                    FakeProvider::Chunk(
                        R"(data: {"type":"content_block_delta","delta":{"type":"text_delta","text":"Hi"}})"
                        "\n\ndata: {\"type\":\"message_stop\"}\n\n") +
                    "0\r\n\r\n");
  });
  const std::string fields =
      R"({"messages":[{"role":"user","content":"Hi"}],"model":"claude-x","format":"openai")";
  const std::string streamed = Post("/ai/chat", fields + "}");
  EXPECT_THAT(streamed, HasSubstr("data: {\"id\":\"chatcmpl-id-7\",\"object\":\"chat.completion.chunk\""));
  EXPECT_THAT(streamed, HasSubstr("\"delta\":{\"content\":\"Hi\"}"));
  EXPECT_THAT(streamed, HasSubstr("data: [DONE]\n\n"));
  EXPECT_THAT(streamed, Not(HasSubstr("event: ")));
  const json whole = BodyOf(Post("/ai/chat", fields + R"(,"stream":false})"));
  EXPECT_EQ(whole["choices"][0]["message"]["content"], "Hello");
  EXPECT_EQ(whole["usage"]["total_tokens"], 3);
}

TEST_F(GatewayTest, EmbedsInBatches) {
  settings_.embed_batch_size = 2;
  std::vector<size_t> sizes;
  Start([&](const FakeProvider::Request& request, FakeProvider::Socket& socket) {
    const json inputs = json::parse(request.body())["input"];
    sizes.push_back(inputs.size());
    json answer = {
        {"model", "e-1"}, {"data", json::array()}, {"usage", {{"prompt_tokens", inputs.size() * 10}}}};
    // In another order than asked for: the index says which is which.
    for (size_t i = inputs.size(); i-- > 0;) {
      answer["data"].push_back({{"index", i}, {"embedding", {std::stod(inputs[i].get<std::string>())}}});
    }
    FakeProvider::Answer(socket, "200 OK", answer.dump());
  });
  const std::string answer = Post("/ai/embed", R"({"input":["1","2","3","4","5"],"model":"e"})");
  EXPECT_EQ(BodyOf(answer), json::parse(R"({"model":"e-1","embeddings":[[1.0],[2.0],[3.0],[4.0],[5.0]],
                                            "usage":{"input_tokens":50,"output_tokens":0}})"));
  EXPECT_EQ(sizes, (std::vector<size_t>{2, 2, 1}));
}

TEST_F(GatewayTest, EventsMayBeCutAnywhere) {
  // Every border between two bytes, in the middle of a character and of a line too.
  const std::string body =
      "event: content_block_delta\r\ndata: "
      "{\"type\":\"content_block_delta\",\"delta\":{\"type\":\"text_delta\",\"text\":\"gr\xC3\xBC\xC3\x9F "
      "\xF0\x9F\xA6\x86\"}}\r\n\r\n"
      ": ping\n\ndata: {\"type\":\"message_stop\"}\n\n";
  Start([&](const FakeProvider::Request&, FakeProvider::Socket& socket) {
    socket.set_option(asio::ip::tcp::no_delay(true));
    FakeProvider::Send(socket, kStreamHead);
    for (const char byte : body) FakeProvider::Send(socket, FakeProvider::Chunk(std::string(1, byte)));
    FakeProvider::Send(socket, "0\r\n\r\n");
  });
  const std::string answer = Post("/ai/chat", kChat);
  EXPECT_THAT(answer, HasSubstr("data: {\"text\":\"gr\xC3\xBC\xC3\x9F \xF0\x9F\xA6\x86\"}\n\n"));
  EXPECT_THAT(answer, HasSubstr("event: done"));
}

}  // namespace
}  // namespace pondpilot::proxy::ai

#include "telemetry/otlp_tracer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>
#include <cstdlib>
#include <mutex>
#include <nlohmann/json.hpp>
#include <thread>
#include <vector>

#include "telemetry/trace_context.h"

namespace pondpilot::telemetry {
namespace {

namespace asio = boost::asio;
namespace bhttp = boost::beast::http;
using nlohmann::json;
using ::testing::HasSubstr;

// Takes what is exported, one connection at a time, and answers each POST with `status`.
class Collector {
 public:
  explicit Collector(bhttp::status status = bhttp::status::ok)
      : acceptor_(io_, {asio::ip::make_address("127.0.0.1"), 0}),
        url_("http://127.0.0.1:" + std::to_string(acceptor_.local_endpoint().port())),
        thread_([this, status] { Serve(status); }) {}
  ~Collector() {
    stopping_ = true;
    boost::system::error_code error;
    asio::ip::tcp::socket wake(io_);
    wake.connect(acceptor_.local_endpoint(), error);
    wake.close(error);
    thread_.join();
  }
  Collector(const Collector&) = delete;
  Collector& operator=(const Collector&) = delete;

  const std::string& url() const { return url_; }
  // What has come so far: the spans of all requests.
  std::vector<json> Spans() const {
    const std::lock_guard lock(mutex_);
    std::vector<json> spans;
    for (const std::string& body : bodies_) {
      const json data = json::parse(body);
      for (const json& resource : data["resourceSpans"]) {
        for (const json& scope : resource["scopeSpans"]) {
          for (const json& span : scope["spans"]) spans.push_back(span);
        }
      }
    }
    return spans;
  }
  std::string paths() const {
    const std::lock_guard lock(mutex_);
    return paths_;
  }

 private:
  void Serve(bhttp::status status) {
    while (!stopping_) {
      boost::system::error_code error;
      asio::ip::tcp::socket socket(io_);
      acceptor_.accept(socket, error);
      boost::beast::flat_buffer buffer;
      while (!error) {
        bhttp::request<bhttp::string_body> request;
        bhttp::read(socket, buffer, request, error);
        if (error) break;
        {
          const std::lock_guard lock(mutex_);
          bodies_.push_back(request.body());
          paths_ +=
              std::string(request.target()) + " " + std::string(request[bhttp::field::content_type]) + "\n";
        }
        bhttp::response<bhttp::string_body> answer(status, 11, "{}");
        answer.set(bhttp::field::content_type, "application/json");
        answer.keep_alive(false);
        answer.prepare_payload();
        bhttp::write(socket, answer, error);
        break;
      }
    }
  }

  asio::io_context io_;
  asio::ip::tcp::acceptor acceptor_;
  const std::string url_;
  mutable std::mutex mutex_;
  std::vector<std::string> bodies_;
  std::string paths_;
  std::atomic<bool> stopping_ = false;
  std::thread thread_;
};

class OtlpTracerTest : public ::testing::Test {
 protected:
  // JSON, which this test can read.
  OtlpTracerTest() {
    // NOLINTNEXTLINE(concurrency-mt-unsafe): before the library has threads
    ::setenv("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/json", 1);
  }

  static std::string AttributeOf(const json& span, const std::string& key) {
    for (const json& attribute : span["attributes"]) {
      if (attribute["key"] == key) return attribute["value"].dump();
    }
    return "";
  }

  Registry registry_;
};

const std::string kSampled = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

TEST_F(OtlpTracerTest, SpansArriveWithWhatIsKnownOfThem) {
  Collector collector;
  std::string sent_on;
  {
    const auto tracer = MakeOtlpTracer({.endpoint = collector.url(), .version = "1.2.3"}, registry_);
    const auto span = tracer->Begin("POST /sql", kSampled);
    span->Set("user.id", "alice");
    span->Set("pondpilot.worker.us", int64_t{1234});
    span->Fail();
    EXPECT_EQ(span->TraceId(), "4bf92f3577b34da6a3ce929d0e0e4736");
    sent_on = span->TraceParent();
  }
  EXPECT_EQ(TraceIdOf(sent_on), "4bf92f3577b34da6a3ce929d0e0e4736");
  const auto spans = collector.Spans();
  ASSERT_EQ(spans.size(), 1u);
  EXPECT_EQ(spans[0]["name"], "POST /sql");
  EXPECT_EQ(spans[0]["traceId"], "4bf92f3577b34da6a3ce929d0e0e4736");
  EXPECT_EQ(spans[0]["parentSpanId"], "00f067aa0ba902b7");
  EXPECT_THAT(sent_on, HasSubstr(spans[0]["spanId"].get<std::string>()));
  EXPECT_THAT(AttributeOf(spans[0], "user.id"), HasSubstr("alice"));
  EXPECT_THAT(AttributeOf(spans[0], "pondpilot.worker.us"), HasSubstr("1234"));
  EXPECT_EQ(spans[0]["status"]["code"].dump(), "2");
  EXPECT_THAT(collector.paths(), HasSubstr("/v1/traces application/json"));
  EXPECT_THAT(registry_.Render(), HasSubstr("pondpilot_spans_total{result=\"exported\"} 1\n"));
}

TEST_F(OtlpTracerTest, TheCallerSaysWhetherItsTraceIsSampled) {
  Collector collector;
  {
    const auto tracer =
        MakeOtlpTracer({.endpoint = collector.url(), .sample_ratio = 0, .version = "1"}, registry_);
    const auto not_sampled = tracer->Begin("a", kSampled.substr(0, kSampled.size() - 1) + "0");
    EXPECT_TRUE(not_sampled->TraceParent().ends_with("-00"));
    const auto sampled = tracer->Begin("b", kSampled);
    EXPECT_TRUE(sampled->TraceParent().ends_with("-01"));
    for (const char* none : {"", "junk", "00-00000000000000000000000000000000-00f067aa0ba902b7-01"}) {
      EXPECT_TRUE(tracer->Begin("c", none)->TraceParent().ends_with("-00")) << none;
    }
  }
  const auto spans = collector.Spans();
  ASSERT_EQ(spans.size(), 1u);
  EXPECT_EQ(spans[0]["name"], "b");
}

TEST_F(OtlpTracerTest, WhatTheQueueCannotHoldIsDroppedAndCounted) {
  Collector collector;
  {
    const auto tracer = MakeOtlpTracer({.endpoint = collector.url(),
                                        .version = "1",
                                        .queue = 10,
                                        .batch = 10,
                                        .interval = std::chrono::hours(1)},
                                       registry_);
    // Half a queue wakes the exporter, so some of these may go before the queue is full.
    for (int i = 0; i < 1000; ++i) tracer->Begin("a", "");
  }
  const auto value = [&](const std::string& result) {
    const std::string text = registry_.Render();
    const std::string name = "pondpilot_spans_total{result=\"" + result + "\"} ";
    return std::stoul(text.substr(text.find(name) + name.size()));
  };
  EXPECT_GT(value("dropped"), 0u);
  EXPECT_EQ(value("exported"), collector.Spans().size());
  EXPECT_EQ(value("dropped") + value("exported") + value("failed"), 1000u);
}

TEST_F(OtlpTracerTest, NobodyThereIsCountedAndHoldsNothingUp) {
  const auto began = std::chrono::steady_clock::now();
  {
    const auto tracer = MakeOtlpTracer({.endpoint = "http://127.0.0.1:1", .version = "1"}, registry_);
    for (int i = 0; i < 3; ++i) tracer->Begin("a", "");
  }
  EXPECT_LT(std::chrono::steady_clock::now() - began, std::chrono::seconds(20));
  EXPECT_THAT(registry_.Render(), HasSubstr("pondpilot_spans_total{result=\"failed\"} 3\n"));
}

}  // namespace
}  // namespace pondpilot::telemetry

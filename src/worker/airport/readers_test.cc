// Several readers of one scan, some of which leave before they have all: those of a client with a LIMIT.
#include <gmock/gmock.h>

#include <atomic>
#include <thread>

#include "worker/airport/airport_fixture.h"
#include "worker/session/eventually.h"

namespace pondpilot::worker::airport {
namespace {

class ReadersTest : public AirportTest {
 protected:
  static constexpr int64_t kRows = 3'000'000;
  void SetUp() override {
    AirportTest::SetUp();
    Do("CREATE TABLE t AS SELECT i AS a, repeat('x', 50) AS b FROM range(3000000) x(i)");
  }
  std::vector<fl::FlightEndpoint> Scanned() {
    auto endpoints = Endpoints(PathTo("t"), {{"column_ids", {0, 1}}});
    EXPECT_TRUE(endpoints.ok()) << endpoints.status().ToString();
    if (!endpoints.ok()) return {};
    EXPECT_EQ(endpoints->size(), AirportDoor::kParallelReads);
    return *endpoints;
  }
  std::unique_ptr<fl::FlightStreamReader> Reader(const fl::FlightEndpoint& endpoint) {
    auto reader = client_->DoGet(Options(), endpoint.ticket);
    EXPECT_TRUE(reader.ok()) << reader.status().ToString();
    return reader.ok() ? std::move(*reader) : nullptr;
  }
  static int64_t ReadSome(fl::FlightStreamReader& reader) {
    const auto chunk = reader.Next();
    EXPECT_TRUE(chunk.ok()) << chunk.status().ToString();
    return chunk.ok() && chunk->data != nullptr ? chunk->data->num_rows() : 0;
  }
  bool EndsEverything() { return server_.runner().activity().AwaitNone(std::chrono::seconds(10)); }
};

TEST_F(ReadersTest, OneThatLeavesLeavesTheRestToTheOthers) {
  const auto endpoints = Scanned();
  auto first = Reader(endpoints[0]);
  auto second = Reader(endpoints[1]);
  const int64_t taken = ReadSome(*first);
  int64_t rest = ReadSome(*second);
  EXPECT_GT(taken, 0);
  first->Cancel();
  first.reset();
  while (const int64_t rows = ReadSome(*second)) rest += rows;
  EXPECT_LE(rest, kRows - taken);
  EXPECT_GT(rest, kRows / 2);
  // Those that come late find no error either.
  for (size_t i = 2; i < endpoints.size(); ++i) EXPECT_EQ((*Read(endpoints[i].ticket))->num_rows(), 0);
}

TEST_F(ReadersTest, OneThatComesWhenAllOthersHaveLeftReadsOn) {
  const auto endpoints = Scanned();
  auto first = Reader(endpoints[0]);
  ASSERT_GT(ReadSome(*first), 0);
  first->Cancel();
  first.reset();
  // While nobody reads, the result waits as one that was not read yet does, and goes when it does.
  EXPECT_TRUE(session::Eventually([&] { return server_.runner().tickets().size() == 1; }));
  const auto rest = Read(endpoints[1].ticket);
  ASSERT_TRUE(rest.ok()) << rest.status().ToString();
  EXPECT_GT((*rest)->num_rows(), kRows / 2);
  EXPECT_EQ(server_.runner().tickets().size(), 0u);
}

TEST_F(ReadersTest, AResultThatNobodyCameBackForIsGone) {
  const auto endpoints = Scanned();
  auto first = Reader(endpoints[0]);
  ASSERT_GT(ReadSome(*first), 0);
  first->Cancel();
  first.reset();
  EXPECT_TRUE(session::Eventually([&] { return server_.runner().tickets().size() == 1; }));
  server_.runner().tickets().Clear();
  EXPECT_TRUE(EndsEverything());
  const auto late = Read(endpoints[1].ticket);
  EXPECT_TRUE(late.status().IsKeyError()) << late.status().ToString();
}

TEST_F(ReadersTest, TheLastThatLeavesStopsTheStatement) {
  const auto endpoints = Scanned();
  std::vector<std::unique_ptr<fl::FlightStreamReader>> readers;
  for (const auto& endpoint : endpoints) readers.push_back(Reader(endpoint));
  for (const auto& reader : readers) ASSERT_GT(ReadSome(*reader), 0);
  for (const auto& reader : readers) reader->Cancel();
  readers.clear();
  EXPECT_TRUE(EndsEverything());
  EXPECT_EQ(server_.runner().tickets().size(), 0u);
}

TEST_F(ReadersTest, ALimitIsReachedInParallelWithoutAnError) {
  for (const int64_t limit : {1, 1000, 200'000, 1'000'000}) {
    const auto endpoints = Scanned();
    std::atomic<int64_t> rows{0};
    std::atomic<int> errors{0};
    std::vector<std::thread> threads;
    for (const auto& endpoint : endpoints) {
      threads.emplace_back([&, endpoint] {
        auto reader = client_->DoGet(Options(), endpoint.ticket);
        if (!reader.ok()) {
          ++errors;
          return;
        }
        while (rows < limit) {
          const auto chunk = (*reader)->Next();
          if (!chunk.ok()) ++errors;
          if (!chunk.ok() || chunk->data == nullptr) return;
          rows += chunk->data->num_rows();
        }
        (*reader)->Cancel();
      });
    }
    for (auto& thread : threads) thread.join();
    EXPECT_EQ(errors, 0) << limit;
    EXPECT_GE(rows, limit);
  }
  EXPECT_TRUE(EndsEverything());
}

}  // namespace
}  // namespace pondpilot::worker::airport

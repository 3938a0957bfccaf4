// Small prepared statements over Flight SQL, as many as go: what a program in a compiled language sees.
//
//   flight_calls HOST:PORT HEADER VALUE insert|select CONNECTIONS SECONDS
//
// Prints {"calls": N, "seconds": S, "p50_us": T, "p99_us": T}. "insert" writes rows into bench_rows(a, b),
// "select" reads one row of bench_points by its key; both tables have to be there.
#include <arrow/api.h>
#include <arrow/flight/api.h>
#include <arrow/flight/sql/client.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

namespace {

namespace fl = arrow::flight;
using Clock = std::chrono::steady_clock;

void Check(const arrow::Status& status) {
  if (status.ok()) return;
  std::fprintf(stderr, "%s\n", status.ToString().c_str());
  std::exit(1);
}

template <typename T>
T Take(arrow::Result<T> result) {
  Check(result.status());
  return std::move(*result);
}

struct Work {
  std::string address;
  std::string header;
  std::string value;
  bool inserts = false;
};

std::shared_ptr<arrow::RecordBatch> Values(const Work& work, int64_t number) {
  arrow::Int64Builder a;
  Check(a.Append(work.inserts ? number : number * 7919 % 1'000'000));
  if (!work.inserts) {
    return arrow::RecordBatch::Make(arrow::schema({arrow::field("id", arrow::int64())}), 1,
                                    {Take(a.Finish())});
  }
  arrow::StringBuilder b;
  Check(b.Append("row " + std::to_string(number)));
  const auto schema = arrow::schema({arrow::field("a", arrow::int64()), arrow::field("b", arrow::utf8())});
  return arrow::RecordBatch::Make(schema, 1, {Take(a.Finish()), Take(b.Finish())});
}

// One connection; how long each call took.
std::vector<double> Run(const Work& work, Clock::duration time, std::atomic<int>& ready, int all) {
  fl::FlightClientOptions how;
  how.generic_options.emplace_back("grpc.use_local_subchannel_pool", 1);
  std::shared_ptr<fl::FlightClient> channel =
      Take(fl::FlightClient::Connect(Take(fl::Location::Parse("grpc://" + work.address)), how));
  fl::sql::FlightSqlClient client(channel);
  fl::FlightCallOptions options;
  options.headers.emplace_back(work.header, work.value);
  auto prepared = Take(client.Prepare(options, work.inserts ? "INSERT INTO bench_rows VALUES (?, ?)"
                                                            : "SELECT v FROM bench_points WHERE id = ?"));
  const auto call = [&](int64_t number) {
    Check(prepared->SetParameters(Values(work, number)));
    if (work.inserts) {
      if (Take(prepared->ExecuteUpdate(options)) != 1) std::abort();
      return;
    }
    const auto info = Take(prepared->Execute(options));
    const auto reader = Take(client.DoGet(options, info->endpoints()[0].ticket));
    if (Take(reader->ToTable())->num_rows() != 1) std::abort();
  };
  for (int i = 0; i < 50; ++i) call(i);
  ++ready;
  while (ready.load() < all) std::this_thread::yield();
  std::vector<double> seconds;
  const auto end = Clock::now() + time;
  for (auto now = Clock::now(); now < end;) {
    call(static_cast<int64_t>(seconds.size()));
    const auto after = Clock::now();
    seconds.push_back(std::chrono::duration<double>(after - now).count());
    now = after;
  }
  Check(prepared->Close(options));
  Check(channel->Close());
  return seconds;
}

}  // namespace

int main(int count, char** words) {
  if (count != 7) {
    std::fprintf(stderr, "usage: flight_calls HOST:PORT HEADER VALUE insert|select CONNECTIONS SECONDS\n");
    return 2;
  }
  const Work work{words[1], words[2], words[3], std::string(words[4]) == "insert"};
  const int connections = std::atoi(words[5]);
  const std::chrono::duration<double> time(std::atof(words[6]));
  std::atomic<int> ready{0};
  std::vector<std::vector<double>> each(static_cast<size_t>(connections));
  std::vector<std::thread> threads;
  for (auto& one : each) {
    threads.emplace_back(
        [&] { one = Run(work, std::chrono::duration_cast<Clock::duration>(time), ready, connections); });
  }
  for (auto& thread : threads) thread.join();
  std::vector<double> all;
  for (const auto& one : each) all.insert(all.end(), one.begin(), one.end());
  if (all.empty()) return 1;
  std::ranges::sort(all);
  std::printf("{\"calls\": %zu, \"seconds\": %.3f, \"p50_us\": %.0f, \"p99_us\": %.0f}\n", all.size(),
              time.count(), all[all.size() / 2] * 1e6, all[all.size() * 99 / 100] * 1e6);
}

// What a process that forks relies on: no thread of its own, and children that have nothing in common.
#include <arrow/api.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <iterator>
#include <memory>
#include <set>
#include <string>

#include "base/secret.h"
#include "base/temporary_folder.h"
#include "base/unix_socket.h"
#include "worker/engine/engine.h"

namespace pondpilot::worker::engine {
namespace {

size_t Threads() {
  return static_cast<size_t>(std::distance(std::filesystem::directory_iterator("/proc/self/task"), {}));
}

std::string TextOf(ResultStream& stream) {
  std::string text;
  while (true) {
    const auto batch = stream.Next();
    if (!batch || *batch == nullptr) return text;
    text += (*batch)->ToString();
  }
}

// What a worker's user sees of its randomness, and a token of the worker's own.
std::string RandomThings(PreparedEngine& prepared, const std::string& spill) {
  base::ReseedRandom();
  const auto engine = prepared.Start({.memory_bytes = 512ULL << 20, .cpu_cores = 2, .spill_dir = spill});
  if (!engine || !(*engine)->AttachAndLockDown({}, {})) return "not locked down";
  const auto connection = (*engine)->Connect();
  if (!connection) return "not connected";
  const auto stream = (*connection)->Execute("SELECT random(), gen_random_uuid(), uuidv4() FROM range(3)");
  return stream ? TextOf(**stream) + base::RandomHex(16) : stream.error().message;
}

class PreparedEngineTest : public ::testing::Test {
 protected:
  // What `Ask` returns in a child of this process.
  std::string InChild() {
    std::array<int, 2> ends{};
    EXPECT_EQ(::pipe(ends.data()), 0);
    const base::Descriptor hears(ends[0]);
    base::Descriptor says(ends[1]);
    const pid_t child = ::fork();
    if (child == 0) {
      const std::string text = RandomThings(*prepared_, folder_.path());
      (void)!::write(says.get(), text.data(), text.size());
      ::_exit(0);
    }
    says.Close();
    std::string text;
    std::array<char, 4096> buffer{};
    for (ssize_t got = 0; (got = ::read(hears.get(), buffer.data(), buffer.size())) > 0;)
      text.append(buffer.data(), static_cast<size_t>(got));
    int status = -1;
    EXPECT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
    return text;
  }

  const base::TemporaryFolder folder_;
  std::unique_ptr<PreparedEngine> prepared_;
};

TEST_F(PreparedEngineTest, HasNoThreadAndItsChildrenShareNoRandomNumbers) {
  const size_t before = Threads();
  const auto rehearsed = PreparedEngine::Rehearse(folder_.path());
  ASSERT_TRUE(rehearsed) << rehearsed.error().message << rehearsed.error().detail;
  auto prepared = PreparedEngine::Open();
  ASSERT_TRUE(prepared) << prepared.error().message << prepared.error().detail;
  EXPECT_EQ(Threads(), before);
  prepared_ = std::move(*prepared);
  (void)base::RandomHex(16);  // from here on there is state that children would share

  std::set<std::string> seen;
  for (int i = 0; i < 4; ++i) {
    const std::string things = InChild();
    EXPECT_GT(things.size(), 32U);
    EXPECT_NE(things.find('-'), std::string::npos) << things;
    seen.insert(things);
    seen.insert(things.substr(things.size() - 32));
  }
  EXPECT_EQ(seen.size(), 8U);
  EXPECT_TRUE(std::filesystem::is_empty(folder_.path()));
}

TEST_F(PreparedEngineTest, AnEngineThatWasPreparedKeepsItsLimits) {
  auto prepared = PreparedEngine::Open();
  ASSERT_TRUE(prepared);
  const auto engine =
      (*prepared)->Start({.memory_bytes = 512ULL << 20, .cpu_cores = 2, .spill_dir = folder_.path()});
  ASSERT_TRUE(engine) << engine.error().message << engine.error().detail;
  ASSERT_TRUE((*engine)->AttachAndLockDown({}, {}));
  const auto connection = (*engine)->Connect();
  ASSERT_TRUE(connection);
  const auto stream = (*connection)
                          ->Execute(
                              "SELECT name, value FROM duckdb_settings() WHERE name IN ('threads', "
                              "'async_threads', 'temp_directory') "
                              "ORDER BY name");
  ASSERT_TRUE(stream) << stream.error().message;
  const std::string text = TextOf(**stream);
  EXPECT_NE(text.find("\"" + folder_.path() + "\""), std::string::npos) << text;
  EXPECT_NE(text.find("\"4\""), std::string::npos) << text;
  EXPECT_NE(text.find("\"2\""), std::string::npos) << text;
}

}  // namespace
}  // namespace pondpilot::worker::engine

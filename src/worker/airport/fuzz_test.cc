// Both readers of what a client says, on seeds of the corpus in tests/fuzz and on what becomes of them when
// they are changed at random: from a fixed seed, so that a failure comes again. PONDPILOT_FUZZ_ROUNDS runs
// more.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>

#include "base/hex.h"
#include "worker/airport/ddl.h"
#include "worker/airport/filter.h"
#include "worker/airport/message.h"

namespace pondpilot::worker::airport {
namespace {

std::vector<std::string> Corpus(const std::string& folder) {
  std::vector<std::filesystem::path> paths;
  for (const auto& file : std::filesystem::directory_iterator(std::string(PONDPILOT_SOURCE_DIR) +
                                                              "/tests/fuzz/airport/" + folder))
    paths.push_back(file.path());
  std::ranges::sort(paths);
  std::vector<std::string> seeds;
  for (const auto& path : paths) {
    std::ifstream file(path, std::ios::binary);
    std::string bytes{std::istreambuf_iterator<char>(file), {}};
    if (path.extension() == ".hex") {
      std::erase(bytes, '\n');
      bytes = base::FromHex(bytes).value();
    }
    seeds.push_back(std::move(bytes));
  }
  return seeds;
}

int Rounds() {
  const char* rounds = std::getenv("PONDPILOT_FUZZ_ROUNDS");  // NOLINT(concurrency-mt-unsafe)
  return rounds == nullptr ? 40'000 : std::atoi(rounds);
}

class Mutator {
 public:
  explicit Mutator(std::vector<std::string> seeds) : seeds_(std::move(seeds)) {}

  std::string Next() {
    std::string bytes = Seed();
    for (size_t changes = 1 + Below(6); changes > 0; --changes) Change(bytes);
    return bytes;
  }

 private:
  size_t Below(size_t bound) { return bound == 0 ? 0 : random_() % bound; }
  const std::string& Seed() { return seeds_[Below(seeds_.size())]; }

  void Change(std::string& bytes) {
    const size_t at = Below(bytes.size() + 1);
    const size_t length = 1 + Below(8);
    switch (Below(7)) {
      case 0:
        if (at < bytes.size()) bytes[at] = static_cast<char>(random_());
        return;
      case 1:
        if (at < bytes.size()) bytes[at] ^= static_cast<char>(1 << Below(8));
        return;
      case 2:
        bytes.erase(at, length);
        return;
      case 3:
        for (size_t i = 0; i < length; ++i) bytes.insert(at, 1, static_cast<char>(random_()));
        return;
      case 4: {
        const std::string& other = Seed();
        const size_t from = Below(other.size() + 1);
        bytes.insert(at, other, from, Below(other.size() + 1));
        return;
      }
      case 5:
        bytes.resize(at);
        return;
      default:
        bytes.insert(at, bytes, Below(bytes.size() + 1), length * 4);
    }
  }

  std::vector<std::string> seeds_;
  std::mt19937_64 random_{20260704};
};

TEST(FuzzTest, SeedsAreUnderstood) {
  const auto messages = Corpus("messages");
  const auto filters = Corpus("filters");
  ASSERT_GE(messages.size(), 8u);
  ASSERT_GE(filters.size(), 8u);
  for (const std::string& bytes : messages) EXPECT_TRUE(Unpack(bytes).has_value()) << base::ToHex(bytes);
  for (const std::string& text : filters) EXPECT_TRUE(nlohmann::json::accept(text)) << text;
}

TEST(FuzzTest, AnyBytesAreAMessageOrRefused) {
  Mutator mutator(Corpus("messages"));
  int read = 0;
  for (int i = Rounds(); i > 0; --i) {
    const std::string bytes = mutator.Next();
    const auto message = Unpack(bytes);
    if (!message) {
      EXPECT_EQ(message.error().code, base::ErrorCode::kInvalidArgument);
      continue;
    }
    ++read;
    // What can be read can be written, and read again as the same.
    const auto again = Unpack(Pack(*message));
    ASSERT_TRUE(again.has_value()) << base::ToHex(bytes);
    EXPECT_EQ(Pack(*again), Pack(*message)) << base::ToHex(bytes);
    (void)ClientNameIn(*message);
    (void)NumbersAt(*message, "column_ids");
    (void)TextsAt(*message, "check_constraints");
    for (const std::string_view action : TableActions()) {
      const auto alteration =
          AlterationOf(action, *message, {"memory", "main", "t"}, Columns{{"a"}, {"INTEGER"}});
      EXPECT_FALSE(alteration && alteration->sql.empty());
    }
  }
  EXPECT_GT(read, Rounds() / 100) << "the changes leave nothing to read";
}

TEST(FuzzTest, AnyTextIsAFilterOrNone) {
  engine::TableDetails table;
  table.kind = "duckdb";
  table.row_ids = true;
  for (const auto& [name, type] :
       {std::pair("id", "INTEGER"), std::pair("name", "VARCHAR"), std::pair("amount", "DOUBLE"),
        std::pair("active", "BOOLEAN"), std::pair("day", "DATE")}) {
    auto& column = table.columns.emplace_back();
    column.name = name;
    column.type = column.type_id = type;
    column.plain = true;
  }
  Mutator mutator(Corpus("filters"));
  int pushed = 0;
  for (int i = Rounds(); i > 0; --i) {
    const std::string text = mutator.Next();
    const Filter filter = ReadFilter(text, table, false);
    EXPECT_TRUE(filter.here.empty());
    pushed += filter.direct.empty() ? 0 : 1;
    // Nothing of the client's text gets out of its quotes.
    bool quoted = false;
    int depth = 0;
    for (const char c : filter.direct) {
      if (c == '\'') quoted = !quoted;
      if (quoted) continue;
      if (c == '(') ++depth;
      if (c == ')') --depth;
      EXPECT_NE(c, ';');
      EXPECT_GE(depth, 0);
    }
    EXPECT_FALSE(quoted) << filter.direct;
    EXPECT_EQ(depth, 0) << filter.direct;
  }
  EXPECT_GT(pushed, Rounds() / 200) << "the changes leave nothing to push down";
}

}  // namespace
}  // namespace pondpilot::worker::airport

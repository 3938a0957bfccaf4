// Runs tests/sql/**/*.test against a locked engine with a SQLite database "sl". The format is described in
// tests/sql/README.md. Files that need a server are run over the whole product by tests/integration.

#include <arrow/api.h>
#include <gtest/gtest.h>
#include <sqlite3.h>

#include <filesystem>
#include <fstream>
#include <regex>
#include <sstream>

#include "worker/engine/deep_stack.h"
#include "worker/engine/engine.h"

namespace pondpilot::worker::engine {
namespace {

struct Case {
  int line = 0;
  std::string kind;      // "ok", "error", "query"
  std::string expected;  // a regular expression, or rows with tabs between cells
  std::string sql;
  std::string types;  // a letter for each column; empty: any
  std::string sort;   // "rowsort", "valuesort"; empty: as they come
};

struct File {
  std::vector<std::string> required;
  std::vector<Case> cases;
};

File Parse(const std::filesystem::path& path) {
  File file;
  std::ifstream in(path);
  std::string line;
  int number = 0;
  const auto next = [&] { return std::getline(in, line) && ++number; };
  while (next()) {
    if (line.empty() || line.starts_with("#")) continue;
    if (line.starts_with("require ")) {
      file.required.push_back(line.substr(8));
      continue;
    }
    Case one;
    one.line = number;
    if (line == "statement ok") {
      one.kind = "ok";
    } else if (line.starts_with("statement error")) {
      one.kind = "error";
      one.expected = line.size() > 16 ? line.substr(16) : ".*";
    } else if (std::smatch words; std::regex_match(
                   line, words, std::regex("query(?: ([ITR]+))?(?: (nosort|rowsort|valuesort))?"))) {
      one.kind = "query";
      one.types = words[1];
      one.sort = words[2] == "nosort" ? "" : words[2].str();
    } else {
      ADD_FAILURE() << path << ":" << number << ": unknown directive " << line;
      return file;
    }
    bool rows = false;
    while (next() && !line.empty()) {
      if (one.kind == "query" && !rows && line == "----") {
        rows = true;
      } else {
        std::string& part = rows ? one.expected : one.sql;
        part += (part.empty() ? "" : "\n") + line;
      }
    }
    file.cases.push_back(std::move(one));
  }
  return file;
}

// I: whole numbers; R: other numbers; T: anything else.
char TypeLetter(const arrow::DataType& type) {
  if (arrow::is_integer(type.id())) return 'I';
  if (arrow::is_decimal(type.id())) {
    return static_cast<const arrow::DecimalType&>(type).scale() == 0 ? 'I' : 'R';
  }
  return arrow::is_floating(type.id()) ? 'R' : 'T';
}

std::string TypeLetters(const arrow::Schema& schema) {
  std::string letters;
  for (const auto& field : schema.fields()) letters += TypeLetter(*field->type());
  return letters;
}

std::string Sorted(const std::string& rows, const std::string& sort) {
  if (sort.empty()) return rows;
  std::vector<std::string> parts(1);
  for (const char c : rows) {
    if (c == '\n' || (c == '\t' && sort == "valuesort")) {
      parts.emplace_back();
    } else {
      parts.back() += c;
    }
  }
  std::ranges::sort(parts);
  std::string out;
  for (const std::string& part : parts) out += (out.empty() ? "" : "\n") + part;
  return out;
}

std::string Rows(ResultStream& stream, base::Error* error) {
  std::string rows;
  for (;;) {
    auto batch = stream.Next();
    if (!batch) {
      *error = batch.error();
      return rows;
    }
    if (!*batch) return rows;
    for (int64_t r = 0; r < (*batch)->num_rows(); ++r) {
      if (!rows.empty()) rows += "\n";
      for (int c = 0; c < (*batch)->num_columns(); ++c) {
        const auto cell = (*batch)->column(c)->GetScalar(r).ValueOrDie();
        std::string text = cell->is_valid ? cell->ToString() : std::string("NULL");
        rows += (c == 0 ? "" : "\t") + (text.empty() ? "(empty)" : text);
      }
    }
  }
}

class SqlFileTest : public ::testing::TestWithParam<std::filesystem::path> {};

TEST_P(SqlFileTest, Runs) {
  const File file = Parse(GetParam());
  for (const std::string& need : file.required) {
    if (need == "limited") {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
      GTEST_SKIP() << "needs the limit on the data segment, against which a sanitizer's shadow memory counts";
#endif
      // For the rest of the process: it is what a worker lives under. Threads' stacks count against it.
      UseSmallThreadStacks();
      ASSERT_TRUE(LimitProcessMemory({512ull << 20, 2, ""}).has_value());
      continue;
    }
    if (need != "sqlite")
      GTEST_SKIP() << "needs " << need << ": run over the whole product by tests/integration";
  }
  std::string folder = (std::filesystem::temp_directory_path() / "sql-files-XXXXXX").string();
  ASSERT_NE(::mkdtemp(folder.data()), nullptr);
  sqlite3* db = nullptr;
  ASSERT_EQ(sqlite3_open((folder + "/sl.db").c_str(), &db), SQLITE_OK);
  ASSERT_EQ(
      sqlite3_exec(db, "CREATE TABLE small(a INTEGER, b TEXT); INSERT INTO small VALUES (1,'one'),(2,'two');",
                   nullptr, nullptr, nullptr),
      SQLITE_OK);
  sqlite3_close(db);
  {
    auto engine = Engine::Open({512ull << 20, 2, folder});
    ASSERT_TRUE(engine.has_value()) << engine.error().detail;
    Attachment sl{.alias = "sl",
                  .kind = Attachment::Kind::kSqlite,
                  .server = {},
                  .sqlite_path = folder + "/sl.db",
                  .unavailable_reason = {}};
    const auto states = (*engine)->AttachAndLockDown({sl}, {});
    ASSERT_TRUE(states.has_value()) << states.error().detail;
    auto connection = (*engine)->Connect();
    ASSERT_TRUE(connection.has_value());
    for (const Case& one : file.cases) {
      SCOPED_TRACE(GetParam().filename().string() + ":" + std::to_string(one.line) + ": " + one.sql);
      base::Error error;
      std::string rows;
      std::string types;
      bool failed = true;
      if (auto stream = (*connection)->Execute(one.sql); stream) {
        error.message.clear();
        types = TypeLetters(*(*stream)->schema());
        rows = Rows(**stream, &error);
        failed = !error.message.empty();
      } else {
        error = stream.error();
      }
      if (one.kind == "error") {
        EXPECT_TRUE(failed) << "it succeeded with: " << rows.substr(0, 300);
        if (failed) {
          EXPECT_TRUE(std::regex_search(error.message, std::regex(one.expected))) << error.message;
        }
      } else {
        EXPECT_FALSE(failed) << error.message;
        if (one.kind == "query" && !failed) {
          EXPECT_EQ(Sorted(rows, one.sort), Sorted(one.expected, one.sort));
          if (!one.types.empty()) {
            EXPECT_EQ(types, one.types);
          }
        }
      }
    }
  }
  std::filesystem::remove_all(folder);
}

std::vector<std::filesystem::path> Files() {
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(PONDPILOT_SOURCE_DIR "/tests/sql")) {
    if (entry.path().extension() == ".test") files.push_back(entry.path());
  }
  std::ranges::sort(files);
  return files;
}

INSTANTIATE_TEST_SUITE_P(Sql, SqlFileTest, ::testing::ValuesIn(Files()), [](const auto& param) {
  std::string name = param.param.parent_path().filename().string() + "_" + param.param.stem().string();
  std::ranges::replace_if(name, [](char c) { return !std::isalnum(static_cast<unsigned char>(c)); }, '_');
  return name;
});

}  // namespace
}  // namespace pondpilot::worker::engine

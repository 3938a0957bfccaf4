// Runs tests/config/*.case. A case is lines of prose, then sections, each opened by a line "==== NAME":
//   environment  NAME=value lines
//   yaml         the file's text; without the section there is no file
//   config       expected: the lines of DumpRedacted that differ from a configuration of defaults
//   warnings     expected, one a line; without the section there must be none
//   problems     expected instead of the two before: every problem, one a line
// With PONDPILOT_UPDATE_CASES=1 the expected sections are written anew from what came out; read the
// difference.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>
#include <sstream>

#include "config/loader.h"
#include "config/options.h"

namespace pondpilot::config {
namespace {

struct Case {
  std::string prose;
  std::map<std::string, std::string> sections;
};

std::vector<std::string> Lines(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

Case ReadCase(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  Case read;
  std::string* target = &read.prose;
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("==== ")) {
      target = &read.sections[line.substr(5)];
      continue;
    }
    *target += line + "\n";
  }
  return read;
}

// The expected sections, as they came out.
std::map<std::string, std::string> Outcome(const Case& read) {
  Source source;
  source.file_name = "config.yaml";
  if (const auto yaml = read.sections.find("yaml"); yaml != read.sections.end())
    source.yaml_text = yaml->second;
  if (const auto environment = read.sections.find("environment"); environment != read.sections.end()) {
    for (const std::string& line : Lines(environment->second)) {
      const size_t equals = line.find('=');
      if (equals == std::string::npos) {
        ADD_FAILURE() << "not NAME=value: " << line;
        continue;
      }
      source.environment[line.substr(0, equals)] = line.substr(equals + 1);
    }
  }
  const auto loaded = Load(source);
  std::map<std::string, std::string> sections;
  if (!loaded) {
    for (const std::string& problem : loaded.error()) sections["problems"] += problem + "\n";
    return sections;
  }
  const std::vector<std::string> defaults = Lines(DumpRedacted(Config{}));
  std::string& config = sections["config"];
  for (const std::string& line : Lines(DumpRedacted(loaded->config))) {
    if (!std::ranges::contains(defaults, line) && line != "JWT_SECRET = ***") config += line + "\n";
  }
  for (const std::string& warning : loaded->warnings) sections["warnings"] += warning + "\n";
  return sections;
}

void Update(const std::filesystem::path& path, const Case& read,
            const std::map<std::string, std::string>& outcome) {
  std::ofstream file(path, std::ios::binary);
  file << read.prose;
  for (const char* name : {"environment", "yaml"}) {
    const auto section = read.sections.find(name);
    if (section != read.sections.end()) file << "==== " << name << "\n" << section->second;
  }
  for (const auto& [name, text] : outcome) file << "==== " << name << "\n" << text;
}

std::vector<std::filesystem::path> CaseFiles() {
  std::vector<std::filesystem::path> files;
  // Runs before main: a missing folder must fail TheyAreAllThere, not the start.
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(PONDPILOT_SOURCE_DIR "/tests/config", error)) {
    if (entry.path().extension() == ".case") files.push_back(entry.path());
  }
  std::ranges::sort(files);
  return files;
}

TEST(CasesTest, TheyAreAllThere) { EXPECT_GE(CaseFiles().size(), 50u); }

class CaseTest : public testing::TestWithParam<std::filesystem::path> {};

TEST_P(CaseTest, GivesWhatItSays) {
  const Case read = ReadCase(GetParam());
  static const std::set<std::string> kNames = {"environment", "yaml", "config", "warnings", "problems"};
  for (const auto& [name, text] : read.sections)
    EXPECT_TRUE(kNames.contains(name)) << "unknown section " << name;
  EXPECT_FALSE(read.prose.empty()) << "say what the case is about";
  const auto outcome = Outcome(read);
  if (std::getenv("PONDPILOT_UPDATE_CASES") != nullptr) {  // NOLINT(concurrency-mt-unsafe)
    Update(GetParam(), read, outcome);
    GTEST_SKIP() << "the case was written anew; run again without PONDPILOT_UPDATE_CASES";
  }
  auto expected = read.sections;
  expected.erase("environment");
  expected.erase("yaml");
  EXPECT_EQ(outcome, expected);
}

INSTANTIATE_TEST_SUITE_P(Files, CaseTest, testing::ValuesIn(CaseFiles()), [](const auto& parameter) {
  std::string name = parameter.param.stem().string();
  std::ranges::replace_if(name, [](char c) { return !std::isalnum(static_cast<unsigned char>(c)); }, '_');
  return name;
});

}  // namespace
}  // namespace pondpilot::config

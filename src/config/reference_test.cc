#include "config/reference.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>

#include "config/connection_string.h"
#include "config/databases.h"
#include "config/loader.h"
#include "config/options.h"

namespace pondpilot::config {
namespace {

using testing::HasSubstr;

TEST(ReferenceTest, NamesEveryOptionKeyAndVariable) {
  const std::string page = ConfigReference();
  for (const Option& option : Options()) {
    if (!option.key.empty()) {
      EXPECT_THAT(page, HasSubstr("| `" + std::string(option.key) + (option.reloadable ? "` ⟳ |" : "` |")));
    }
    if (!option.env.empty()) {
      EXPECT_THAT(page, HasSubstr("| `" + std::string(option.env) + "` |"));
    }
    EXPECT_THAT(page, HasSubstr(std::string(option.description)));
  }
  for (const DatabaseKey& key : DatabaseKeys())
    EXPECT_THAT(page, HasSubstr("| `" + std::string(key.name) + "` |"));
  for (const DatabaseKind kind : {DatabaseKind::kPostgres, DatabaseKind::kMysql}) {
    for (const ConnectionOption& option : ConnectionOptions(kind)) {
      EXPECT_THAT(page, HasSubstr("| `" + std::string(option.name) + "` |"));
    }
  }
}

TEST(ReferenceTest, ItsYamlExamplesLoad) {
  const std::string page = ConfigReference();
  size_t loaded = 0;
  for (size_t at = page.find("```yaml\n"); at != std::string::npos; at = page.find("```yaml\n", at)) {
    at += 8;
    const size_t end = page.find("```", at);
    ASSERT_NE(end, std::string::npos);
    std::string yaml = page.substr(at, end - at);
    at = end + 3;
    // That one is compose's, not ours.
    if (yaml.contains("environment:")) continue;
    const auto result = Load({.yaml_text = yaml,
                              .file_name = "example.yaml",
                              .environment = {{"JWT_SECRET", std::string(32, 'x')},
                                              {"DATABASE_URL", "postgresql://u:p@h/d"},
                                              {"CRM_PASSWORD", "p"}}});
    EXPECT_TRUE(result) << yaml << (result ? "" : result.error().front());
    if (result) {
      EXPECT_TRUE(result->warnings.empty()) << result->warnings.front();
    }
    ++loaded;
  }
  EXPECT_EQ(loaded, 2u);
}

TEST(ReferenceTest, TheExampleOfEachOptionIsAccepted) {
  for (const Option& option : Options()) {
    if (option.key.empty() || option.key == "duckdb.attached_databases") continue;
    // "a.b: x" as nested maps.
    std::string yaml;
    std::string indent;
    std::string_view rest = option.key;
    for (size_t dot = rest.find('.'); dot != std::string_view::npos; dot = rest.find('.')) {
      yaml += indent + std::string(rest.substr(0, dot)) + ":\n";
      indent += "  ";
      rest.remove_prefix(dot + 1);
    }
    yaml += indent + std::string(rest) + ": " + std::string(option.example) + "\n";
    const auto result =
        Load({.yaml_text = yaml,
              .file_name = "example.yaml",
              .environment = {
                  {"JWT_SECRET", std::string(32, 'x')}, {"CLAUDE_API_KEY", "k"}, {"OPENAI_API_KEY", "k"}}});
    EXPECT_TRUE(result) << yaml << (result ? "" : result.error().front());
  }
}

TEST(ReferenceTest, TheDocumentationIsThisPage) {
  std::ifstream file(PONDPILOT_SOURCE_DIR "/docs/configuration.md", std::ios::binary);
  ASSERT_TRUE(file);
  const std::string page{std::istreambuf_iterator<char>(file), {}};
  EXPECT_TRUE(page == ConfigReference())
      << "docs/configuration.md is out of date; write it anew with: pondpilot-proxy config-reference";
}

}  // namespace
}  // namespace pondpilot::config

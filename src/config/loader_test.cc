#include "config/loader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "config/options.h"

namespace pondpilot::config {
namespace {

using testing::HasSubstr;
using testing::Not;

const std::string kSecret(32, 'j');

constexpr std::string_view kQuickStart = R"(server:
  port: 8080
  grpc_port: 8081
  host: "0.0.0.0"
containers:
  image: "ghcr.io/pondpilot/sqlflite:latest"
  idle_timeout: 5m
  memory_limit: "512m"
  cpu_limit: 0.5
duckdb:
  extensions: [arrow, postgres, mysql]
  attached_databases:
    - alias: "mydb"
      type: "postgres"
      connection_string: "${DATABASE_URL}"
)";

// Each problem and warning is one line that can't be mistaken for two, and holds nothing that is secret.
void CheckSentences(const std::vector<std::string>& sentences) {
  for (const std::string& sentence : sentences) {
    EXPECT_FALSE(sentence.empty());
    EXPECT_THAT(sentence, Not(HasSubstr("\n")));
    EXPECT_THAT(sentence, Not(HasSubstr("hunter2")));
    EXPECT_THAT(sentence, Not(HasSubstr(kSecret)));
  }
}

TEST(LoaderTest, NoFileMeansDefaults) {
  const auto loaded =
      Load({.yaml_text = std::nullopt, .file_name = "x", .environment = {{"JWT_SECRET", kSecret}}});
  ASSERT_TRUE(loaded);
  Config expected;
  expected.security.jwt_secret = base::Secret(kSecret);
  EXPECT_EQ(DumpRedacted(loaded->config), DumpRedacted(expected));
  EXPECT_EQ(loaded->config.security.jwt_secret.Reveal(), kSecret);
  EXPECT_TRUE(loaded->warnings.empty());
}

TEST(LoaderTest, EveryVariableReachesItsOptionAndWinsOverTheFile) {
  for (const Option& option : Options()) {
    if (option.env.empty() || option.secret || option.key.empty()) continue;
    if (option.rule == nullptr && !option.range) continue;
    // A value of each option that isn't its default.
    std::string value;
    for (const char* candidate :
         {"0.25", "7", "7s", "256m", "::1", "other", "/other", "https://other.example.com", "debug",
          "process", "landlock", "large:1g:1"}) {
      Config config;
      const bool list = std::holds_alternative<Ref<std::vector<std::string>>>(option.field);
      if (list ? CheckElement(option, candidate).has_value()
               : SetFromText(option, candidate, Origin::kEnvironment, config).has_value()) {
        value = candidate;
      }
    }
    ASSERT_FALSE(value.empty()) << option.env;
    const auto loaded = Load({.yaml_text = std::string(kQuickStart),
                              .file_name = "config.yaml",
                              .environment = {{"JWT_SECRET", kSecret}, {std::string(option.env), value}}});
    ASSERT_TRUE(loaded) << option.env << ": " << loaded.error().front();
    Config config = loaded->config;
    EXPECT_THAT(RenderValue(option, config), HasSubstr(value)) << option.env;
  }
}

TEST(LoaderTest, KeysComeFromFileOrEnvironment) {
  const Source file = {.yaml_text = "ai:\n  claude_api_key: from-file\n  openai_api_key: \"${MY_KEY}\"\n",
                       .file_name = "config.yaml",
                       .environment = {{"JWT_SECRET", kSecret}, {"MY_KEY", "from-mine"}}};
  const auto from_file = Load(file);
  ASSERT_TRUE(from_file);
  EXPECT_EQ(from_file->config.ai.claude_api_key.Reveal(), "from-file");
  EXPECT_EQ(from_file->config.ai.openai_api_key.Reveal(), "from-mine");

  Source both = file;
  both.environment["CLAUDE_API_KEY"] = "from-env";
  both.environment["OPENAI_API_KEY"] = "";
  const auto from_both = Load(both);
  ASSERT_TRUE(from_both);
  EXPECT_EQ(from_both->config.ai.claude_api_key.Reveal(), "from-env");
  EXPECT_EQ(from_both->config.ai.openai_api_key.Reveal(), "from-mine");
}

TEST(LoaderTest, SecretsAreInNoProblem) {
  const auto loaded =
      Load({.yaml_text =
                "security:\n  jwt_secret: hunter2-jwt\nai:\n  claude_api_key: \"hunter2 with blanks\"\n"
                "containers:\n  image: \"${PASSWORD}\"\nduckdb:\n  extensions: [\"${PASSWORD}\"]\n"
                "  attached_databases:\n    - {alias: \"${PASSWORD}\", type: postgres, connection_string: "
                "\"postgresql://u:hunter2@h\"}\n",
            .file_name = "config.yaml",
            .environment = {
                {"JWT_SECRET", "hunter2"}, {"OPENAI_API_KEY", "hunter2\n"}, {"PASSWORD", "hunter2 "}}});
  ASSERT_FALSE(loaded);
  EXPECT_EQ(loaded.error().size(), 8u);
  CheckSentences(loaded.error());
}

TEST(LoaderTest, TheExampleSecretIsTakenWithAWarning) {
  const auto loaded = Load({.yaml_text = std::nullopt,
                            .file_name = "x",
                            .environment = {{"JWT_SECRET", "your-secret-key-at-least-32-characters-long"}}});
  ASSERT_TRUE(loaded);
  ASSERT_EQ(loaded->warnings.size(), 1u);
  EXPECT_THAT(loaded->warnings[0], HasSubstr("openssl rand -hex 32"));
}

TEST(LoaderTest, MutatedFilesGiveAConfigurationOrProblems) {
  const std::map<std::string, std::string> environment = {{"JWT_SECRET", kSecret},
                                                          {"DATABASE_URL", "postgresql://u:hunter2@db/shop"}};
  std::mt19937 random(20260126);
  constexpr std::string_view kBytes = ":-[]{}#&*!|>'\"%@`,?~ \n\t\r\0\x7f\x80\xff$az09";
  size_t loaded_count = 0;
  for (int round = 0; round < 20'000; ++round) {
    std::string text(kQuickStart);
    for (unsigned changes = 1 + random() % 5; changes > 0 && !text.empty(); --changes) {
      const size_t at = random() % text.size();
      switch (random() % 5) {
        case 0:
          text[at] = kBytes[random() % kBytes.size()];
          break;
        case 1:
          text.insert(at, 1, kBytes[random() % kBytes.size()]);
          break;
        case 2:
          text.erase(at, 1 + random() % 8);
          break;
        case 3:
          text.insert(random() % text.size(), text.substr(at, random() % 40));
          break;
        default:
          text.resize(at);
      }
    }
    const auto loaded = Load({.yaml_text = text, .file_name = "config.yaml", .environment = environment});
    if (loaded) {
      ++loaded_count;
      CheckSentences(loaded->warnings);
      EXPECT_THAT(DumpRedacted(loaded->config), Not(HasSubstr("hunter2")));
      for (const AttachedDatabase& database : loaded->config.duckdb.attached_databases) {
        EXPECT_EQ(
            database.server.has_value() + database.sqlite_path.has_value() + database.unavailable.has_value(),
            1);
      }
    } else {
      EXPECT_FALSE(loaded.error().empty());
      CheckSentences(loaded.error());
    }
    if (HasFailure()) FAIL() << "round " << round << ":\n" << text;
  }
  // Both outcomes were really seen.
  EXPECT_GT(loaded_count, 500u);
  EXPECT_LT(loaded_count, 19'500u);
}

}  // namespace
}  // namespace pondpilot::config

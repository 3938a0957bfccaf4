#include "config/options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

namespace pondpilot::config {
namespace {

using testing::HasSubstr;
using testing::Not;

bool IsList(const Option& option) {
  return std::holds_alternative<Ref<std::vector<std::string>>>(option.field) ||
         std::holds_alternative<Ref<std::vector<AttachedDatabase>>>(option.field);
}

TEST(OptionsTest, KeysAndVariablesAreUniqueAndOneOfThemIsThere) {
  std::set<std::string_view> keys;
  std::set<std::string_view> variables;
  for (const Option& option : Options()) {
    EXPECT_FALSE(option.key.empty() && option.env.empty());
    if (!option.key.empty()) {
      EXPECT_TRUE(keys.insert(option.key).second) << option.key;
    }
    if (!option.env.empty()) {
      EXPECT_TRUE(variables.insert(option.env).second) << option.env;
    }
  }
}

TEST(OptionsTest, EveryOptionIsDescribed) {
  for (const Option& option : Options()) {
    EXPECT_TRUE(option.description.ends_with('.')) << option.key;
    EXPECT_FALSE(option.example.empty()) << option.key;
    EXPECT_FALSE(TypeName(option).empty()) << option.key;
    EXPECT_FALSE(Allowed(option).empty()) << option.key;
  }
}

// The loader applies the table's defaults; the struct's own must be the same, as tests elsewhere start from
// Config{}.
TEST(OptionsTest, DefaultsAreAcceptedAndAreThoseOfTheStruct) {
  Config from_table;
  Config from_struct;
  for (const Option& option : Options()) {
    if (option.default_text.empty()) continue;
    const auto set = SetFromText(option, option.default_text, Origin::kFile, from_table);
    EXPECT_TRUE(set) << option.key << ": " << (set ? "" : set.error());
    EXPECT_EQ(RenderValue(option, from_table), RenderValue(option, from_struct)) << option.key;
    EXPECT_EQ(RenderValue(option, from_table), option.default_text) << option.key;
  }
}

// Two accessors for one field would make one option overwrite another.
TEST(OptionsTest, EveryOptionHasAFieldOfItsOwn) {
  std::set<const void*> fields;
  Config config;
  for (const Option& option : Options()) {
    const void* const field = std::visit([&](auto ref) -> const void* { return &ref(config); }, option.field);
    EXPECT_TRUE(fields.insert(field).second) << option.key;
  }
}

TEST(OptionsTest, BoundsAreHeldAtBothEnds) {
  for (const Option& option : Options()) {
    if (!option.range) continue;
    const auto write = [&](double value) {
      if (std::holds_alternative<Ref<std::chrono::milliseconds>>(option.field)) {
        return std::to_string(static_cast<int64_t>(value)) + "ms";
      }
      if (std::holds_alternative<Ref<double>>(option.field)) return std::to_string(value);
      return std::to_string(static_cast<int64_t>(value));
    };
    const double step = std::holds_alternative<Ref<double>>(option.field) ? 0.01 : 1;
    Config config;
    EXPECT_TRUE(SetFromText(option, write(option.range->least), Origin::kFile, config)) << option.key;
    EXPECT_TRUE(SetFromText(option, write(option.range->most), Origin::kFile, config)) << option.key;
    EXPECT_FALSE(SetFromText(option, write(option.range->least - step), Origin::kFile, config)) << option.key;
    EXPECT_FALSE(SetFromText(option, write(option.range->most + step), Origin::kFile, config)) << option.key;
  }
}

TEST(OptionsTest, RefusedTextLeavesTheValueAndIsNotInTheError) {
  for (const Option& option : Options()) {
    if (IsList(option)) continue;
    Config config;
    const std::string before = RenderValue(option, config);
    const auto set = SetFromText(option, "\x01 s3cr3t", Origin::kEnvironment, config);
    ASSERT_FALSE(set) << option.key;
    EXPECT_THAT(set.error(), HasSubstr("allowed: ")) << option.key;
    EXPECT_THAT(set.error(), Not(HasSubstr("s3cr3t"))) << option.key;
    EXPECT_EQ(RenderValue(option, config), before) << option.key;
  }
}

TEST(OptionsTest, BareMillisecondsOnlyInTheEnvironment) {
  const Option& option = *FindOption("containers.idle_timeout");
  Config config;
  EXPECT_FALSE(SetFromText(option, "60000", Origin::kFile, config));
  EXPECT_TRUE(SetFromText(option, "60000", Origin::kEnvironment, config));
  EXPECT_EQ(config.containers.idle_timeout, std::chrono::minutes(1));
  EXPECT_TRUE(SetFromText(option, "2m", Origin::kEnvironment, config));
  EXPECT_EQ(config.containers.idle_timeout, std::chrono::minutes(2));
}

TEST(OptionsTest, TextRules) {
  const auto accepts = [](std::string_view key, std::string_view text) {
    Config config;
    return SetFromText(*FindOption(key), text, Origin::kFile, config).has_value();
  };
  for (const char* good : {"0.0.0.0", "::", "127.0.0.1", "2001:db8::1"})
    EXPECT_TRUE(accepts("server.host", good)) << good;
  for (const char* bad : {"", "localhost", "1.2.3", "256.0.0.1", "[::]", "0.0.0.0:80"}) {
    EXPECT_FALSE(accepts("server.host", bad)) << bad;
  }
  for (const char* good : {"duckdb", "ghcr.io/a/b:latest", "localhost:5000/x", "a@sha256:0123"}) {
    EXPECT_TRUE(accepts("containers.image", good)) << good;
  }
  for (const char* bad : {"", "-x", "a b", "a;b", "a\nb"})
    EXPECT_FALSE(accepts("containers.image", bad)) << bad;
  for (const char* good : {"http://h", "https://h:8443/v1", "http://[::1]:80/x"}) {
    EXPECT_TRUE(accepts("ai.openai_base_url", good)) << good;
  }
  for (const char* bad : {"", "h", "ftp://h", "http://", "http://u:p@h", "http://h?x", "http://h#x",
                          "http://h:0", "http://h:99999", "http:///v1"}) {
    EXPECT_FALSE(accepts("ai.openai_base_url", bad)) << bad;
  }
  for (const char* bad : {"docker.sock", "unix:///var/run/docker.sock", "/var/run/", ""}) {
    EXPECT_FALSE(accepts("containers.docker_socket", bad)) << bad;
  }
  const Option& origins = *FindOption("security.cors_allowed_origins");
  for (const char* good : {"*", "https://app.example.com", "http://localhost:5173"}) {
    EXPECT_TRUE(CheckElement(origins, good)) << good;
  }
  for (const char* bad : {"", "null", "app.example.com", "https://app.example.com/", "https://*.example.com",
                          "https://u@h", "https://h?x", "https://h:0"}) {
    EXPECT_FALSE(CheckElement(origins, bad)) << bad;
  }
}

TEST(OptionsTest, TheDumpShowsNoSecret) {
  Config config;
  config.security.jwt_secret = base::Secret("s3cr3t-jwt");
  config.ai.claude_api_key = base::Secret("s3cr3t-claude");
  config.duckdb.attached_databases.push_back({.alias = "a",
                                              .kind = DatabaseKind::kPostgres,
                                              .read_only = true,
                                              .server = ServerTarget{.host = "::1",
                                                                     .port = 5432,
                                                                     .database = "d",
                                                                     .user = "u",
                                                                     .password = base::Secret("s3cr3t-pw"),
                                                                     .options = {{"sslmode", "require"}}},
                                              .sqlite_path = std::nullopt,
                                              .unavailable = std::nullopt});
  const std::string dump = DumpRedacted(config);
  EXPECT_THAT(dump, Not(HasSubstr("s3cr3t")));
  EXPECT_THAT(dump, HasSubstr("JWT_SECRET = ***\n"));
  EXPECT_THAT(dump, HasSubstr("ai.claude_api_key = ***\n"));
  EXPECT_THAT(dump, HasSubstr("ai.openai_api_key =\n"));
  EXPECT_THAT(dump,
              HasSubstr("duckdb.attached_databases[0] = a postgres read_only host=[::1] port=5432 database=d "
                        "user=u password=*** sslmode=require\n"));
}

}  // namespace
}  // namespace pondpilot::config

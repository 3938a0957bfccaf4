#include "config/substitution.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace pondpilot::config {
namespace {

using testing::ElementsAre;

const std::map<std::string, std::string> kEnvironment = {
    {"A", "1"}, {"B_2", "two"}, {"EMPTY", ""}, {"NESTED", "${A}"}};

TEST(SubstitutionTest, ReplacesNames) {
  const auto out = Substitute("x${A}y${B_2}z${A}", kEnvironment);
  ASSERT_TRUE(out);
  EXPECT_EQ(out->text, "x1ytwoz1");
  EXPECT_TRUE(out->replaced);
  EXPECT_TRUE(out->unset.empty());
}

TEST(SubstitutionTest, LeavesOtherTextAlone) {
  for (const char* text : {"", "plain", "$A", "$$", "a$", "{A}", "$ {A}", "}"}) {
    const auto out = Substitute(text, kEnvironment);
    ASSERT_TRUE(out) << text;
    EXPECT_EQ(out->text, text);
    EXPECT_FALSE(out->replaced);
  }
}

TEST(SubstitutionTest, EscapedIsLiteral) {
  EXPECT_EQ(Substitute("$${A}", kEnvironment)->text, "${A}");
  EXPECT_EQ(Substitute("$${", kEnvironment)->text, "${");
  EXPECT_EQ(Substitute("${A}$${A}${A}", kEnvironment)->text, "1${A}1");
}

TEST(SubstitutionTest, AValueIsNotReplacedAgain) {
  EXPECT_EQ(Substitute("${NESTED}", kEnvironment)->text, "${A}");
}

TEST(SubstitutionTest, TellsUnsetAndEmptyNamesOnce) {
  const auto out = Substitute("${NO}${EMPTY}${NO2}${NO}${EMPTY}", kEnvironment);
  ASSERT_TRUE(out);
  EXPECT_THAT(out->unset, ElementsAre("NO", "NO2"));
  EXPECT_THAT(out->empty, ElementsAre("EMPTY"));
}

TEST(SubstitutionTest, RefusesOtherForms) {
  for (const char* text : {"${", "${}", "${A", "${1A}", "${A:-x}", "${A B}", "${A-}", "x${ A}", "${${A}}"}) {
    EXPECT_FALSE(Substitute(text, kEnvironment)) << text;
  }
}

}  // namespace
}  // namespace pondpilot::config

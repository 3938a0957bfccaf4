#include "config/yaml_tree.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace pondpilot::config {
namespace {

using testing::HasSubstr;

// The one problem of a text that must be refused.
YamlProblem Refusal(std::string_view text) {
  const YamlTree tree = ParseYaml(text);
  EXPECT_FALSE(tree.root.has_value());
  EXPECT_EQ(tree.problems.size(), 1u);
  return tree.problems.empty() ? YamlProblem{} : tree.problems[0];
}

TEST(YamlTreeTest, KeepsOrderAndLines) {
  const YamlTree tree = ParseYaml("# comment\na:\n  b: [x, \"y\"]\nc:\n");
  ASSERT_TRUE(tree.root);
  EXPECT_TRUE(tree.problems.empty());
  ASSERT_EQ(tree.root->entries.size(), 2u);
  const YamlEntry& a = tree.root->entries[0];
  EXPECT_EQ(a.key, "a");
  EXPECT_EQ(a.line, 2);
  ASSERT_EQ(a.value.entries.size(), 1u);
  const YamlNode& list = a.value.entries[0].value;
  EXPECT_EQ(list.kind, YamlNode::Kind::kSequence);
  EXPECT_EQ(list.line, 3);
  ASSERT_EQ(list.items.size(), 2u);
  EXPECT_EQ(list.items[1].text, "y");
  EXPECT_EQ(tree.root->entries[1].value.kind, YamlNode::Kind::kNull);
}

TEST(YamlTreeTest, NothingIsNoValue) {
  for (const char* text : {"", "\n\n", "# only a comment\n", "---\n", "\xef\xbb\xbf"}) {
    const YamlTree tree = ParseYaml(text);
    ASSERT_TRUE(tree.root) << text;
    EXPECT_EQ(tree.root->kind, YamlNode::Kind::kNull) << text;
  }
}

TEST(YamlTreeTest, DosLineEndsAreFine) {
  const YamlTree tree = ParseYaml("a:\r\n  b: 1\r\n");
  ASSERT_TRUE(tree.root);
  EXPECT_EQ(tree.root->entries.at(0).value.entries.at(0).value.text, "1");
}

TEST(YamlTreeTest, TellsEveryDuplicateKeyWithItsPath) {
  const YamlTree tree = ParseYaml("a: 1\nb:\n  c: 1\n  c: 2\na: 3\n");
  ASSERT_EQ(tree.problems.size(), 2u);
  EXPECT_EQ(tree.problems[0].key, "b.c");
  EXPECT_EQ(tree.problems[0].line, 4);
  EXPECT_THAT(tree.problems[0].message, HasSubstr("first in line 3"));
  EXPECT_EQ(tree.problems[1].key, "a");
  EXPECT_EQ(tree.problems[1].line, 5);
}

TEST(YamlTreeTest, KeysInProblemsAreEscapedAndBounded) {
  const YamlTree tree = ParseYaml("\"a\\nb\": 1\n\"a\\nb\": 2\n");
  ASSERT_EQ(tree.problems.size(), 1u);
  EXPECT_EQ(tree.problems[0].key, "a\\x0ab");
  const std::string key(5000, 'k');
  const YamlTree large = ParseYaml(key + ": 1\n" + key + ": 2\n");
  // Whether yaml-cpp takes a key that long or not, the message stays short.
  ASSERT_FALSE(large.problems.empty());
  EXPECT_LT(large.problems[0].key.size() + large.problems[0].message.size(), 300u);
}

TEST(YamlTreeTest, AMissingValueStandsInTheLineOfItsKey) {
  const YamlTree tree = ParseYaml("a:\n\n\nb: 1\n");
  ASSERT_TRUE(tree.root);
  EXPECT_EQ(tree.root->entries.at(0).value.line, 1);
}

TEST(YamlTreeTest, RefusesTabsAsIndentation) {
  const YamlProblem problem = Refusal("a:\n\tb: 1\n");
  EXPECT_EQ(problem.line, 2);
  EXPECT_THAT(problem.message, HasSubstr("tab"));
  EXPECT_TRUE(ParseYaml("a: 1\t# comment\n\t# comment\n").problems.empty());
}

TEST(YamlTreeTest, RefusesWhatIsNotText) {
  EXPECT_THAT(Refusal("a: 1\nb: \xff\n").message, HasSubstr("UTF-8"));
  EXPECT_EQ(Refusal("a: 1\nb: \xff\n").line, 2);
  EXPECT_THAT(Refusal(std::string("a: \0b\n", 6)).message, HasSubstr("control character"));
  EXPECT_THAT(Refusal(std::string_view("\xff\xfe\x61\x00", 4)).message, HasSubstr("UTF-8"));
}

TEST(YamlTreeTest, RefusesTooMuchText) {
  EXPECT_TRUE(ParseYaml("#" + std::string(kMaxYamlBytes - 1, 'x')).root);
  EXPECT_THAT(Refusal("#" + std::string(kMaxYamlBytes, 'x')).message, HasSubstr("1 MiB"));
}

TEST(YamlTreeTest, RefusesSecondDocumentsTagsAndOddKeys) {
  EXPECT_THAT(Refusal("a: 1\n---\nb: 1\n").message, HasSubstr("second YAML document"));
  EXPECT_THAT(Refusal("a: !!binary aGk=\n").message, HasSubstr("tags"));
  EXPECT_THAT(Refusal("a: !custom {b: 1}\n").message, HasSubstr("tags"));
  EXPECT_THAT(Refusal("? [a, b]\n: 1\n").message, HasSubstr("key must be text"));
  EXPECT_THAT(Refusal(": 1\n").message, HasSubstr("key must be text"));
}

TEST(YamlTreeTest, SyntaxErrorsHaveALine) {
  EXPECT_EQ(Refusal("a: 1\nb: [1, 2\nc: 3\n").line, 3);
  EXPECT_EQ(Refusal("a: 1\nb: \"x\nc: 2\n").line, 2);
  EXPECT_THAT(Refusal("a: 'x").message, HasSubstr("never closed"));
  EXPECT_THAT(Refusal("a: *nowhere\n").message, HasSubstr("not valid YAML"));
}

TEST(YamlTreeTest, RefusesDeepNesting) {
  EXPECT_THAT(Refusal("a: " + std::string(100, '[') + std::string(100, ']')).message,
              HasSubstr("nested deeper"));
  EXPECT_FALSE(ParseYaml("a: " + std::string(10'000, '[')).root);
  EXPECT_FALSE(ParseYaml(std::string(500'000, '[')).root);
  EXPECT_FALSE(ParseYaml(std::string(500'000, '{')).root);
  const std::string within = std::string(kMaxYamlDepth, '[') + std::string(kMaxYamlDepth, ']');
  EXPECT_TRUE(ParseYaml(within).root);
  EXPECT_FALSE(ParseYaml("[" + within + "]").root);
}

TEST(YamlTreeTest, AliasesAreCopiesAtTheirOwnLine) {
  const YamlTree tree = ParseYaml("a: &x [1]\nb: *x\n");
  ASSERT_TRUE(tree.root);
  const YamlNode& copy = tree.root->entries.at(1).value;
  EXPECT_EQ(copy.items.at(0).text, "1");
  EXPECT_EQ(copy.items.at(0).line, 2);
}

TEST(YamlTreeTest, RefusesAliasBombsAndLoops) {
  std::string bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n";
  for (int i = 1; i < 9; ++i) {
    const std::string before = "*a" + std::to_string(i - 1);
    bomb += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [" + before;
    for (int k = 1; k < 10; ++k) bomb += ", " + before;
    bomb += "]\n";
  }
  EXPECT_THAT(Refusal(bomb).message, HasSubstr("more than 10000 values"));

  std::string wide = "a: &a \"" + std::string(500'000, 'x') + "\"\nb: [";
  for (int i = 0; i < 100; ++i) wide += "*a, ";
  EXPECT_THAT(Refusal(wide + "*a]\n").message, HasSubstr("MiB of text"));

  EXPECT_THAT(Refusal("a: &x [*x]\n").message, HasSubstr("itself part of"));
}

}  // namespace
}  // namespace pondpilot::config

#include "config/source_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace pondpilot::config {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class SourceFileTest : public testing::Test {
 protected:
  SourceFileTest() {
    std::string pattern = (std::filesystem::temp_directory_path() / "pondpilot-config-XXXXXX").string();
    folder_ = ::mkdtemp(pattern.data());
  }
  ~SourceFileTest() override { std::filesystem::remove_all(folder_); }

  std::string Path(const std::string& name) const { return (folder_ / name).string(); }
  std::string Write(const std::string& name, const std::string& text) const {
    std::ofstream(Path(name), std::ios::binary) << text;
    return Path(name);
  }

  std::filesystem::path folder_;
};

TEST_F(SourceFileTest, ReadsTheNamedFile) {
  const auto source = ReadSource(Write("a.yaml", "a: 1\n"), {{"X", "y"}}, Path("default.yaml"));
  ASSERT_TRUE(source);
  EXPECT_EQ(source->yaml_text, "a: 1\n");
  EXPECT_EQ(source->file_name, Path("a.yaml"));
  EXPECT_EQ(source->environment.at("X"), "y");
}

TEST_F(SourceFileTest, TheFlagWinsOverTheVariableAndThatOverTheDefault) {
  const std::string flag = Write("flag.yaml", "from: flag\n");
  const std::string variable = Write("variable.yaml", "from: variable\n");
  const std::string fallback = Write("default.yaml", "from: default\n");
  EXPECT_EQ(ReadSource(flag, {{"PONDPILOT_CONFIG", variable}}, fallback)->yaml_text, "from: flag\n");
  EXPECT_EQ(ReadSource(std::nullopt, {{"PONDPILOT_CONFIG", variable}}, fallback)->yaml_text,
            "from: variable\n");
  EXPECT_EQ(ReadSource(std::nullopt, {{"PONDPILOT_CONFIG", ""}}, fallback)->yaml_text, "from: default\n");
}

TEST_F(SourceFileTest, OnlyTheDefaultFileMayBeMissing) {
  const auto defaults = ReadSource(std::nullopt, {}, Path("none.yaml"));
  ASSERT_TRUE(defaults);
  EXPECT_EQ(defaults->yaml_text, std::nullopt);

  const auto by_flag = ReadSource(Path("none.yaml"), {}, Path("default.yaml"));
  ASSERT_FALSE(by_flag);
  EXPECT_THAT(by_flag.error(), ElementsAre(HasSubstr("no such file (named by --config)")));
  const auto by_variable =
      ReadSource(std::nullopt, {{"PONDPILOT_CONFIG", Path("none.yaml")}}, Path("default.yaml"));
  ASSERT_FALSE(by_variable);
  EXPECT_THAT(by_variable.error(), ElementsAre(HasSubstr("named by PONDPILOT_CONFIG")));
  EXPECT_FALSE(ReadSource("", {}, Path("default.yaml")));
}

TEST_F(SourceFileTest, AFolderIsExplained) {
  std::filesystem::create_directory(folder_ / "config.yaml");
  for (const auto& source :
       {ReadSource(std::nullopt, {}, Path("config.yaml")), ReadSource(Path("config.yaml"), {})}) {
    ASSERT_FALSE(source);
    EXPECT_THAT(source.error(), ElementsAre(HasSubstr("Docker makes an empty folder")));
    EXPECT_THAT(source.error(), ElementsAre(HasSubstr("rmdir config.yaml")));
  }
}

TEST_F(SourceFileTest, RefusesOtherThingsThanFiles) {
  ASSERT_EQ(::mkfifo(Path("pipe").c_str(), 0600), 0);
  const auto pipe = ReadSource(Path("pipe"), {});
  ASSERT_FALSE(pipe);
  EXPECT_THAT(pipe.error(), ElementsAre(HasSubstr("not an ordinary file")));
  EXPECT_FALSE(ReadSource("/dev/zero", {}));
  EXPECT_FALSE(ReadSource(Write("file", "") + "/below", {}));
}

TEST_F(SourceFileTest, RefusesMoreThanOneMiB) {
  EXPECT_TRUE(ReadSource(Write("fits.yaml", std::string(1 << 20, '#')), {}));
  const auto large = ReadSource(Write("large.yaml", std::string((1 << 20) + 1, '#')), {});
  ASSERT_FALSE(large);
  EXPECT_THAT(large.error(), ElementsAre(HasSubstr("larger than 1 MiB")));
}

TEST_F(SourceFileTest, AnUnreadableFileIsAnError) {
  if (::geteuid() == 0) GTEST_SKIP() << "root reads every file; run as an ordinary user to see this";
  const std::string path = Write("secret.yaml", "a: 1\n");
  ASSERT_EQ(::chmod(path.c_str(), 0), 0);
  const auto source = ReadSource(path, {});
  ASSERT_FALSE(source);
  EXPECT_THAT(source.error(), ElementsAre(HasSubstr("chmod a+r")));
}

TEST(ProcessEnvironmentTest, HoldsWhatIsSet) {
  ASSERT_EQ(::setenv("PONDPILOT_TEST_VARIABLE", "a=b", 1), 0);  // NOLINT(concurrency-mt-unsafe)
  EXPECT_EQ(ProcessEnvironment().at("PONDPILOT_TEST_VARIABLE"), "a=b");
  ASSERT_EQ(::unsetenv("PONDPILOT_TEST_VARIABLE"), 0);  // NOLINT(concurrency-mt-unsafe)
  EXPECT_FALSE(ProcessEnvironment().contains("PONDPILOT_TEST_VARIABLE"));
}

}  // namespace
}  // namespace pondpilot::config

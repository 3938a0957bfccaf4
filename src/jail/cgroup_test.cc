#include "jail/cgroup.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "base/temporary_folder.h"

namespace pondpilot::jail {
namespace {

namespace fs = std::filesystem;

TEST(CgroupTest, EachControllerOfVersion1HasAFolder) {
  const CgroupPlace place = FindCgroups(
      "30 20 0:25 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
      "31 20 0:26 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
      "32 20 0:27 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n",
      "5:memory:/system.slice/proxy\n4:cpu,cpuacct:/\n3:pids:/a\n0::/b\n");
  EXPECT_FALSE(place.unified);
  EXPECT_EQ(place.folders.at("memory"), "/sys/fs/cgroup/memory/system.slice/proxy");
  EXPECT_EQ(place.folders.at("cpu"), "/sys/fs/cgroup/cpu,cpuacct");
  EXPECT_EQ(place.folders.at("pids"), "/sys/fs/cgroup/pids/a");
}

// A container sees its own part of the tree at the top, though its path names the whole way to it.
TEST(CgroupTest, AContainersPartIsAtTheMountsTop) {
  const CgroupPlace place =
      FindCgroups("30 20 0:25 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n",
                  "5:memory:/docker/abc\n");
  EXPECT_EQ(place.folders.at("memory"), "/sys/fs/cgroup/memory");
  EXPECT_FALSE(place.folders.contains("cpu"));
  EXPECT_FALSE(Cgroups::Open(place));
}

class UnifiedTest : public ::testing::Test {
 protected:
  void SetUp() override {
    Put("cgroup.controllers", "cpuset cpu io memory pids\n");
    Put("cgroup.procs", "");
    Put("cgroup.subtree_control", "");
  }

  void Put(const std::string& name, const std::string& text) { std::ofstream(folder_ / name) << text; }
  std::string Text(const fs::path& name) const {
    std::ifstream file(folder_ / name);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  CgroupPlace Find() const {
    return FindCgroups("30 20 0:25 / " + folder_.string() + " rw - cgroup2 cgroup2 rw\n", "0::/\n");
  }

  const base::TemporaryFolder temporary_;
  const fs::path folder_ = temporary_.path();
};

// A folder that looks like version 2 of the interface: which files are written, and what.
TEST_F(UnifiedTest, LimitsAreWrittenAndControllersHandedOn) {
  const CgroupPlace place = Find();
  EXPECT_TRUE(place.unified);
  ASSERT_EQ(place.folders.size(), 3U);
  const auto cgroups = Cgroups::Open(place);
  ASSERT_TRUE(cgroups) << cgroups.error();
  EXPECT_EQ(Text("cgroup.subtree_control"), "+memory +cpu +pids");
  const fs::path own = "pondpilot-worker-w1";
  fs::create_directory(folder_ / own);
  for (const char* file : {"memory.max", "memory.swap.max", "cpu.max", "pids.max", "cgroup.procs"})
    Put(own / file, "");
  EXPECT_EQ(cgroups->Make("w1", {.memory_bytes = 1 << 30, .cpu_cores = 0.5, .threads = 64}), "");
  EXPECT_EQ(Text(own / "memory.max"), "1073741824");
  EXPECT_EQ(Text(own / "memory.swap.max"), "0");
  EXPECT_EQ(Text(own / "cpu.max"), "50000 100000");
  EXPECT_EQ(Text(own / "pids.max"), "64");
  EXPECT_EQ(cgroups->Add("w1", 4711), "");
  EXPECT_EQ(Text(own / "cgroup.procs"), "4711");
  EXPECT_FALSE(cgroups->OutOfMemory("w1"));
  Put(own / "memory.events", "low 0\noom 3\noom_kill 2\noom_group_kill 0\n");
  EXPECT_TRUE(cgroups->OutOfMemory("w1"));
}

TEST_F(UnifiedTest, AFileThatIsNotThereIsAnErrorThatNamesIt) {
  const auto cgroups = Cgroups::Open(Find());
  ASSERT_TRUE(cgroups);
  EXPECT_NE(cgroups->Make("w2", {.memory_bytes = 1 << 30, .cpu_cores = 1}).find("pids.max"),
            std::string::npos);
}

TEST_F(UnifiedTest, KillsOfTheOwnCgroupAreCounted) {
  EXPECT_EQ(OutOfMemoryKills(Find()), 0U);
  Put("memory.events", "oom_kill 4\n");
  EXPECT_EQ(OutOfMemoryKills(Find()), 4U);
}

}  // namespace
}  // namespace pondpilot::jail

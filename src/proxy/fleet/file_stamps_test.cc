#include "proxy/fleet/file_stamps.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "base/temporary_folder.h"

namespace pondpilot::proxy::fleet {
namespace {

TEST(FileStampsTest, ChangeWithTheFileAndWithWhatStandsBesideIt) {
  const base::TemporaryFolder folder;
  const std::string path = folder / "shop.db";
  const auto missing = FileStamps({path});
  std::ofstream(path) << "one";
  const auto there = FileStamps({path});
  EXPECT_NE(there, missing);
  std::ofstream(path) << "the same file with other content";
  EXPECT_EQ(FileStamps({path}), there) << "a worker sees that";
  std::ofstream(path + "-wal") << "log";
  const auto with_log = FileStamps({path});
  EXPECT_NE(with_log, there);
  std::ofstream(folder / "new") << "two";
  std::filesystem::rename(folder / "new", path);
  EXPECT_NE(FileStamps({path}), with_log) << "another file in its place";
  EXPECT_TRUE(FileStamps({}).empty());
}

}  // namespace
}  // namespace pondpilot::proxy::fleet

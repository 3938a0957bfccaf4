#include "proxy/launch/docker/socket_folders.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>

#include "contract/names.h"

namespace pondpilot::proxy::launch::docker {
namespace {

namespace fs = std::filesystem;
using ::testing::EndsWith;
using ::testing::StartsWith;

const std::string kWorkerId = "0123456789abcdef";

class SocketFoldersTest : public ::testing::Test {
 protected:
  SocketFoldersTest() {
    std::string name = (fs::temp_directory_path() / "pondpilot-sockets-XXXXXX").string();
    EXPECT_NE(::mkdtemp(name.data()), nullptr);
    root_ = name;
  }
  ~SocketFoldersTest() override {
    std::error_code error;
    fs::remove_all(root_, error);
  }

  static mode_t ModeOf(const fs::path& path) {
    struct stat info{};
    EXPECT_EQ(::stat(path.c_str(), &info), 0) << path;
    return info.st_mode & 07777;
  }

  SelfContainer Self(const std::string& destination) const {
    return {
        .id = "a", .name = "proxy", .labels = {}, .networks = {}, .mounts = {{"/volumes/v", destination}}};
  }

  fs::path root_;
};

TEST_F(SocketFoldersTest, EachWorkerHasAFolderThatNobodyElseReaches) {
  const auto folders = SocketFolders::Open(root_, "shop", std::nullopt);
  ASSERT_TRUE(folders);
  const auto mount = folders->Make(kWorkerId);
  ASSERT_TRUE(mount) << mount.error().message;
  EXPECT_EQ(mount->target, contract::kSocketFolder);
  EXPECT_FALSE(mount->read_only);
  EXPECT_THAT(mount->source, EndsWith("/" + kWorkerId));
  // Outside a container the engine sees what the proxy sees.
  EXPECT_EQ(folders->SocketOf(kWorkerId), mount->source + "/" + contract::kSocketName);
  EXPECT_EQ(ModeOf(mount->source), 0777u);
  EXPECT_EQ(ModeOf(fs::path(mount->source).parent_path()), 0700u);
}

TEST_F(SocketFoldersTest, TheEngineIsToldWhereTheProxysVolumeIs) {
  const auto folders = SocketFolders::Open(root_, "shop", Self(root_));
  ASSERT_TRUE(folders);
  const auto mount = folders->Make(kWorkerId);
  ASSERT_TRUE(mount);
  EXPECT_THAT(mount->source, StartsWith("/volumes/v/"));
  EXPECT_THAT(folders->SocketOf(kWorkerId), StartsWith(root_.string() + "/"));
  EXPECT_EQ(mount->source.substr(std::string("/volumes/v").size()) + "/" + contract::kSocketName,
            folders->SocketOf(kWorkerId).substr(root_.string().size()));
}

TEST_F(SocketFoldersTest, WithoutAFolderThatBothSeeThereAreNone) {
  EXPECT_FALSE(SocketFolders::Open("", "shop", std::nullopt));
  EXPECT_FALSE(SocketFolders::Open(root_ / "missing", "shop", std::nullopt));
  EXPECT_FALSE(SocketFolders::Open(root_, "shop", Self("/elsewhere"))) << "no mount covers it";
  const fs::path deep = root_ / std::string(90, 'd');
  fs::create_directory(deep);
  EXPECT_FALSE(SocketFolders::Open(deep, "shop", std::nullopt)) << "too long for a socket's path";
  if (::geteuid() != 0) {
    fs::permissions(root_, fs::perms::owner_read | fs::perms::owner_exec);
    EXPECT_FALSE(SocketFolders::Open(root_, "shop", std::nullopt)) << "not writable";
    fs::permissions(root_, fs::perms::owner_all);
  }
}

TEST_F(SocketFoldersTest, WhatAWorkerLeftIsRemovedWithItsFolderAndNothingElse) {
  const auto folders = SocketFolders::Open(root_, "shop", std::nullopt);
  ASSERT_TRUE(folders);
  const auto mount = folders->Make(kWorkerId);
  const auto other = folders->Make("fedcba9876543210");
  ASSERT_TRUE(mount && other);
  std::ofstream(root_ / "precious") << "x";
  // A hostile worker's link must not lead the removal out of the folder.
  fs::create_directory_symlink(root_, mount->source + "/out");
  std::ofstream(mount->source + "/file") << "x";
  folders->Remove(kWorkerId);
  folders->Remove(kWorkerId);
  EXPECT_FALSE(fs::exists(mount->source));
  EXPECT_TRUE(fs::exists(other->source));
  EXPECT_TRUE(fs::exists(root_ / "precious"));
}

TEST_F(SocketFoldersTest, AnEarlierRunsFoldersAreRemovedButNotAnotherProxys) {
  const auto first = SocketFolders::Open(root_, "shop", std::nullopt);
  const auto other = SocketFolders::Open(root_, "other", std::nullopt);
  ASSERT_TRUE(first && other);
  ASSERT_TRUE(first->Make(kWorkerId) && other->Make(kWorkerId));
  const auto again = SocketFolders::Open(root_, "shop", std::nullopt);
  ASSERT_TRUE(again);
  EXPECT_FALSE(fs::exists(fs::path(again->SocketOf(kWorkerId)).parent_path()));
  EXPECT_TRUE(fs::exists(fs::path(other->SocketOf(kWorkerId)).parent_path()));
}

}  // namespace
}  // namespace pondpilot::proxy::launch::docker

#include "proxy/launch/docker/socket_folders.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "contract/names.h"

namespace pondpilot::proxy::launch::docker {
namespace {

namespace fs = std::filesystem;
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

TEST_F(SocketFoldersTest, EachWorkerHasAFolderWithItsSocket) {
  const auto folders = SocketFolders::Open(root_, "shop", std::nullopt);
  ASSERT_TRUE(folders);
  const auto made = folders->Make(kWorkerId);
  ASSERT_TRUE(made) << made.error().message;
  const fs::path folder = made->mount.source;
  EXPECT_EQ(made->mount.target, contract::kSocketFolder);
  EXPECT_EQ(folder.filename(), kWorkerId);
  // Outside a container the engine sees what the proxy sees.
  EXPECT_EQ(made->socket->path(), (folder / contract::kSocketName).string());
  EXPECT_TRUE(fs::is_socket(made->socket->path()));
  EXPECT_EQ(ModeOf(folder), 0755u) << "others may look for the socket, but not write";
  EXPECT_EQ(ModeOf(folder.parent_path()), 0700u);
  EXPECT_FALSE(folders->Make(kWorkerId)) << "there already";
}

TEST_F(SocketFoldersTest, TheEngineIsToldWhereTheProxysVolumeIs) {
  const auto folders = SocketFolders::Open(root_, "shop", Self(root_));
  ASSERT_TRUE(folders);
  const auto made = folders->Make(kWorkerId);
  ASSERT_TRUE(made);
  EXPECT_THAT(made->mount.source, StartsWith("/volumes/v/"));
  EXPECT_THAT(made->socket->path(), StartsWith(root_.string() + "/"));
  EXPECT_EQ(made->mount.source.substr(std::string("/volumes/v").size()) + "/" + contract::kSocketName,
            made->socket->path().substr(root_.string().size()));
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

TEST_F(SocketFoldersTest, AFolderGoesAloneAndMayBeGone) {
  const auto folders = SocketFolders::Open(root_, "shop", std::nullopt);
  ASSERT_TRUE(folders);
  const auto one = folders->Make(kWorkerId);
  const auto other = folders->Make("fedcba9876543210");
  ASSERT_TRUE(one && other);
  folders->Remove(kWorkerId);
  folders->Remove(kWorkerId);
  EXPECT_FALSE(fs::exists(one->mount.source));
  EXPECT_TRUE(fs::exists(other->socket->path()));
}

TEST_F(SocketFoldersTest, AnEarlierRunsFoldersAreRemovedButNotAnotherProxys) {
  const auto first = SocketFolders::Open(root_, "shop", std::nullopt);
  const auto other = SocketFolders::Open(root_, "other", std::nullopt);
  ASSERT_TRUE(first && other);
  const auto left = first->Make(kWorkerId);
  const auto kept = other->Make(kWorkerId);
  ASSERT_TRUE(left && kept);
  ASSERT_TRUE(SocketFolders::Open(root_, "shop", std::nullopt));
  EXPECT_FALSE(fs::exists(left->mount.source));
  EXPECT_TRUE(fs::exists(kept->socket->path()));
}

}  // namespace
}  // namespace pondpilot::proxy::launch::docker

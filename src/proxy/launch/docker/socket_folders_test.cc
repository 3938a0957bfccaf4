#include "proxy/launch/docker/socket_folders.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/temporary_folder.h"
#include "contract/names.h"
#include "proxy/launch/docker/fake_engine.h"

namespace pondpilot::proxy::launch::docker {
namespace {

namespace fs = std::filesystem;
using ::testing::StartsWith;

const std::string kWorkerId = "0123456789abcdef";

class SocketFoldersTest : public ::testing::Test {
 protected:
  static mode_t ModeOf(const fs::path& path) {
    struct stat info{};
    EXPECT_EQ(::stat(path.c_str(), &info), 0) << path;
    return info.st_mode & 07777;
  }

  SelfContainer Self(const std::string& destination) const {
    return {
        .id = "a", .name = "proxy", .labels = {}, .networks = {}, .mounts = {{"/volumes/v", destination}}};
  }

  const base::TemporaryFolder folder_;
  const fs::path root_ = folder_.path();
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
  EXPECT_TRUE(fs::is_socket(made->socket->path())) << "and left as it was";
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

TEST_F(SocketFoldersTest, AFolderGoesWithItsSocketAndAlone) {
  auto folders = SocketFolders::Open(root_, "shop", std::nullopt);
  ASSERT_TRUE(folders);
  auto one = folders->Make(kWorkerId);
  const auto other = folders->Make("fedcba9876543210");
  ASSERT_TRUE(one && other);
  folders.reset();
  one->socket.reset();
  EXPECT_FALSE(fs::exists(one->mount.source));
  EXPECT_TRUE(fs::exists(other->socket->path()));
  fs::remove_all(other->mount.source);  // one that has gone already is nothing
}

TEST_F(SocketFoldersTest, GivenUpOnceTheyStayUnusable) {
  const auto folders = SocketFolders::Open(root_, "shop", std::nullopt);
  ASSERT_TRUE(folders);
  EXPECT_TRUE(folders->usable());
  folders->GiveUp({base::ErrorCode::kInvalidArgument, "bind source path does not exist", {}, {}});
  EXPECT_FALSE(folders->usable());
}

TEST_F(SocketFoldersTest, OfAnEarlierRunTheSocketsOfLivingWorkersAreFoundAndAllElseRemoved) {
  const auto first = SocketFolders::Open(root_, "shop", std::nullopt);
  const auto other = SocketFolders::Open(root_, "other", std::nullopt);
  ASSERT_TRUE(first && other);
  const auto living = first->Make(kWorkerId);
  const auto ended = first->Make("fedcba9876543210");
  const auto unknown = first->Make("00000000000000aa");
  const auto foreign = other->Make(kWorkerId);
  ASSERT_TRUE(living && ended && unknown && foreign);
  fs::remove(ended->socket->path());
  const auto again = SocketFolders::Open(root_, "shop", std::nullopt);
  ASSERT_TRUE(again);
  auto found = again->Find({kWorkerId, "fedcba9876543210"});
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found.at(kWorkerId)->path(), living->socket->path());
  EXPECT_TRUE(Await(found.at(kWorkerId)->HandOver(std::chrono::milliseconds(0))))
      << "it was handed over already";
  EXPECT_FALSE(fs::exists(ended->mount.source)) << "nobody accepts there";
  EXPECT_FALSE(fs::exists(unknown->mount.source)) << "no worker of this name";
  EXPECT_TRUE(fs::exists(foreign->socket->path())) << "another proxy's";
  found.clear();
  EXPECT_FALSE(fs::exists(living->mount.source)) << "goes with the worker";
}

}  // namespace
}  // namespace pondpilot::proxy::launch::docker

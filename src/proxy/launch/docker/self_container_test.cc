#include "proxy/launch/docker/self_container.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

namespace pondpilot::proxy::launch::docker {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

const std::string kId(64, 'a');

HostFacts WithFiles(std::set<std::string> files) {
  HostFacts facts;
  facts.is_file = [files = std::move(files)](const std::string& path) { return files.contains(path); };
  return facts;
}

TEST(ContainerIdTest, IsReadFromTheMountOfTheHostnameFile) {
  EXPECT_EQ(ContainerIdIn("603 590 0:52 / /proc rw - proc proc rw\n"
                          "612 590 8:1 /var/lib/docker/containers/" +
                          kId + "/hostname /etc/hostname rw,relatime - ext4 /dev/sda1 rw\n"),
            kId);
}

TEST(ContainerIdTest, NothingElseIsTakenForOne) {
  // On the host itself, other containers' mounts can be seen.
  EXPECT_EQ(
      ContainerIdIn("612 590 8:1 / /var/lib/docker/containers/" + kId + "/mounts/shm rw - tmpfs shm rw\n"),
      std::nullopt);
  EXPECT_EQ(ContainerIdIn("612 590 8:1 /containers/" + kId + "/hosts /etc/hosts rw - ext4 /dev/sda1 rw\n"),
            std::nullopt);
  EXPECT_EQ(ContainerIdIn("612 590 8:1 /containers/short/hostname /etc/hostname rw - ext4 /dev/sda1 rw\n"),
            std::nullopt);
  EXPECT_EQ(ContainerIdIn(""), std::nullopt);
  EXPECT_EQ(ContainerIdIn("612 590\n\n x"), std::nullopt);
}

TEST(MountsForTest, TheLongestMountAboveTheFileCounts) {
  const SelfContainer self{
      .id = kId,
      .name = "proxy",
      .labels = {},
      .networks = {},
      .mounts = {{"/srv/all", "/data"}, {"/srv/deep/", "/data/deep"}, {"/srv/one.db", "/one.db"}}};
  const auto facts =
      WithFiles({"/data/a.db", "/data/deep/b.db", "/data/deep/b.db-wal", "/one.db", "/database.db"});
  EXPECT_THAT(
      MountsFor({"/data/a.db", "/data/deep/b.db", "/one.db"}, self, facts),
      ElementsAre(FileMount{"/srv/all/a.db", "/data/a.db"}, FileMount{"/srv/deep/b.db", "/data/deep/b.db"},
                  FileMount{"/srv/deep/b.db-wal", "/data/deep/b.db-wal"},
                  FileMount{"/srv/one.db", "/one.db"}));
  // "/database.db" begins like "/data" but isn't in it: it is in the image.
  EXPECT_THAT(MountsFor({"/database.db"}, self, facts), IsEmpty());
}

TEST(MountsForTest, WithoutAContainerTheFileItselfIsMountedWhenItExists) {
  const auto facts = WithFiles({"/srv/a.db", "/srv/a.db-shm"});
  EXPECT_THAT(MountsFor({"/srv/a.db", "/srv/missing.db", "relative.db"}, std::nullopt, facts),
              ElementsAre(FileMount{"/srv/a.db", "/srv/a.db"}, FileMount{"/srv/a.db-shm", "/srv/a.db-shm"}));
}

TEST(MountsForTest, TheSameFileTwiceIsMountedOnce) {
  EXPECT_THAT(MountsFor({"/a.db", "/a.db"}, std::nullopt, WithFiles({"/a.db"})),
              ElementsAre(FileMount{"/a.db", "/a.db"}));
}

}  // namespace
}  // namespace pondpilot::proxy::launch::docker

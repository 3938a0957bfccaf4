#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "proxy/fleet/fleet_fixture.h"

namespace pondpilot::proxy::fleet {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::IsEmpty;

// A proxy that is killed and comes back: the first fleet is left as it is, with what it has launched.
class AdoptionTest : public FleetTest {
 protected:
  // Nothing that the killed proxy would do happens any more.
  void Kill() {
    killed_.push_back(fleet_);
    fleet_.reset();
  }
  void TearDown() override {
    // The coroutines of the killed ones must end all the same.
    for (auto& fleet : killed_) {
      boost::asio::co_spawn(pool_, fleet->Shutdown(), boost::asio::use_future).get();
    }
    killed_.clear();
  }

  // A user's worker after the kill.
  std::string LaunchedFor(const std::string& user) {
    Make();
    const std::string handle = Lease(user).worker().handle;
    Kill();
    return handle;
  }

  bool Removed(const std::string& handle) {
    return Eventually([this, handle] { return world_.Find(handle)->removed; });
  }

  std::vector<std::shared_ptr<Fleet>> killed_;
};

TEST_F(AdoptionTest, AUserFindsTheirWorkerAgain) {
  const std::string handle = LaunchedFor("alice");
  Make();
  EXPECT_EQ(fleet_->Counts().active, 1u);
  const auto lease = Lease("alice");
  EXPECT_EQ(lease.worker().handle, handle);
  EXPECT_EQ(lease.worker().user_id, "alice");
  EXPECT_EQ(world_.launches, 1);
  EXPECT_TRUE(Logged("msg=\"Container adopted\" user_id=alice container_id=" + handle));
  EXPECT_EQ(fleet_->LastAttachmentStates().size(), 1u);
}

TEST_F(AdoptionTest, AnAdoptedWorkerIsWatchedAndReaped) {
  const std::string handle = LaunchedFor("alice");
  options_.idle_timeout = milliseconds(60);
  Make();
  EXPECT_TRUE(Removed(handle));
  EXPECT_TRUE(Logged("user_id=alice container_id=" + handle + " reason=idle_timeout"));
}

TEST_F(AdoptionTest, WhoClaimsAnotherUserIsRemoved) {
  const std::string handle = LaunchedFor("alice");
  world_.Change(handle, [](FakeWorker& worker) { worker.activity.user_id = "bob"; });
  Make();
  EXPECT_TRUE(Removed(handle));
  EXPECT_NE(Lease("bob").worker().handle, handle);
}

TEST_F(AdoptionTest, TheProofOfAnotherWorkerIsNone) {
  Make();
  const std::string alice = Lease("alice").worker().handle;
  const std::string bob = Lease("bob").worker().handle;
  Kill();
  const auto activity = world_.Find(alice)->activity;
  world_.Change(bob, [&](FakeWorker& worker) { worker.activity = activity; });
  Make();
  EXPECT_TRUE(Removed(bob));
  EXPECT_EQ(Lease("alice").worker().handle, alice);
}

TEST_F(AdoptionTest, ALabelOfAnotherUserIsBelieved) {
  const std::string handle = LaunchedFor("alice");
  world_.Change(handle, [](FakeWorker& worker) { worker.spec.user_id = "bob"; });
  Make();
  EXPECT_TRUE(Removed(handle));
}

TEST_F(AdoptionTest, OtherDatabasesLimitsOrKeysMakeAnotherWorker) {
  const std::string first = LaunchedFor("alice");
  world_.terms = "other databases";
  Make();
  EXPECT_TRUE(Removed(first));
  const std::string second = Lease("alice").worker().handle;
  Kill();
  options_.limits.memory_bytes = 1 << 30;
  Make();
  EXPECT_TRUE(Removed(second));
  const std::string third = Lease("alice").worker().handle;
  Kill();
  options_.assignment_key = base::Secret("another");
  Make();
  EXPECT_TRUE(Removed(third));
}

TEST_F(AdoptionTest, WhatIsNobodysSilentDeadOrSickIsRemoved) {
  options_.warm_workers = 1;
  Make();
  ASSERT_TRUE(Eventually([this] { return fleet_->Counts().warm == 1; }));
  const std::string warm = world_.workers.begin()->first;
  fleet_->Counts();
  Kill();
  options_.warm_workers = 0;
  const std::string silent = LaunchedFor("silent");
  const std::string dead = LaunchedFor("dead");
  const std::string sick = LaunchedFor("sick");
  world_.Change(silent, [](FakeWorker& worker) { worker.silent = true; });
  world_.Change(dead, [](FakeWorker& worker) { worker.exit = launch::WorkerExit{1, false}; });
  world_.Change(sick, [](FakeWorker& worker) { worker.activity.healthy = false; });
  Make();
  for (const std::string& handle : {warm, silent, dead, sick}) EXPECT_TRUE(Removed(handle)) << handle;
  EXPECT_EQ(fleet_->Counts().active, 0u);
}

TEST_F(AdoptionTest, MoreThanTheCapAreKeptButNoneIsAdded) {
  Make();
  for (int i = 0; i < 5; ++i) Lease("user" + std::to_string(i));
  Kill();
  options_.max_workers = 3;
  Make();
  EXPECT_EQ(fleet_->Counts().active, 5u);
  std::vector<WorkerLease> leases;
  for (int i = 0; i < 5; ++i) leases.push_back(Lease("user" + std::to_string(i)));
  EXPECT_EQ(world_.launches, 5);
  EXPECT_FALSE(Ask("one more").get());
}

TEST_F(AdoptionTest, AProfileSurvivesTheRestart) {
  options_.profiles = {{"large", {.memory_bytes = 2u << 30, .cpu_cores = 2}}};
  Make();
  const std::string handle = Ask("alice", seconds(20), "large").get()->worker().handle;
  Kill();
  Make();
  ASSERT_EQ(fleet_->Workers().size(), 1u);
  EXPECT_EQ(fleet_->Workers()[0].handle, handle);
  EXPECT_EQ(fleet_->Workers()[0].profile, "large");
  Kill();
  options_.profiles["large"].cpu_cores = 3;
  Make();
  EXPECT_TRUE(Removed(handle)) << "its limits are others now";
}

}  // namespace
}  // namespace pondpilot::proxy::fleet

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>
#include <thread>

#include "proxy/fleet/fleet_fixture.h"

namespace pondpilot::proxy::fleet {
namespace {

using base::ErrorCode;
using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// How workers end: by themselves, for want of use, with the proxy.

TEST_F(FleetTest, DeathIsNoticedExplainedAndTheNextCallGetsANewWorker) {
  Make();
  const auto lease = Lease("alice");
  EXPECT_THAT(lease.DeathReason(), IsEmpty());
  world_.Change(lease.worker().handle,
                [](FakeWorker& worker) { worker.exit = launch::WorkerExit{137, true}; });
  ASSERT_TRUE(Eventually([&] { return !lease.DeathReason().empty(); }));
  EXPECT_THAT(lease.DeathReason(), HasSubstr("ran out of memory"));
  const auto next = Lease("alice");
  EXPECT_NE(next.worker().handle, lease.worker().handle);
  EXPECT_TRUE(Logged("reason=out_of_memory")) << Lines::All();
  EXPECT_TRUE(Eventually([&] {
    const std::scoped_lock lock(world_.mutex);
    return world_.workers[lease.worker().handle]->removed;
  }));
}

TEST_F(FleetTest, AnExitCodeIsNamed) {
  Make();
  const auto lease = Lease("alice");
  world_.Change(lease.worker().handle,
                [](FakeWorker& worker) { worker.exit = launch::WorkerExit{3, false}; });
  ASSERT_TRUE(Eventually([&] { return !lease.DeathReason().empty(); }));
  EXPECT_THAT(lease.DeathReason(), HasSubstr("exit code 3"));
  EXPECT_TRUE(Logged("reason=exited")) << Lines::All();
}

TEST_F(FleetTest, ASilentWorkerIsReplacedAfterThreeHeartbeats) {
  Make();
  const auto lease = Lease("alice");
  world_.Change(lease.worker().handle, [](FakeWorker& worker) { worker.silent = true; });
  ASSERT_TRUE(Eventually([&] { return !lease.DeathReason().empty(); }));
  EXPECT_THAT(lease.DeathReason(), HasSubstr("stopped answering"));
  EXPECT_NE(Lease("alice").worker().handle, lease.worker().handle);
  EXPECT_TRUE(Logged("reason=unhealthy")) << Lines::All();
}

TEST_F(FleetTest, AWorkerThatSaysItIsBeyondRepairIsReplaced) {
  Make();
  const auto lease = Lease("alice");
  world_.Change(lease.worker().handle, [](FakeWorker& worker) { worker.activity.healthy = false; });
  ASSERT_TRUE(Eventually([&] { return !lease.DeathReason().empty(); }));
  EXPECT_NE(Lease("alice").worker().handle, lease.worker().handle);
}

TEST_F(FleetTest, ReportedTroubleFindsADeadWorkerBeforeTheHeartbeat) {
  options_.heartbeat = seconds(600);
  Make();
  auto lease = Lease("alice");
  world_.hide_exits = true;
  world_.Change(lease.worker().handle,
                [](FakeWorker& worker) { worker.exit = launch::WorkerExit{137, true}; });
  for (int i = 0; i < 10; ++i) lease.ReportTrouble();
  // The news of the exit comes a little after the connection has broken; the reason waits for it.
  std::this_thread::sleep_for(milliseconds(50));
  world_.hide_exits = false;
  ASSERT_TRUE(Eventually([&] { return !lease.DeathReason().empty(); }));
  EXPECT_THAT(lease.DeathReason(), HasSubstr("ran out of memory"));
  EXPECT_NE(Lease("alice").worker().handle, lease.worker().handle);
}

TEST_F(FleetTest, ReportedTroubleLeavesALivingWorkerAlone) {
  options_.heartbeat = seconds(600);
  Make();
  auto lease = Lease("alice");
  for (int i = 0; i < 10; ++i) lease.ReportTrouble();
  std::this_thread::sleep_for(milliseconds(50));
  EXPECT_THAT(lease.DeathReason(), IsEmpty());
  EXPECT_EQ(Lease("alice").worker().handle, lease.worker().handle);
}

TEST_F(FleetTest, AnIdleWorkerIsStoppedAndABusyOneIsNot) {
  options_.idle_timeout = milliseconds(60);
  Make();
  const auto leased = Lease("leased");
  std::string transaction;
  std::string idle;
  {
    auto lease = Lease("transaction");
    transaction = lease.worker().handle;
    world_.Change(transaction, [](FakeWorker& worker) { worker.activity.open_transactions = 1; });
    idle = Lease("idle").worker().handle;
  }
  ASSERT_TRUE(Eventually([&] { return fleet_->Counts().total_stopped == 1; }));
  {
    const std::scoped_lock lock(world_.mutex);
    EXPECT_TRUE(world_.workers[idle]->drained);
    EXPECT_TRUE(world_.workers[idle]->removed);
  }
  EXPECT_TRUE(Logged("msg=\"Container stopped\" user_id=idle")) << Lines::All();
  EXPECT_TRUE(Logged("reason=idle_timeout")) << Lines::All();
  std::this_thread::sleep_for(milliseconds(150));
  EXPECT_EQ(fleet_->Counts().total_stopped, 1u);
  world_.Change(transaction, [](FakeWorker& worker) { worker.activity.open_transactions = 0; });
  EXPECT_TRUE(Eventually([&] { return fleet_->Counts().total_stopped == 2; }));
  EXPECT_THAT(leased.DeathReason(), IsEmpty());
}

TEST_F(FleetTest, WhoAsksDuringTheStopGetsANewWorker) {
  options_.idle_timeout = milliseconds(40);
  Make();
  world_.hold_stops = true;
  const std::string first = Lease("alice").worker().handle;
  ASSERT_TRUE(Eventually([&] { return fleet_->Counts().active == 0; }));
  auto answer = Ask("alice");
  EXPECT_EQ(answer.wait_for(milliseconds(50)), std::future_status::timeout)
      << "two workers of one user at once";
  world_.hold_stops = false;
  auto lease = answer.get();
  ASSERT_TRUE(lease);
  EXPECT_NE(lease->worker().handle, first);
}

TEST_F(FleetTest, ShutdownAnswersWaitersStopsWorkersAndRefusesNewOnes) {
  Make();
  const auto lease = Lease("alice");
  world_.hold_assigns = true;
  auto starting = Ask("bob");
  ASSERT_TRUE(Eventually([&] { return world_.assigns == 2; }));
  const auto begun = std::chrono::steady_clock::now();
  Shutdown();
  EXPECT_LT(std::chrono::steady_clock::now() - begun, seconds(5));
  auto bob = starting.get();
  ASSERT_FALSE(bob);
  EXPECT_EQ(bob.error().code, ErrorCode::kUnavailable);
  EXPECT_THAT(lease.DeathReason(), HasSubstr("shutting down"));
  EXPECT_THAT(world_.running, IsEmpty());
  auto late = Ask("carol").get();
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().code, ErrorCode::kUnavailable);
  EXPECT_TRUE(Logged("reason=shutdown")) << Lines::All();
}

TEST_F(FleetTest, AWorkerThatCouldNotBeRemovedIsNotForgotten) {
  Make();
  const auto lease = Lease("alice");
  world_.fail_stops = true;
  world_.Change(lease.worker().handle,
                [](FakeWorker& worker) { worker.exit = launch::WorkerExit{3, false}; });
  ASSERT_TRUE(Eventually([&] { return !lease.DeathReason().empty(); }));
  EXPECT_NE(Lease("alice").worker().handle, lease.worker().handle);
  ASSERT_TRUE(Eventually([this] { return world_.stops == 3; }));
  EXPECT_FALSE(world_.Find(lease.worker().handle)->removed);
  world_.fail_stops = false;
  Shutdown();
  EXPECT_TRUE(world_.Find(lease.worker().handle)->removed);
}

TEST_F(FleetTest, WhatALostLaunchHasMadeIsRemoved) {
  Make();
  world_.lose_launches = true;
  EXPECT_FALSE(Ask("alice").get());
  world_.lost_as = base::ErrorCode::kDeadlineExceeded;
  EXPECT_FALSE(Ask("bob").get());
  ASSERT_EQ(world_.running.size(), 2u);
  Shutdown();
  EXPECT_THAT(world_.running, IsEmpty());
}

TEST_F(FleetTest, AnOperatorSeesAndStopsAWorker) {
  Make();
  const auto lease = Lease("alice");
  const auto views = fleet_->Workers();
  ASSERT_EQ(views.size(), 1u);
  EXPECT_EQ(views[0].user_id, "alice");
  EXPECT_EQ(views[0].handle, lease.worker().handle);
  EXPECT_EQ(views[0].state, WorkerState::kReady);
  EXPECT_EQ(views[0].calls, 1u);
  EXPECT_FALSE(fleet_->StopWorker("another"));
  EXPECT_TRUE(fleet_->StopWorker(views[0].worker_id));
  EXPECT_FALSE(fleet_->StopWorker(views[0].worker_id)) << "it stops already";
  EXPECT_TRUE(Eventually([&] { return world_.Find(lease.worker().handle)->removed; }));
  EXPECT_THAT(lease.DeathReason(), HasSubstr("operator has stopped"));
  EXPECT_NE(Lease("alice").worker().handle, lease.worker().handle);
  EXPECT_TRUE(Logged("reason=operator"));
}

TEST_F(FleetTest, WorkersThatKeepDyingYoungAreStartedLessOften) {
  Make();
  for (int i = 0; i < 3; ++i) {
    const auto lease = Lease("alice");
    ASSERT_TRUE(lease);
    world_.Change(lease.worker().handle,
                  [](FakeWorker& worker) { worker.exit = launch::WorkerExit{137, true}; });
    ASSERT_TRUE(Eventually([&] { return !lease.DeathReason().empty(); }));
  }
  ASSERT_TRUE(Eventually([&] { return fleet_->Counts().active == 0; }));
  const auto refused = Ask("alice").get();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kUnavailable);
  EXPECT_THAT(refused.error().message, HasSubstr("last 3 database workers"));
  EXPECT_LE(refused.error().retry_after, seconds(1));
  EXPECT_TRUE(Lease("bob")) << "another's workers live";
  EXPECT_TRUE(Eventually([&] { return Ask("alice").get().has_value(); })) << "and it is tried again";
}

TEST_F(FleetTest, AWorkerThatKeepsATemporaryTableLivesLonger) {
  options_.idle_timeout = milliseconds(60);
  options_.session_timeout = seconds(600);
  Make();
  const std::string kept = Lease("kept").worker().handle;
  world_.Change(kept, [](FakeWorker& worker) { worker.activity.kept_objects = 1; });
  const std::string idle = Lease("idle").worker().handle;
  ASSERT_TRUE(Eventually([&] { return world_.Find(idle)->removed; }));
  EXPECT_FALSE(world_.Find(kept)->removed);
  world_.Change(kept, [](FakeWorker& worker) { worker.activity.kept_objects = 0; });
  EXPECT_TRUE(Eventually([&] { return world_.Find(kept)->removed; }));
}

TEST_F(FleetTest, WhoAsksWhileAWorkerIsLookedAtWaitsForTheVerdict) {
  options_.heartbeat = seconds(600);
  Make();
  auto lease = Lease("alice");
  world_.hold_statuses = true;
  lease.ReportTrouble();
  auto next = Ask("alice");
  EXPECT_EQ(next.wait_for(milliseconds(30)), std::future_status::timeout);
  world_.hold_statuses = false;
  auto same = next.get();
  ASSERT_TRUE(same);
  EXPECT_EQ(same->worker().handle, lease.worker().handle);

  world_.Change(lease.worker().handle, [](FakeWorker& worker) { worker.silent = true; });
  lease.ReportTrouble();
  EXPECT_NE(Lease("alice").worker().handle, lease.worker().handle);
}

}  // namespace
}  // namespace pondpilot::proxy::fleet

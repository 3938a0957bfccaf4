#include <algorithm>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <set>
#include <utility>

#include "proxy/fleet/fleet_state.h"
#include "telemetry/log.h"

// What happens to a worker from its launch to its end. Every coroutine here runs on the fleet's strand;
// `mutex` is taken for each look at what other threads see and never kept over a co_await.
namespace pondpilot::proxy::fleet {
namespace {

namespace asio = boost::asio;
using namespace asio::experimental::awaitable_operators;
using std::chrono::milliseconds;
using std::chrono::seconds;
using telemetry::Level;

constexpr milliseconds kStatusTimeout = seconds(2);
constexpr milliseconds kTroubleTimeout = seconds(1);
constexpr milliseconds kDrainTimeout = seconds(2);
// A worker that is beyond talking to gets no long time to end by itself.
constexpr milliseconds kDeadGrace = seconds(1);
// How long the news of an exit may take to arrive after the connection has broken.
constexpr milliseconds kExitNews = milliseconds(500);
constexpr int kRemoveTries = 3;
// Then as long as the proxy runs, so often: a backend that was away comes back.
constexpr milliseconds kRemoveAgain = seconds(10);
// Launches that failed while the backend was away, at the same time. What is beyond is found by the next
// start.
constexpr size_t kMostLeftovers = 64;
// An idle worker's heartbeat comes after as many times the usual pause.
constexpr int kIdleBeats = 2;
// After an unanswered one: its user's calls hang until it is given up.
constexpr milliseconds kUnansweredPause = seconds(1);
// Watching and removing are tried again after this when the launcher's backend does not answer.
constexpr milliseconds kBackendRetry = seconds(1);
// What Shutdown waits for beyond the grace itself: the launcher's calls.
constexpr milliseconds kShutdownMargin = seconds(15);

asio::awaitable<void> Pause(Timer& timer, milliseconds duration) {
  boost::system::error_code ignored;
  timer.expires_after(duration);
  co_await timer.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
}

}  // namespace

asio::awaitable<void> Fleet::State::Watch(std::shared_ptr<Member> member) {
  Timer timer(strand);
  while (true) {
    // A task of its own, so that the end of the worker's life here can end the watch.
    base::Result<launch::WorkerExit> ended = base::Fail(base::ErrorCode::kCancelled, "The watch was ended.");
    try {
      ended =
          co_await asio::co_spawn(strand, launcher.WaitForExit(member->handle),
                                  asio::bind_cancellation_slot(member->unwatch.slot(), asio::use_awaitable));
    } catch (const boost::system::system_error& failure) {
      ended = base::Fail(base::ErrorCode::kCancelled, "The watch was ended.", failure.what());
    }
    bool wanted = false;
    {
      const std::scoped_lock lock(mutex);
      const auto user = users.find(member->user_id);
      wanted = (user != users.end() && user->second.member == member) || warming == member ||
               std::ranges::contains(warm, member);
      if (ended) member->exit = *ended;
    }
    if (ended) break;
    if (!wanted || ended.error().code == base::ErrorCode::kCancelled) co_return;
    telemetry::Log(Level::kWarn, "Container watch failed",
                   {{"container_id", member->handle}, {"error", Text(ended.error())}});
    co_await (Pause(timer, kBackendRetry) || member->interrupt.Wait());
  }
  member->interrupt.Happen();
  co_await Bury(member);
}

// The member has ended by itself.
asio::awaitable<void> Fleet::State::Bury(std::shared_ptr<Member> member) {
  StopReason reason = StopReason::kExited;
  {
    const std::scoped_lock lock(mutex);
    reason = ReasonOf(*member->exit);
  }
  if (LeavePool(member)) co_return co_await Discard(member, reason);
  // While it starts or is being drained, those who do so see to it.
  if (!BeginDrain(member, reason, false)) co_return;
  member->beat.cancel();
  BecomeAbsent(member, reason);
  co_await Remove(member->handle, milliseconds(0));
}

asio::awaitable<void> Fleet::State::Attend(std::shared_ptr<Member> member) {
  while (true) {
    milliseconds wait = options.heartbeat;
    bool reap = false;
    {
      const std::scoped_lock lock(mutex);
      if (!IsCurrent(member, Phase::kReady)) co_return;
      const auto now = clock.Now();
      const WorkerSnapshot snapshot = Snapshot(*member);
      // Most workers are idle most of the time, and each question wakes one.
      if (member->failed_beats > 0) {
        wait = std::min(wait, kUnansweredPause);
      } else if (IsIdle(snapshot)) {
        wait *= kIdleBeats;
      }
      const ReapDecision decision = Decide(snapshot, now);
      reap = decision.stop;
      if (decision.look_again)
        wait = std::min(wait, std::chrono::ceil<milliseconds>(*decision.look_again - now));
    }
    if (reap && BeginDrain(member, StopReason::kIdleTimeout, true)) {
      co_await Drain(member, StopReason::kIdleTimeout);
      co_return;
    }
    co_await Pause(member->beat, wait);
    {
      const std::scoped_lock lock(mutex);
      if (!IsCurrent(member, Phase::kReady)) co_return;
    }
    const bool healthy = co_await Refresh(member, kStatusTimeout);
    bool given_up = false;
    {
      const std::scoped_lock lock(mutex);
      member->failed_beats = healthy ? 0 : member->failed_beats + 1;
      given_up = member->failed_beats >= kFailedBeats;
    }
    if (given_up && BeginDrain(member, StopReason::kUnhealthy, false)) {
      co_await Drain(member, StopReason::kUnhealthy);
      co_return;
    }
  }
}

asio::awaitable<bool> Fleet::State::Refresh(std::shared_ptr<Member> member, milliseconds timeout) {
  const auto asked = clock.Now();
  auto activity = co_await member->control->Status(timeout);
  // Full of calls is not dead.
  if (!activity && activity.error().code == base::ErrorCode::kResourceExhausted) co_return true;
  if (!activity) {
    telemetry::Log(Level::kDebug, "Worker status failed",
                   {{"container_id", member->handle}, {"error", Text(activity.error())}});
    co_return false;
  }
  const std::scoped_lock lock(mutex);
  if (!activity->healthy) {
    member->failed_beats = kFailedBeats;  // it says so itself: no second chance
    co_return false;
  }
  member->last.reported_at = asked;
  member->last.running_statements = activity->running_statements;
  member->last.open_streams = activity->open_streams;
  member->last.open_transactions = activity->open_transactions;
  member->last.kept_objects = activity->kept_objects;
  if (!member->user_id.empty()) attachments = activity->attachments;
  member->activity = std::move(*activity);
  // Of no more use, and as long as the worker likes.
  member->activity.attachments.clear();
  member->activity.user_id.clear();
  member->activity.assignment.clear();
  co_return true;
}

asio::awaitable<void> Fleet::State::CheckTrouble(std::shared_ptr<Member> member) {
  const bool alive = co_await Refresh(member, kTroubleTimeout);
  {
    const std::scoped_lock lock(mutex);
    member->trouble_check_runs = false;
  }
  if (alive) GrantWaiters(member->user_id, member);
  if (alive || !BeginDrain(member, StopReason::kReplaced, false)) co_return;
  // Most often it has died, and the launcher will say how in a moment: the users want to know.
  co_await member->interrupt.WaitFor(kExitNews);
  StopReason reason = StopReason::kReplaced;
  {
    const std::scoped_lock lock(mutex);
    if (member->exit) reason = ReasonOf(*member->exit);
    member->death_reason = SentenceFor(reason, member->exit);
  }
  co_await Drain(member, reason);
}

// The member is in kDraining, and it is the caller who brought it there.
asio::awaitable<void> Fleet::State::Drain(std::shared_ptr<Member> member, StopReason reason) {
  member->beat.cancel();
  const bool answers = reason == StopReason::kIdleTimeout || reason == StopReason::kEvicted ||
                       reason == StopReason::kShutdown || reason == StopReason::kOperator;
  if (answers) {
    // Only a courtesy: what does not drain is stopped.
    (void)co_await member->control->Drain(std::min(kDrainTimeout, options.stop_grace));
  }
  co_await Remove(member->handle, answers ? options.stop_grace : std::min(kDeadGrace, options.stop_grace));
  member->unwatch.emit(asio::cancellation_type::terminal);
  BecomeAbsent(member, reason);
}

asio::awaitable<void> Fleet::State::Remove(std::string handle, milliseconds grace) {
  Timer timer(strand);
  for (int attempt = 1;; ++attempt) {
    const auto removed = co_await launcher.Stop(handle, grace);
    if (removed) co_return;
    telemetry::Log(Level::kError, "Container removal failed",
                   {{"container_id", handle}, {"error", Text(removed.error())}});
    if (attempt == kRemoveTries) {
      // Its user can have another one meanwhile.
      Spawn([this, handle] { return RemoveLater(handle); });
      co_return;
    }
    co_await Pause(timer, kBackendRetry * attempt);
  }
}

asio::awaitable<void> Fleet::State::RemoveLater(std::string handle) {
  while (true) {
    const auto again = clock.Now() + kRemoveAgain;
    bool last = false;
    while (true) {
      {
        const std::scoped_lock lock(mutex);
        last = shutting_down;
      }
      const auto left = std::chrono::ceil<milliseconds>(again - clock.Now());
      if (last || left.count() <= 0) break;
      co_await AwaitChange(left);
    }
    const auto removed = co_await launcher.Stop(handle, milliseconds(0));
    // The worker ends itself when its lease runs out, and the next start of the proxy removes what it left.
    if (removed || last) co_return;
  }
}

// Of a launch whose fate the backend has not told: it may make the worker after all.
asio::awaitable<void> Fleet::State::RemoveLeftover(std::string handle) {
  {
    const std::scoped_lock lock(mutex);
    if (leftovers == kMostLeftovers) co_return;
    ++leftovers;
  }
  co_await RemoveLater(std::move(handle));
  const std::scoped_lock lock(mutex);
  --leftovers;
}

asio::awaitable<void> Fleet::State::AwaitChange(milliseconds limit) {
  // `change` never expires, it is only ever cancelled: any number may wait for it.
  Timer timer(strand, limit);
  boost::system::error_code ignored;
  co_await (change.async_wait(asio::redirect_error(asio::use_awaitable, ignored)) ||
            timer.async_wait(asio::use_awaitable));
}

asio::awaitable<void> Fleet::State::ShutDown() {
  const auto limit = clock.Now() + options.stop_grace + kShutdownMargin;
  std::list<Waiter> waiters;
  std::vector<std::shared_ptr<Member>> ready;
  std::vector<std::shared_ptr<Member>> unclaimed;
  {
    const std::scoped_lock lock(mutex);
    shutting_down = true;
    for (auto& [id, user] : users) {
      waiters.splice(waiters.end(), user.waiters);
      if (user.phase == Phase::kReady) ready.push_back(user.member);
      if (user.phase == Phase::kStarting && user.member) user.member->interrupt.Happen();
    }
    waiter_count = 0;
    unclaimed.swap(warm);
    if (warming) warming->interrupt.Happen();
    change.cancel();
  }
  Answer(std::move(waiters), {base::ErrorCode::kUnavailable, kShuttingDown, {}, {}});
  for (const auto& member : unclaimed) {
    Spawn([this, member] { return Discard(member, StopReason::kShutdown); });
  }
  for (const auto& member : ready) {
    if (BeginDrain(member, StopReason::kShutdown, false)) {
      Spawn([this, member] { return Drain(member, StopReason::kShutdown); });
    }
  }
  while (true) {
    const auto remaining = std::chrono::ceil<milliseconds>(limit - clock.Now());
    {
      const std::scoped_lock lock(mutex);
      if (tasks == 0 && slots == 0) co_return;
      if (remaining.count() <= 0) {
        telemetry::Log(Level::kError, "Shutdown leaves workers behind",
                       {{"workers", slots}, {"tasks", tasks}});
        co_return;
      }
    }
    co_await AwaitChange(remaining);
  }
}

}  // namespace pondpilot::proxy::fleet

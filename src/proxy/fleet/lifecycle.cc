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
constexpr int kFailedBeats = 3;
constexpr int kRemoveTries = 3;
// Watching and removing are tried again after this when the launcher's backend does not answer.
constexpr milliseconds kBackendRetry = seconds(1);
// What Shutdown waits for beyond the grace itself: the launcher's calls.
constexpr milliseconds kShutdownMargin = seconds(15);

milliseconds Since(base::Clock::Steady start, const base::Clock& clock) {
  return std::chrono::duration_cast<milliseconds>(clock.Now() - start);
}

asio::awaitable<void> Pause(asio::steady_timer& timer, milliseconds duration) {
  boost::system::error_code ignored;
  timer.expires_after(duration);
  co_await timer.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
}

std::string Text(const base::Error& error) {
  return error.detail.empty() ? error.message : error.message + " " + error.detail;
}

base::Error ShuttingDown() {
  return {base::ErrorCode::kUnavailable, "The proxy is shutting down. Try again in a moment.", {}, {}};
}

}  // namespace

asio::awaitable<void> Fleet::State::Start(std::string user_id, bool has_slot) {
  if (!has_slot) {
    auto slot = co_await ObtainSlot();
    if (!slot) {
      FailStart(user_id, std::move(slot.error()), false, false);
      co_return;
    }
  }
  const auto started = clock.Now();
  base::Result<std::shared_ptr<Member>> launched =
      base::Fail(base::ErrorCode::kInternal, "The start failed.");
  try {
    launched = co_await LaunchWorker(user_id, started + options.start_timeout);
  } catch (const std::exception& error) {
    // Nothing is meant to throw there. If something does all the same, those who wait must still be answered.
    launched.error().detail = error.what();
  }
  bool stop_asked = false;
  {
    const std::scoped_lock lock(mutex);
    stop_asked = shutting_down;
  }
  if (!launched) {
    // A start that the shutdown cut short is nobody's failure.
    FailStart(user_id, stop_asked ? ShuttingDown() : std::move(launched.error()), true, !stop_asked);
    co_return;
  }
  auto member = std::move(*launched);
  telemetry::Log(
      Level::kInfo, "Container spawned",
      {{"user_id", user_id}, {"container_id", member->handle}, {"ms", Since(started, clock).count()}});
  FinishStart(user_id, member);
  Spawn([this, member] { return Attend(member); });
  bool ended = false;
  {
    const std::scoped_lock lock(mutex);
    ended = member->exit.has_value();
    stop_asked = shutting_down;
  }
  // The watch has left it to the start.
  if (ended) co_return co_await Bury(member);
  if (stop_asked && BeginDrain(member, StopReason::kShutdown, false))
    co_await Drain(member, StopReason::kShutdown);
}

asio::awaitable<base::Result<void>> Fleet::State::ObtainSlot() {
  const auto give_up = clock.Now() + options.start_timeout;
  std::set<std::shared_ptr<Member>> tried;
  while (true) {
    std::shared_ptr<Member> idlest;
    bool draining = false;
    {
      const std::scoped_lock lock(mutex);
      if (shutting_down) co_return std::unexpected(ShuttingDown());
      if (slots < options.max_workers) {
        ++slots;
        co_return base::Result<void>();
      }
      for (const auto& [id, user] : users) {
        draining = draining || user.phase == Phase::kDraining;
        if (user.phase != Phase::kReady || user.member->leases > 0 || tried.contains(user.member)) continue;
        if (!idlest || user.member->last.last_lease_end < idlest->last.last_lease_end) idlest = user.member;
      }
    }
    if (idlest) {
      tried.insert(idlest);
      // What it reported last may be old: an open transaction is work, though no call runs.
      const bool answered = co_await Refresh(idlest, kTroubleTimeout);
      bool idle = false;
      {
        const std::scoped_lock lock(mutex);
        idle = answered && IsIdle(Snapshot(*idlest));
      }
      if (idle && BeginDrain(idlest, StopReason::kEvicted, true)) {
        co_await Drain(idlest, StopReason::kEvicted);
      }
    } else if (draining && clock.Now() < give_up) {
      co_await AwaitChange(std::chrono::ceil<milliseconds>(give_up - clock.Now()));
    } else {
      co_return std::unexpected(base::Error{base::ErrorCode::kResourceExhausted,
                                            "All " + std::to_string(options.max_workers) +
                                                " database workers are busy. Try again in 5 seconds.",
                                            {},
                                            seconds(5)});
    }
  }
}

asio::awaitable<base::Result<std::shared_ptr<Member>>> Fleet::State::LaunchWorker(
    std::string user_id, base::Clock::Steady deadline) {
  auto member = std::make_shared<Member>(strand);
  member->worker_id = base::RandomHex(8);
  member->user_id = user_id;
  member->token = base::Secret(base::HmacSha256Hex(options.token_key, member->worker_id));
  auto launched = co_await launcher.Launch({.worker_id = member->worker_id,
                                            .user_id = user_id,
                                            .token_sha256 = base::Sha256Hex(member->token.Reveal()),
                                            .memory_limit_bytes = options.memory_limit_bytes,
                                            .cpu_limit = options.cpu_limit,
                                            .sqlite_paths = options.sqlite_paths});
  if (!launched) co_return std::unexpected(std::move(launched.error()));
  member->handle = launched->handle;
  bool stop_asked = false;
  {
    const std::scoped_lock lock(mutex);
    users[user_id].member = member;
    stop_asked = shutting_down;
  }
  Spawn([this, member] { return Watch(member); });

  base::Error failure = ShuttingDown();
  const auto remaining = std::chrono::ceil<milliseconds>(deadline - clock.Now());
  if (!stop_asked && remaining.count() > 0) {
    member->control = controls.Connect(*launched, member->token);
    auto first = co_await (member->control->Assign(remaining) || member->interrupt.Wait());
    if (auto* states = std::get_if<0>(&first); states && *states) {
      const std::scoped_lock lock(mutex);
      attachments = **states;
      member->channel = member->control->channel();
      member->last.last_lease_end = clock.Now();
      co_return member;
    } else if (states) {
      failure = std::move(states->error());
    } else {
      const std::scoped_lock lock(mutex);
      if (member->exit) {
        failure = {base::ErrorCode::kUnavailable,
                   member->exit->out_of_memory ? "The worker ran out of memory while it started."
                                               : "The worker ended while it started, with exit code " +
                                                     std::to_string(member->exit->exit_code) + ".",
                   {},
                   {}};
      }
    }
  } else if (!stop_asked) {
    failure = {
        base::ErrorCode::kDeadlineExceeded, "Nothing is left of the start timeout after the launch.", {}, {}};
  }
  member->unwatch.emit(asio::cancellation_type::terminal);
  co_await Remove(member->handle, milliseconds(0));
  co_return std::unexpected(std::move(failure));
}

asio::awaitable<void> Fleet::State::Watch(std::shared_ptr<Member> member) {
  asio::steady_timer timer(strand);
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
      wanted = user != users.end() && user->second.member == member;
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
      const ReapDecision decision = Decide(Snapshot(*member), now);
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
    member->failed_beats = healthy ? 0 : member->failed_beats + 1;
    if (member->failed_beats >= kFailedBeats && BeginDrain(member, StopReason::kUnhealthy, false)) {
      co_await Drain(member, StopReason::kUnhealthy);
      co_return;
    }
  }
}

asio::awaitable<bool> Fleet::State::Refresh(std::shared_ptr<Member> member, milliseconds timeout) {
  const auto asked = clock.Now();
  auto activity = co_await member->control->Status(timeout);
  if (!activity) {
    telemetry::Log(Level::kDebug, "Worker status failed",
                   {{"container_id", member->handle}, {"error", Text(activity.error())}});
    co_return false;
  }
  if (!activity->healthy) {
    member->failed_beats = kFailedBeats;  // it says so itself: no second chance
    co_return false;
  }
  const std::scoped_lock lock(mutex);
  member->last.reported_at = asked;
  member->last.running_statements = activity->running_statements;
  member->last.open_streams = activity->open_streams;
  member->last.open_transactions = activity->open_transactions;
  attachments = std::move(activity->attachments);
  co_return true;
}

asio::awaitable<void> Fleet::State::CheckTrouble(std::shared_ptr<Member> member) {
  const bool alive = co_await Refresh(member, kTroubleTimeout);
  {
    const std::scoped_lock lock(mutex);
    member->trouble_check_runs = false;
  }
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
  const bool answers =
      reason == StopReason::kIdleTimeout || reason == StopReason::kEvicted || reason == StopReason::kShutdown;
  if (answers) {
    // Only a courtesy: what does not drain is stopped.
    co_await member->control->Drain(std::min(kDrainTimeout, options.stop_grace));
  }
  co_await Remove(member->handle, answers ? options.stop_grace : std::min(kDeadGrace, options.stop_grace));
  member->unwatch.emit(asio::cancellation_type::terminal);
  BecomeAbsent(member, reason);
}

asio::awaitable<void> Fleet::State::Remove(std::string handle, milliseconds grace) {
  asio::steady_timer timer(strand);
  for (int attempt = 1;; ++attempt) {
    const auto removed = co_await launcher.Stop(handle, grace);
    if (removed) co_return;
    telemetry::Log(Level::kError, "Container removal failed",
                   {{"container_id", handle}, {"error", Text(removed.error())}});
    // The worker ends itself when its lease runs out, and the next start of the proxy removes what it left.
    if (attempt == kRemoveTries) co_return;
    co_await Pause(timer, kBackendRetry * attempt);
  }
}

asio::awaitable<void> Fleet::State::AwaitChange(milliseconds limit) {
  // `change` never expires, it is only ever cancelled: any number may wait for it.
  asio::steady_timer timer(strand, limit);
  boost::system::error_code ignored;
  co_await (change.async_wait(asio::redirect_error(asio::use_awaitable, ignored)) ||
            timer.async_wait(asio::use_awaitable));
}

asio::awaitable<void> Fleet::State::ShutDown() {
  const auto limit = clock.Now() + options.stop_grace + kShutdownMargin;
  std::list<Waiter> waiters;
  std::vector<std::shared_ptr<Member>> ready;
  {
    const std::scoped_lock lock(mutex);
    shutting_down = true;
    for (auto& [id, user] : users) {
      waiters.splice(waiters.end(), user.waiters);
      if (user.phase == Phase::kReady) ready.push_back(user.member);
      if (user.phase == Phase::kStarting && user.member) user.member->interrupt.Happen();
    }
    waiter_count = 0;
    change.cancel();
  }
  Answer(std::move(waiters), ShuttingDown());
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

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <utility>

#include "proxy/fleet/fleet_state.h"
#include "telemetry/log.h"

namespace pondpilot::proxy::fleet {
namespace {

namespace asio = boost::asio;
using namespace asio::experimental::awaitable_operators;
using std::chrono::milliseconds;
using std::chrono::seconds;
using telemetry::Level;

// After so many workers in a row that lived no longer than this, the next start waits.
constexpr int kToleratedDeaths = 3;
constexpr milliseconds kShortLife = seconds(10);

bool EndsByItself(StopReason reason) {
  return reason == StopReason::kOutOfMemory || reason == StopReason::kKilled ||
         reason == StopReason::kExited || reason == StopReason::kReplaced || reason == StopReason::kUnhealthy;
}

std::string InSeconds(milliseconds wait) {
  const auto whole = std::max<int64_t>(1, std::chrono::ceil<seconds>(wait).count());
  return std::to_string(whole) + (whole == 1 ? " second" : " seconds");
}

base::Error StartFailed(std::string detail, milliseconds retry_after) {
  return {base::ErrorCode::kUnavailable,
          "Your database worker could not be started; the operator's log says why. Try again in " +
              InSeconds(retry_after) + ".",
          std::move(detail), retry_after};
}

}  // namespace

std::string Text(const base::Error& error) {
  return error.detail.empty() ? error.message : error.message + " " + error.detail;
}

void OneTimeEvent::Happen() {
  happened_ = true;
  timer_.cancel();
}

asio::awaitable<void> OneTimeEvent::Wait() {
  boost::system::error_code ignored;
  // A cancellation of the waiting coroutine also ends the wait; it must not be taken for the event.
  if (!happened_) co_await timer_.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
}

asio::awaitable<bool> OneTimeEvent::WaitFor(milliseconds timeout) {
  Timer limit(timer_.get_executor(), timeout);
  co_await (Wait() || limit.async_wait(asio::use_awaitable));
  co_return happened_;
}

Fleet::State::State(Fleet& owner, const asio::any_io_executor& executor, FleetOptions fleet_options,
                    launch::Launcher& fleet_launcher, WorkerControlFactory& fleet_controls,
                    const base::Clock& fleet_clock)
    : fleet(owner),
      strand(asio::make_strand(executor)),
      options(std::move(fleet_options)),
      launcher(fleet_launcher),
      controls(fleet_controls),
      clock(fleet_clock),
      change(strand, Timer::time_point::max()) {}

void Fleet::State::Spawn(std::function<asio::awaitable<void>()> work) {
  {
    const std::scoped_lock lock(mutex);
    ++tasks;
  }
  const auto self = fleet.shared_from_this();
  asio::co_spawn(
      strand, [work = std::move(work)]() -> asio::awaitable<void> { co_await work(); },
      [this, self](const std::exception_ptr& failure) {
        if (failure) {
          try {
            std::rethrow_exception(failure);
          } catch (const std::exception& error) {
            telemetry::Log(Level::kError, "Fleet task failed", {{"error", error.what()}});
          }
        }
        const std::scoped_lock lock(mutex);
        --tasks;
        change.cancel();  // this runs on the strand
      });
}

uint64_t Fleet::State::AddWaiter(User& user, const std::string& user_id, base::Clock::Steady deadline,
                                 AcquireCallback done) {
  const uint64_t id = next_waiter_id++;
  auto timer = std::make_shared<Timer>(strand);
  timer->expires_after(deadline - clock.Now());
  timer->async_wait([weak = fleet.weak_from_this(), user_id, id](const boost::system::error_code& error) {
    const auto self = weak.lock();
    if (error || !self) return;
    self->state_->DismissWaiter(
        user_id, id,
        {base::ErrorCode::kDeadlineExceeded,
         "Your database worker was not ready before the call's deadline. It goes on starting: try "
         "again, or give the call more time.",
         {},
         {}});
  });
  user.waiters.push_back({id, std::move(done), std::move(timer)});
  ++waiter_count;
  return id;
}

void Fleet::State::DismissWaiter(const std::string& user_id, uint64_t waiter_id, const base::Error& error) {
  std::list<Waiter> dismissed;
  {
    const std::scoped_lock lock(mutex);
    const auto user = users.find(user_id);
    if (user == users.end()) return;
    auto& waiters = user->second.waiters;
    const auto waiter = std::ranges::find(waiters, waiter_id, &Waiter::id);
    if (waiter == waiters.end()) return;
    dismissed.splice(dismissed.end(), waiters, waiter);
    --waiter_count;
  }
  Answer(std::move(dismissed), error);
}

void Fleet::State::Answer(std::list<Waiter> waiters, const base::Error& error) {
  for (Waiter& waiter : waiters) {
    waiter.deadline->cancel();
    waiter.done(std::unexpected(error));
  }
}

base::Result<void> Fleet::State::BeginStart(const std::string& user_id, User& user) {
  if (const auto now = clock.Now(); user.early_deaths >= kToleratedDeaths && now < user.retry_at) {
    const auto wait = std::chrono::ceil<milliseconds>(user.retry_at - now);
    return std::unexpected(
        base::Error{base::ErrorCode::kUnavailable,
                    "Your last " + std::to_string(user.early_deaths) +
                        " database workers ended soon after their start. The next is started in " +
                        InSeconds(wait) + ": make the statement smaller, or ask the operator why they end.",
                    {},
                    wait});
  } else if (user.failures > 0 && now < user.retry_at) {
    const auto wait = std::chrono::ceil<milliseconds>(user.retry_at - now);
    return std::unexpected(
        StartFailed("the last start failed; the next is tried in " + InSeconds(wait), wait));
  }
  // A claim needs no launch.
  const bool claimable =
      seekers.empty() && user.profile.empty() &&
      std::ranges::any_of(warm, [](const auto& member) { return member->failed_beats == 0; });
  if (const milliseconds pause = launches.Pause(clock.Now()); pause.count() > 0 && !claimable) {
    return std::unexpected(
        StartFailed("the last launches failed, whosever; the next is tried in " + InSeconds(pause), pause));
  }
  auto place = TakePlace(user.profile);
  user.phase = Phase::kStarting;
  if (place && place->warm) user.member = place->warm;
  // From the strand: Spawn takes the mutex, which is held here.
  asio::post(strand, [this, self = fleet.shared_from_this(), user_id, place = std::move(place)] {
    Spawn([this, user_id, place] { return Start(user_id, place); });
  });
  return {};
}

void Fleet::State::FinishStart(const std::string& user_id, std::shared_ptr<Member> member) {
  {
    const std::scoped_lock lock(mutex);
    User& user = users[user_id];
    user.phase = Phase::kReady;
    user.member = member;
    user.failures = 0;
  }
  GrantWaiters(user_id, member);
}

void Fleet::State::GrantWaiters(const std::string& user_id, const std::shared_ptr<Member>& member) {
  std::list<Waiter> waiters;
  {
    const std::scoped_lock lock(mutex);
    // It may be about to end: then they wait for the next.
    if (!IsCurrent(member, Phase::kReady)) return;
    User& user = users[user_id];
    waiters.swap(user.waiters);
    waiter_count -= waiters.size();
    member->leases += waiters.size();
  }
  for (Waiter& waiter : waiters) {
    waiter.deadline->cancel();
    waiter.done(WorkerLease(fleet.shared_from_this(), member));
  }
}

void Fleet::State::FailStart(const std::string& user_id, base::Error reason, bool back_off) {
  std::list<Waiter> waiters;
  {
    const std::scoped_lock lock(mutex);
    User& user = users[user_id];
    user.phase = Phase::kAbsent;
    user.member.reset();
    waiters.swap(user.waiters);
    waiter_count -= waiters.size();
    if (back_off) {
      const milliseconds wait = BackOff(++user.failures);
      user.retry_at = clock.Now() + wait;
      reason =
          StartFailed(reason.detail.empty() ? reason.message : reason.message + " " + reason.detail, wait);
    } else if (user.failures == 0 && user.early_deaths == 0) {
      users.erase(user_id);
    }
    ForgetOldFailures();
  }
  if (back_off) {
    if (options.observer) options.observer->SpawnFailed();
    telemetry::Log(Level::kError, "Container spawn failed", {{"user_id", user_id}, {"error", reason.detail}});
  }
  Answer(std::move(waiters), reason);
}

bool Fleet::State::BeginDrain(const std::shared_ptr<Member>& member, StopReason reason, bool only_unused) {
  const std::scoped_lock lock(mutex);
  if (!IsCurrent(member, Phase::kReady) || (only_unused && member->leases > 0)) return false;
  users[member->user_id].phase = Phase::kDraining;
  // When it was found dead, how it died is not known yet: the one who drains it finds out.
  if (reason != StopReason::kReplaced) member->death_reason = SentenceFor(reason, member->exit);
  return true;
}

void Fleet::State::BecomeAbsent(const std::shared_ptr<Member>& member, StopReason reason) {
  std::list<Waiter> refused;
  base::Error refusal;
  {
    const std::scoped_lock lock(mutex);
    ReleaseSlot();
    CountStop(reason);
    User& user = users[member->user_id];
    user.phase = Phase::kAbsent;
    user.member.reset();
    if (EndsByItself(reason) && clock.Now() < member->launched_at + kShortLife) {
      const int beyond = ++user.early_deaths - kToleratedDeaths + 1;
      user.retry_at = clock.Now() + (beyond > 0 ? BackOff(beyond) : milliseconds(0));
    } else {
      user.early_deaths = 0;
    }
    if (member->death_reason.empty()) member->death_reason = SentenceFor(reason, member->exit);
    if (!user.waiters.empty()) {
      if (const auto begun = BeginStart(member->user_id, user); !begun) {
        refusal = begun.error();
        refused.swap(user.waiters);
        waiter_count -= refused.size();
      }
    }
    if (user.phase == Phase::kAbsent && user.failures == 0 && user.early_deaths == 0) {
      users.erase(member->user_id);
    }
  }
  telemetry::Log(
      Level::kInfo, "Container stopped",
      {{"user_id", member->user_id}, {"container_id", member->handle}, {"reason", ToString(reason)}});
  Answer(std::move(refused), refusal);
}

void Fleet::State::ReleaseSlot() {
  --slots;
  AnnounceChange();
}

void Fleet::State::CountStop(StopReason reason) {
  ++stopped;
  if (options.observer) options.observer->Stopped(reason);
}

void Fleet::State::AnnounceChange() {
  asio::post(strand, [this, self = fleet.weak_from_this()] {
    if (const auto alive = self.lock()) change.cancel();
  });
}

bool Fleet::State::IsCurrent(const std::shared_ptr<Member>& member, Phase phase) const {
  const auto user = users.find(member->user_id);
  return user != users.end() && user->second.phase == phase && user->second.member == member;
}

WorkerSnapshot Fleet::State::Snapshot(const Member& member) const {
  WorkerSnapshot snapshot = member.last;
  snapshot.leased = member.leases > 0;
  snapshot.idle_timeout = options.idle_timeout;
  snapshot.session_timeout = options.session_timeout;
  return snapshot;
}

void Fleet::State::ForgetOldFailures() {
  // A user who doesn't come back for this long starts without a past.
  const auto old = clock.Now() - 10 * Breaker::kLongestPause;
  std::erase_if(users, [old](const auto& entry) {
    return entry.second.phase == Phase::kAbsent && entry.second.waiters.empty() &&
           entry.second.retry_at < old;
  });
}

}  // namespace pondpilot::proxy::fleet

// Workers that are ready before anybody asks: kept, looked after, given to one user for good.
#include <algorithm>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <utility>

#include "proxy/fleet/file_stamps.h"
#include "proxy/fleet/fleet_state.h"
#include "telemetry/log.h"

namespace pondpilot::proxy::fleet {
namespace {

namespace asio = boost::asio;
using std::chrono::milliseconds;
using std::chrono::seconds;
using telemetry::Level;

// A worker that is nobody's has nothing else to do than to answer.
constexpr milliseconds kClaimTimeout = seconds(1);
constexpr milliseconds kStatusTimeout = seconds(2);
constexpr milliseconds kLongestRest = seconds(60);
// The pool is not made anew without a pause when its workers last no longer than this.
constexpr milliseconds kShortLife = seconds(10);

}  // namespace

asio::awaitable<void> Fleet::State::TendPool() {
  while (true) {
    milliseconds rest = kLongestRest;
    bool make = false;
    std::shared_ptr<Member> superfluous;
    // Not with the mutex: the disk may take its time.
    const auto stamps = FileStamps(options.sqlite_paths);
    {
      const std::scoped_lock lock(mutex);
      if (shutting_down) co_return;
      const auto now = clock.Now();
      const milliseconds pause =
          std::max(launches.Pause(now), std::chrono::ceil<milliseconds>(pool_retry_at - now));
      const auto outdated =
          std::ranges::find_if(warm, [&](const auto& member) { return !IsAsConfigured(*member, stamps); });
      if (outdated != warm.end() || warm.size() > options.warm_workers) {
        const auto which = outdated != warm.end() ? outdated : warm.begin();
        superfluous = *which;
        NotePoolLoss(*superfluous);
        warm.erase(which);
      } else if (pause.count() > 0) {
        rest = pause;
      } else if (warm.size() < options.warm_workers && slots < options.max_workers && seekers.empty()) {
        ++slots;
        make = true;
      }
    }
    if (superfluous) {
      co_await Discard(superfluous, StopReason::kOutdated);
    } else if (make) {
      co_await MakeWarm();
    } else {
      co_await AwaitChange(rest);
    }
  }
}

bool Fleet::State::IsAsConfigured(const Member& member, const std::vector<std::string>& stamps) const {
  return member.limits == options.limits && member.files == stamps;
}

void Fleet::State::NotePoolLoss(const Member& member) {
  const auto now = clock.Now();
  pool_losses = now < member.launched_at + kShortLife ? pool_losses + 1 : 0;
  pool_retry_at = now + (pool_losses > 0 ? BackOff(pool_losses) : milliseconds(0));
}

asio::awaitable<void> Fleet::State::MakeWarm() {
  const auto begun = clock.Now();
  const auto made = co_await LaunchWorker({}, {}, begun + options.start_timeout);
  bool kept = false;
  {
    const std::scoped_lock lock(mutex);
    warming.reset();
    if (!made) {
      ReleaseSlot();
    } else if (!(*made)->exit && !shutting_down) {
      kept = true;
      warm.push_back(*made);
      AnnounceChange();  // who waits for a place may have it
    }
  }
  if (!made) {
    telemetry::Log(Level::kError, "Warm worker could not be made", {{"error", Text(made.error())}});
    co_return;
  }
  const auto member = *made;
  if (!kept) co_return co_await Discard(member, StopReason::kShutdown);
  telemetry::Log(Level::kInfo, "Warm worker ready",
                 {{"container_id", member->handle},
                  {"ms", std::chrono::duration_cast<milliseconds>(clock.Now() - begun).count()}});
  Spawn([this, member] { return AttendWarm(member); });
}

asio::awaitable<void> Fleet::State::AttendWarm(std::shared_ptr<Member> member) {
  boost::system::error_code ignored;
  while (true) {
    member->beat.expires_after(options.heartbeat);
    co_await member->beat.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
    {
      const std::scoped_lock lock(mutex);
      if (!std::ranges::contains(warm, member)) co_return;
    }
    const bool healthy = co_await Refresh(member, kStatusTimeout);
    const auto stamps = FileStamps(options.sqlite_paths);
    StopReason reason = StopReason::kUnhealthy;
    {
      const std::scoped_lock lock(mutex);
      // Claimed meanwhile: its user's heartbeats have begun.
      if (!std::ranges::contains(warm, member)) co_return;
      member->failed_beats = healthy ? 0 : member->failed_beats + 1;
      if (!IsAsConfigured(*member, stamps)) {
        reason = StopReason::kOutdated;
      } else if (member->failed_beats < kFailedBeats) {
        continue;
      }
    }
    if (LeavePool(member)) co_await Discard(member, reason);
    co_return;
  }
}

asio::awaitable<bool> Fleet::State::IsFitForClaim(std::shared_ptr<Member> member) {
  member->beat.cancel();
  const bool answers = co_await Refresh(member, kClaimTimeout);
  const bool as_configured = IsAsConfigured(*member, FileStamps(options.sqlite_paths));
  const std::scoped_lock lock(mutex);
  const bool fit = answers && as_configured && !member->exit;
  if (fit) {
    pool_losses = 0;
  } else {
    NotePoolLoss(*member);
  }
  co_return fit;
}

bool Fleet::State::LeavePool(const std::shared_ptr<Member>& member) {
  const std::scoped_lock lock(mutex);
  if (std::erase(warm, member) == 0) return false;
  NotePoolLoss(*member);
  return true;
}

asio::awaitable<void> Fleet::State::Discard(std::shared_ptr<Member> member, StopReason reason) {
  member->beat.cancel();
  member->unwatch.emit(asio::cancellation_type::terminal);
  co_await Remove(member->handle, milliseconds(0));
  {
    const std::scoped_lock lock(mutex);
    if (member->exit) reason = ReasonOf(*member->exit);
    CountStop(reason);
    ReleaseSlot();
  }
  telemetry::Log(Level::kInfo, "Container stopped before anybody used it",
                 {{"container_id", member->handle}, {"reason", ToString(reason)}});
}

}  // namespace pondpilot::proxy::fleet

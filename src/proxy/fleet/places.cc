// Who gets the place of one more worker, and what gives way for it at the cap.
#include <algorithm>
#include <utility>

#include "proxy/fleet/fleet_state.h"

namespace pondpilot::proxy::fleet {
namespace {

namespace asio = boost::asio;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr milliseconds kRefreshTimeout = seconds(1);
// A transaction that ends frees its worker, which only the worker itself knows.
constexpr milliseconds kLookAgain = seconds(1);
constexpr milliseconds kRetryAfter = seconds(5);

}  // namespace

std::optional<Place> Fleet::State::TakePlace(const std::string& profile) {
  return seekers.empty() ? FreePlace(profile) : std::nullopt;
}

std::optional<Place> Fleet::State::FreePlace(const std::string& profile) {
  // Those in the pool have the usual limits.
  // One that did not answer its last heartbeat would keep its user waiting.
  const auto fit = std::ranges::find(warm, 0, [](const auto& member) { return member->failed_beats; });
  if (profile.empty() && fit != warm.end()) {
    Place place{*fit};
    warm.erase(fit);
    AnnounceChange();  // the pool wants another
    return place;
  }
  if (slots >= options.max_workers) return std::nullopt;
  ++slots;
  return Place{};
}

asio::awaitable<base::Result<Place>> Fleet::State::AwaitPlace(std::string user_id, std::string profile) {
  uint64_t seeker = 0;
  {
    const std::scoped_lock lock(mutex);
    seeker = next_seeker++;
    seekers.push_back(seeker);
  }
  auto place = co_await SeekPlace(std::move(user_id), std::move(profile), seeker);
  {
    const std::scoped_lock lock(mutex);
    seekers.remove(seeker);
    AnnounceChange();
  }
  co_return place;
}

asio::awaitable<base::Result<Place>> Fleet::State::SeekPlace(std::string user_id, std::string profile,
                                                             uint64_t seeker) {
  const auto give_up = clock.Now() + options.queue_timeout;
  // Looked at already since the last wait.
  std::set<std::shared_ptr<Member>> busy;
  while (true) {
    std::shared_ptr<Member> idlest;
    std::shared_ptr<Member> unfit;
    bool draining = false;
    {
      const std::scoped_lock lock(mutex);
      if (shutting_down) co_return base::Fail(base::ErrorCode::kUnavailable, kShuttingDown);
      if (users[user_id].waiters.empty()) {
        // Here, under the lock: who comes now starts anew.
        users[user_id].phase = Phase::kAbsent;
        if (users[user_id].failures == 0 && users[user_id].early_deaths == 0) users.erase(user_id);
        co_return base::Fail(base::ErrorCode::kCancelled, "Nobody waits for this worker any more.");
      }
      if (seekers.front() == seeker) {
        auto place = FreePlace(profile);
        if (place) co_return std::move(*place);
        if (!warm.empty()) {
          // Nobody's, and of no use here: it makes room.
          unfit = warm.front();
          warm.erase(warm.begin());
        }
        idlest = IdlestBesides(busy);
        draining =
            std::ranges::any_of(users, [](const auto& u) { return u.second.phase == Phase::kDraining; });
      }
    }
    if (unfit) {
      co_await Discard(unfit, StopReason::kEvicted);
      continue;
    }
    if (idlest) {
      busy.insert(idlest);
      // What it reported last may be old: an open transaction is work, though no call runs.
      const bool answered = co_await Refresh(idlest, kRefreshTimeout);
      bool idle = false;
      {
        const std::scoped_lock lock(mutex);
        const WorkerSnapshot snapshot = Snapshot(*idlest);
        idle = answered && IsIdle(snapshot) &&
               (snapshot.kept_objects == 0 || clock.Now() >= snapshot.last_lease_end + options.idle_timeout);
      }
      if (idle && BeginDrain(idlest, StopReason::kEvicted, true)) {
        co_await Drain(idlest, StopReason::kEvicted);
      }
      continue;
    }
    // A place that is being freed is waited for: stopping takes no longer than its grace.
    const auto now = clock.Now();
    if (now >= give_up && !(draining && now < give_up + options.stop_grace)) {
      co_return std::unexpected(base::Error{base::ErrorCode::kResourceExhausted,
                                            "All " + std::to_string(options.max_workers) +
                                                " database workers are busy. Try again in 5 seconds.",
                                            {},
                                            kRetryAfter});
    }
    const milliseconds left = std::chrono::ceil<milliseconds>(give_up - now);
    co_await AwaitChange(left.count() > 0 ? std::min(left, kLookAgain) : kLookAgain);
    busy.clear();
  }
}

std::shared_ptr<Member> Fleet::State::IdlestBesides(const std::set<std::shared_ptr<Member>>& others) const {
  std::shared_ptr<Member> idlest;
  const auto now = clock.Now();
  // Those that keep nothing first; of the others only those that would have been stopped by now without it.
  const auto rank = [](const Member& member) {
    return std::pair(member.last.kept_objects > 0, member.last.last_lease_end);
  };
  for (const auto& [id, user] : users) {
    if (user.phase != Phase::kReady || user.member->leases > 0 || others.contains(user.member)) continue;
    const WorkerSnapshot& last = user.member->last;
    if (last.kept_objects > 0 && now < last.last_lease_end + options.idle_timeout) continue;
    if (!idlest || rank(*user.member) < rank(*idlest)) idlest = user.member;
  }
  return idlest;
}

}  // namespace pondpilot::proxy::fleet

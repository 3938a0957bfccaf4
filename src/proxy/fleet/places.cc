// Who gets the place of one more worker, and what gives way for it at the cap.
#include <algorithm>
#include <boost/asio/post.hpp>
#include <iterator>
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

asio::awaitable<base::Result<Place>> Fleet::State::AwaitPlace(std::string user_id, std::string profile,
                                                              bool in_front) {
  uint64_t seeker = 0;
  {
    const std::scoped_lock lock(mutex);
    seeker = next_seeker++;
    seekers.insert(in_front ? seekers.begin() : seekers.end(), seeker);
  }
  auto place = co_await SeekPlace(std::move(user_id), std::move(profile), seeker);
  {
    const std::scoped_lock lock(mutex);
    seekers.remove(seeker);
    AnnounceChange();
  }
  co_return place;
}

// Places come free for the first in line, whoever has seen to it: each in the line may free one, so that one
// that is slow to stop keeps nobody else from what is there.
asio::awaitable<base::Result<Place>> Fleet::State::SeekPlace(std::string user_id, std::string profile,
                                                             uint64_t seeker) {
  const auto give_up = clock.Now() + options.queue_timeout;
  // Looked at already since the last wait.
  std::set<std::shared_ptr<Member>> busy;
  while (true) {
    std::shared_ptr<Member> idlest;
    bool freed_soon = false;
    {
      const std::scoped_lock lock(mutex);
      if (shutting_down) co_return base::Fail(base::ErrorCode::kUnavailable, kShuttingDown);
      if (users[user_id].waiters.empty()) {
        // Here, under the lock: who comes now starts anew.
        users[user_id].phase = Phase::kAbsent;
        if (users[user_id].failures == 0 && users[user_id].early_deaths == 0) users.erase(user_id);
        co_return base::Fail(base::ErrorCode::kCancelled, "Nobody waits for this worker any more.");
      }
      const auto before =
          static_cast<size_t>(std::distance(seekers.begin(), std::ranges::find(seekers, seeker)));
      if (before == 0) {
        auto place = FreePlace(profile);
        if (place) co_return std::move(*place);
      }
      if (freeing <= before) {
        if (before == 0 && !warm.empty()) {
          // Nobody's, and of no use here: it makes room.
          FreeSlot(warm.front(), true);
          warm.erase(warm.begin());
        } else {
          idlest = IdlestBesides(busy);
        }
      }
      freed_soon = freeing > 0 || std::ranges::any_of(users, [](const auto& u) {
                     return u.second.phase == Phase::kDraining;
                   });
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
        const std::scoped_lock lock(mutex);
        FreeSlot(idlest, false);
      }
      continue;
    }
    // A place that is being freed is waited for: stopping takes no longer than its grace.
    const auto now = clock.Now();
    if (now >= give_up && !(freed_soon && now < give_up + options.stop_grace)) {
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

void Fleet::State::FreeSlot(std::shared_ptr<Member> member, bool is_warm) {
  ++freeing;
  asio::post(strand, [this, self = fleet.shared_from_this(), member = std::move(member), is_warm] {
    Spawn([this, member, is_warm]() -> asio::awaitable<void> {
      if (is_warm) {
        co_await Discard(member, StopReason::kEvicted);
      } else {
        co_await Drain(member, StopReason::kEvicted);
      }
      const std::scoped_lock lock(mutex);
      --freeing;
    });
  });
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

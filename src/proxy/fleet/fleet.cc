#include "proxy/fleet/fleet.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <utility>

#include "proxy/fleet/fleet_state.h"

namespace pondpilot::proxy::fleet {
namespace {

// Every Worker that a lease points at was made by the fleet, as a Member.
std::shared_ptr<Member> MemberOf(const std::shared_ptr<const Worker>& worker) {
  return std::static_pointer_cast<Member>(std::const_pointer_cast<Worker>(worker));
}

}  // namespace

WorkerLease::WorkerLease(std::shared_ptr<Fleet> fleet, std::shared_ptr<const Worker> worker)
    : fleet_(std::move(fleet)), worker_(std::move(worker)) {}

WorkerLease::WorkerLease(WorkerLease&& other) noexcept
    : fleet_(std::move(other.fleet_)), worker_(std::move(other.worker_)) {}

WorkerLease& WorkerLease::operator=(WorkerLease&& other) noexcept {
  // The one held before is released by the temporary's end.
  WorkerLease taken(std::move(other));
  std::swap(fleet_, taken.fleet_);
  std::swap(worker_, taken.worker_);
  return *this;
}

WorkerLease::~WorkerLease() {
  if (!worker_) return;
  Member& member = *MemberOf(worker_);
  const std::scoped_lock lock(fleet_->state_->mutex);
  --member.leases;
  member.last.last_lease_end = fleet_->state_->clock.Now();
  // Who waits at the cap may have this worker's place.
  if (member.leases == 0 && !fleet_->state_->seekers.empty()) fleet_->state_->AnnounceChange();
}

void WorkerLease::ReportTrouble() {
  if (!worker_) return;
  auto member = MemberOf(worker_);
  Fleet::State& state = *fleet_->state_;
  {
    const std::scoped_lock lock(state.mutex);
    // One check for however many calls the same trouble has hit.
    if (member->trouble_check_runs || !state.IsCurrent(member, Phase::kReady)) return;
    member->trouble_check_runs = true;
  }
  state.Spawn([&state, member] { return state.CheckTrouble(member); });
}

std::string WorkerLease::DeathReason() const {
  if (!worker_) return {};
  const std::scoped_lock lock(fleet_->state_->mutex);
  return MemberOf(worker_)->death_reason;
}

Fleet::Fleet(boost::asio::any_io_executor executor, FleetOptions options, launch::Launcher& launcher,
             WorkerControlFactory& controls, const base::Clock& clock)
    : state_(std::make_unique<State>(*this, std::move(executor), std::move(options), launcher, controls,
                                     clock)) {}

Fleet::~Fleet() = default;

std::shared_ptr<Fleet> Fleet::Create(boost::asio::any_io_executor executor, FleetOptions options,
                                     launch::Launcher& launcher, WorkerControlFactory& controls,
                                     const base::Clock& clock) {
  return std::shared_ptr<Fleet>(
      new Fleet(std::move(executor), std::move(options), launcher, controls, clock));
}

uint64_t Fleet::Acquire(const std::string& user_id, const std::string& profile, base::Clock::Steady deadline,
                        AcquireCallback done) {
  State& state = *state_;
  base::Error refusal;
  std::shared_ptr<Member> ready;
  {
    const std::scoped_lock lock(state.mutex);
    const auto known = state.users.find(user_id);
    const size_t calls =
        known == state.users.end()
            ? 0
            : known->second.waiters.size() + (known->second.member ? known->second.member->leases : 0);
    if (calls >= state.options.max_calls_per_user && !state.shutting_down) {
      refusal = {
          base::ErrorCode::kResourceExhausted,
          "You have " + std::to_string(calls) +
              " calls open at the same time, which is the limit. Read or cancel some of them, then try "
              "again.",
          {},
          std::chrono::seconds(1)};
    } else if (known != state.users.end() && known->second.phase == Phase::kReady &&
               !known->second.member->trouble_check_runs && !state.shutting_down) {
      // While it is looked at, callers wait: who has just lost a call to it shall not lose the next one too.
      ready = known->second.member;
      ++ready->leases;
    } else if (state.shutting_down) {
      refusal = {base::ErrorCode::kUnavailable, kShuttingDown, {}, {}};
    } else if (!profile.empty() && !state.options.profiles.contains(profile)) {
      refusal = {base::ErrorCode::kPermissionDenied,
                 "Your token asks for a profile of workers that the operator has not configured "
                 "(containers.profiles). Ask for a token without it or with another.",
                 {},
                 {}};
    } else if (state.waiter_count >= state.options.max_waiters) {
      refusal = {base::ErrorCode::kResourceExhausted,
                 "Too many calls are waiting for their database worker. Try again in a second.",
                 {},
                 std::chrono::seconds(1)};
    } else {
      User& user = known != state.users.end() ? known->second : state.users[user_id];
      if (user.phase == Phase::kAbsent || user.phase == Phase::kDraining) user.profile = profile;
      const auto begun =
          user.phase == Phase::kAbsent ? state.BeginStart(user_id, user) : base::Result<void>();
      if (begun) return state.AddWaiter(user, user_id, deadline, std::move(done));
      refusal = begun.error();
      if (user.failures == 0 && user.early_deaths == 0) state.users.erase(user_id);
    }
  }
  if (ready) {
    done(WorkerLease(shared_from_this(), std::move(ready)));
    return 0;
  }
  boost::asio::post(state.strand, [done = std::move(done), refusal = std::move(refusal)]() mutable {
    done(std::unexpected(std::move(refusal)));
  });
  return 0;
}

bool Fleet::HasWorker(const std::string& user_id, const std::string& worker_id) const {
  const std::scoped_lock lock(state_->mutex);
  const auto known = state_->users.find(user_id);
  return known != state_->users.end() && known->second.phase == Phase::kReady &&
         known->second.member->worker_id == worker_id;
}

void Fleet::Withdraw(const std::string& user_id, uint64_t ticket) {
  state_->DismissWaiter(user_id, ticket,
                        {base::ErrorCode::kCancelled, "The call was cancelled while it waited.", {}, {}});
}

void Fleet::Reconfigure(FleetOptions changed, std::function<void()> along) {
  State& state = *state_;
  boost::asio::post(state.strand, [self = shared_from_this(), &state, changed = std::move(changed),
                                   along = std::move(along)]() mutable {
    const std::scoped_lock lock(state.mutex);
    FleetOptions& options = state.options;
    options.idle_timeout = changed.idle_timeout;
    options.session_timeout = changed.session_timeout;
    options.start_timeout = changed.start_timeout;
    options.queue_timeout = changed.queue_timeout;
    options.max_workers = changed.max_workers;
    options.warm_workers = changed.warm_workers;
    options.max_calls_per_user = changed.max_calls_per_user;
    options.limits = changed.limits;
    options.profiles = std::move(changed.profiles);
    options.sqlite_paths = std::move(changed.sqlite_paths);
    along();
    // The pool has become larger, or the cap.
    state.change.cancel();
  });
}

FleetCounts Fleet::Counts() const {
  const std::scoped_lock lock(state_->mutex);
  FleetCounts counts{.total_spawned = state_->spawned, .total_stopped = state_->stopped};
  for (const auto& [id, user] : state_->users) {
    if (user.phase == Phase::kStarting || user.phase == Phase::kReady) ++counts.active;
  }
  counts.warm = state_->warm.size();
  counts.queued = state_->seekers.size();
  return counts;
}

std::vector<WorkerView> Fleet::Workers() const {
  const std::scoped_lock lock(state_->mutex);
  std::vector<WorkerView> views;
  for (const auto& [id, user] : state_->users) {
    if (user.phase == Phase::kAbsent) continue;
    const WorkerState state = user.phase == Phase::kStarting ? WorkerState::kStarting
                              : user.phase == Phase::kReady  ? WorkerState::kReady
                                                             : WorkerState::kDraining;
    if (user.member) {
      views.push_back(state_->View(*user.member, state));
    } else {
      views.emplace_back();
      views.back().profile = user.profile;
      views.back().state = state;
    }
    views.back().user_id = id;
  }
  for (const auto& member : state_->warm) views.push_back(state_->View(*member, WorkerState::kWarm));
  return views;
}

WorkerView Fleet::State::View(const Member& member, WorkerState state) const {
  using std::chrono::duration_cast;
  using std::chrono::seconds;
  const auto now = clock.Now();
  WorkerView view;
  view.worker_id = member.worker_id;
  view.handle = member.handle;
  view.user_id = member.user_id;
  view.profile = member.profile;
  view.state = state;
  view.age = duration_cast<seconds>(now - member.launched_at);
  if (state == WorkerState::kReady && member.leases == 0) {
    view.idle = duration_cast<seconds>(now - member.last.last_lease_end);
  }
  view.calls = member.leases;
  view.activity = member.activity;
  return view;
}

bool Fleet::StopWorker(const std::string& worker_id) {
  State& state = *state_;
  std::shared_ptr<Member> member;
  {
    const std::scoped_lock lock(state.mutex);
    for (const auto& [id, user] : state.users) {
      if (user.phase == Phase::kReady && user.member->worker_id == worker_id) member = user.member;
    }
  }
  if (!member || !state.BeginDrain(member, StopReason::kOperator, false)) return false;
  state.Spawn([&state, member] { return state.Drain(member, StopReason::kOperator); });
  return true;
}

std::string_view ToString(WorkerState state) {
  switch (state) {
    case WorkerState::kStarting:
      return "starting";
    case WorkerState::kReady:
      return "ready";
    case WorkerState::kDraining:
      return "draining";
    case WorkerState::kWarm:
      return "warm";
  }
  return "unknown";
}

std::vector<AttachmentState> Fleet::LastAttachmentStates() const {
  const std::scoped_lock lock(state_->mutex);
  return state_->attachments;
}

boost::asio::awaitable<void> Fleet::Begin(std::vector<launch::FoundWorker> found) {
  const auto self = shared_from_this();
  co_await boost::asio::co_spawn(state_->strand, state_->Begin(std::move(found)), boost::asio::use_awaitable);
}

boost::asio::awaitable<void> Fleet::Shutdown() {
  const auto self = shared_from_this();
  co_await boost::asio::co_spawn(state_->strand, state_->ShutDown(), boost::asio::use_awaitable);
}

}  // namespace pondpilot::proxy::fleet

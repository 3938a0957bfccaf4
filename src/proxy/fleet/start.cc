// How a user gets a worker: a place, a warm worker or a launch, the assignment.
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <utility>
#include <variant>

#include "proxy/fleet/assignment_proof.h"
#include "proxy/fleet/file_stamps.h"
#include "proxy/fleet/fleet_state.h"
#include "telemetry/log.h"

namespace pondpilot::proxy::fleet {
namespace {

namespace asio = boost::asio;
using namespace asio::experimental::awaitable_operators;
using std::chrono::milliseconds;
using telemetry::Level;

constexpr size_t kWorkerIdBytes = 8;

milliseconds Since(base::Clock::Steady start, const base::Clock& clock) {
  return std::chrono::duration_cast<milliseconds>(clock.Now() - start);
}

base::Error ShuttingDown() { return {base::ErrorCode::kUnavailable, kShuttingDown, {}, {}}; }

// The error of a worker that has ended before it was a user's.
base::Error EndedEarly(const launch::WorkerExit& exit) {
  return {base::ErrorCode::kUnavailable,
          exit.out_of_memory
              ? "The worker ran out of memory while it started."
              : "The worker ended while it started, with exit code " + std::to_string(exit.exit_code) + ".",
          {},
          {}};
}

}  // namespace

asio::awaitable<void> Fleet::State::Start(std::string user_id, std::optional<Place> place) {
  const auto asked = clock.Now();
  std::string profile;
  {
    const std::scoped_lock lock(mutex);
    profile = users[user_id].profile;
  }
  bool in_front = false;
  auto started = asked;
  auto deadline = asked;
  base::Result<std::shared_ptr<Member>> member = nullptr;
  while (true) {
    if (!place) {
      auto awaited = co_await AwaitPlace(user_id, profile, in_front);
      if (!awaited && awaited.error().code == base::ErrorCode::kCancelled) co_return;  // nobody wants it
      if (!awaited) {
        FailStart(user_id, std::move(awaited.error()), false);
        co_return;
      }
      place = std::move(*awaited);
    }
    started = clock.Now();
    deadline = started + options.start_timeout;
    bool fit = true;
    if (place->warm) {
      member = place->warm;
      {
        const std::scoped_lock lock(mutex);
        users[user_id].member = place->warm;
      }
      fit = co_await IsFitForClaim(place->warm);
    } else {
      member = co_await LaunchWorker(user_id, profile, deadline);
    }
    // The configuration may have been read again meanwhile.
    if (member)
      fit = fit && (*member)->sqlite_paths == options.sqlite_paths && (*member)->limits == LimitsOf(profile);
    if (!member || fit) break;
    Spawn([this, unfit = *member] { return Discard(unfit, StopReason::kUnhealthy); });
    // Who has had a place does not queue for it again.
    in_front = true;
    const std::scoped_lock lock(mutex);
    users[user_id].member.reset();
    place = FreePlace(profile);
  }
  base::Result<void> assigned;
  if (member) {
    assigned = co_await AssignWorker(*member, user_id, deadline);
  } else {
    assigned = std::unexpected(member.error());
  }
  bool stop_asked = false;
  {
    const std::scoped_lock lock(mutex);
    stop_asked = shutting_down;
  }
  if (!assigned) {
    if (member) {
      co_await Discard(*member, StopReason::kUnhealthy);
    } else {
      const std::scoped_lock lock(mutex);
      ReleaseSlot();
    }
    // A start that the shutdown cut short is nobody's failure.
    FailStart(user_id, stop_asked ? ShuttingDown() : std::move(assigned.error()), !stop_asked);
    co_return;
  }
  SpawnTimes& times = (*member)->times;
  times.queue = std::chrono::duration_cast<milliseconds>(started - asked);
  // Those of a warm worker were nobody's wait.
  if (place->warm) times.create = times.start = times.ready = milliseconds(0);
  telemetry::Log(Level::kInfo, "Container spawned",
                 {{"user_id", user_id},
                  {"container_id", (*member)->handle},
                  {"source", place->warm ? "warm" : "cold"},
                  {"ms", Since(asked, clock).count()},
                  {"queue_ms", times.queue.count()},
                  {"create_ms", times.create.count()},
                  {"start_ms", times.start.count()},
                  {"ready_ms", times.ready.count()},
                  {"attach_ms", times.attach.count()}});
  if (options.observer) options.observer->Spawned(times, place->warm != nullptr);
  FinishStart(user_id, *member);
  Spawn([this, member = *member] { return Attend(member); });
  bool ended = false;
  {
    const std::scoped_lock lock(mutex);
    ended = (*member)->exit.has_value();
    stop_asked = shutting_down;
  }
  // The watch has left it to the start.
  if (ended) co_return co_await Bury(*member);
  if (stop_asked && BeginDrain(*member, StopReason::kShutdown, false))
    co_await Drain(*member, StopReason::kShutdown);
}

std::shared_ptr<Member> Fleet::State::NewMember(std::string worker_id) {
  auto member = std::make_shared<Member>(strand);
  member->token = base::Secret(base::HmacSha256Hex(options.token_key, worker_id));
  member->worker_id = std::move(worker_id);
  return member;
}

const WorkerLimits& Fleet::State::LimitsOf(const std::string& profile) const {
  const auto found = options.profiles.find(profile);
  return found == options.profiles.end() ? options.limits : found->second;
}

std::string Fleet::State::ProofFor(const std::string& worker_id, const std::string& user_id,
                                   const WorkerLimits& limits) const {
  const base::Secret terms(std::to_string(limits.memory_bytes) + " " + std::to_string(limits.cpu_cores) +
                           " " + controls.Terms().Reveal());
  return AssignmentProof(options.assignment_key, worker_id, user_id, terms);
}

asio::awaitable<base::Result<std::shared_ptr<Member>>> Fleet::State::LaunchWorker(
    std::string user_id, std::string profile, base::Clock::Steady deadline) {
  const auto member = NewMember(base::RandomHex(kWorkerIdBytes));
  member->files = FileStamps(options.sqlite_paths);
  member->launched_at = clock.Now();
  const WorkerLimits limits = LimitsOf(profile);
  member->limits = limits;
  member->sqlite_paths = options.sqlite_paths;
  member->profile = std::move(profile);
  base::Result<launch::LaunchedWorker> launched =
      base::Fail(base::ErrorCode::kInternal, "The launch failed.");
  try {
    launched = co_await launcher.Launch({.worker_id = member->worker_id,
                                         .user_id = user_id,
                                         .token_sha256 = base::Sha256Hex(member->token.Reveal()),
                                         .memory_limit_bytes = limits.memory_bytes,
                                         .cpu_limit = limits.cpu_cores,
                                         .sqlite_paths = options.sqlite_paths});
  } catch (const std::exception& error) {
    // Nothing is meant to throw there. If something does all the same, those who wait must still be answered.
    launched.error().detail = error.what();
  }
  const bool untold = !launched && (launched.error().code == base::ErrorCode::kUnavailable ||
                                    launched.error().code == base::ErrorCode::kDeadlineExceeded);
  if (untold) {
    const std::string handle = launcher.PossibleHandle(member->worker_id);
    if (!handle.empty()) Spawn([this, handle] { return RemoveLeftover(handle); });
  }
  bool stop_asked = false;
  {
    const std::scoped_lock lock(mutex);
    stop_asked = shutting_down;
    if (!launched) {
      // What a profile asks for may be beyond this machine: its users' own back-off sees to that.
      if (!stop_asked && member->profile.empty()) launches.Failed(clock.Now());
      co_return std::unexpected(std::move(launched.error()));
    }
    member->handle = launched->handle;
    member->times.create = launched->create_time;
    member->times.start = launched->start_time;
    member->control = controls.Connect(*launched, member->token);
    // So that the shutdown finds it.
    if (user_id.empty()) {
      warming = member;
    } else {
      users[user_id].member = member;
    }
  }
  Spawn([this, member] { return Watch(member); });

  const auto running = clock.Now();
  base::Result<void> ready = std::unexpected(ShuttingDown());
  const auto left = std::chrono::ceil<milliseconds>(deadline - running);
  if (!stop_asked && left.count() <= 0) {
    ready = base::Fail(base::ErrorCode::kDeadlineExceeded,
                       "Nothing is left of the start timeout after the launch.");
  } else if (!stop_asked) {
    auto first = co_await (member->control->AwaitReady(left) || member->interrupt.Wait());
    if (first.index() == 0) ready = std::move(std::get<0>(first));
  }
  {
    const std::scoped_lock lock(mutex);
    if (member->exit) ready = std::unexpected(EndedEarly(*member->exit));
    if (ready) {
      launches.Succeeded();
      ++spawned;
      member->times.ready = Since(running, clock);
      co_return member;
    }
    if (!shutting_down && member->profile.empty()) launches.Failed(clock.Now());
  }
  member->unwatch.emit(asio::cancellation_type::terminal);
  co_await Remove(member->handle, milliseconds(0));
  co_return std::unexpected(std::move(ready.error()));
}

asio::awaitable<base::Result<void>> Fleet::State::AssignWorker(std::shared_ptr<Member> member,
                                                               std::string user_id,
                                                               base::Clock::Steady deadline) {
  const auto begun = clock.Now();
  const auto left = std::chrono::ceil<milliseconds>(deadline - begun);
  if (left.count() <= 0) {
    co_return base::Fail(base::ErrorCode::kDeadlineExceeded,
                         "Nothing is left of the start timeout after the launch.");
  }
  {
    const std::scoped_lock lock(mutex);
    member->user_id = user_id;
  }
  Assignment assignment{user_id, ProofFor(member->worker_id, user_id, member->limits)};
  auto first = co_await (member->control->Assign(std::move(assignment), left) || member->interrupt.Wait());
  const std::scoped_lock lock(mutex);
  if (first.index() == 1) {
    co_return std::unexpected(member->exit ? EndedEarly(*member->exit) : ShuttingDown());
  }
  auto& states = std::get<0>(first);
  if (!states) co_return std::unexpected(std::move(states.error()));
  attachments = std::move(*states);
  member->channel = member->control->channel();
  member->last.last_lease_end = clock.Now();
  member->times.attach = Since(begun, clock);
  co_return base::Result<void>();
}

}  // namespace pondpilot::proxy::fleet

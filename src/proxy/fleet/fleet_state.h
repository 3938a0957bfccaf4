#pragma once

#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/strand.hpp>
#include <list>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "proxy/fleet/breaker.h"
#include "proxy/fleet/fleet.h"
#include "proxy/fleet/reap.h"
#include "proxy/fleet/shutting_down.h"
#include "proxy/fleet/timer.h"

namespace pondpilot::proxy::fleet {

// Heartbeats in a row that a worker may leave unanswered.
inline constexpr int kFailedBeats = 3;

// For log lines.
std::string Text(const base::Error& error);

using Strand = boost::asio::strand<boost::asio::any_io_executor>;

// An event that happens at most once. Only for use on the strand.
class OneTimeEvent {
 public:
  explicit OneTimeEvent(const Strand& strand) : timer_(strand, Timer::time_point::max()) {}
  void Happen();
  bool happened() const { return happened_; }
  // Returns when it has happened; at once when it already has.
  boost::asio::awaitable<void> Wait();
  // The same, but no longer than `timeout`. True when it has happened.
  boost::asio::awaitable<bool> WaitFor(std::chrono::milliseconds timeout);

 private:
  Timer timer_;
  bool happened_ = false;
};

// The fleet's own view of a worker. Leases point at the Worker part.
struct Member final : Worker {
  explicit Member(const Strand& strand) : interrupt(strand), beat(strand) {}

  std::shared_ptr<WorkerControl> control;
  std::vector<std::string> files;  // FileStamps of the databases it was launched with
  SpawnTimes times;
  std::string profile;  // empty: the usual limits
  WorkerLimits limits;  // as it was launched
  std::vector<std::string> sqlite_paths;
  base::Clock::Steady launched_at{};  // or adopted

  // Guarded by State::mutex.
  size_t leases = 0;
  WorkerSnapshot last;      // all but `leased`
  WorkerActivity activity;  // as it said last
  int failed_beats = 0;
  bool trouble_check_runs = false;
  std::string death_reason;
  std::optional<launch::WorkerExit> exit;

  // On the strand only.
  OneTimeEvent interrupt;                    // it has ended, or the fleet shuts down
  Timer beat;                                // until the next heartbeat
  boost::asio::cancellation_signal unwatch;  // ends the watch for its exit
};

enum class Phase { kAbsent, kStarting, kReady, kDraining };

struct Waiter {
  uint64_t id = 0;
  Fleet::AcquireCallback done;
  std::shared_ptr<Timer> deadline;
};

struct User {
  Phase phase = Phase::kAbsent;
  std::string profile;             // of the worker that is being started
  std::shared_ptr<Member> member;  // kReady, kDraining; in kStarting once it is launched
  std::list<Waiter> waiters;
  // After failed starts: how many in a row, and until when no other is tried.
  int failures = 0;
  base::Clock::Steady retry_at{};
  // Workers in a row that ended by themselves soon after their start.
  int early_deaths = 0;
};

// The right to one more worker: a slot that is counted, or a warm worker, which has one.
struct Place {
  std::shared_ptr<Member> warm;  // null: a slot
};

// Everything below `mutex` is guarded by it. It is never held over a co_await or while a callback runs.
struct Fleet::State {
  State(Fleet& owner, const boost::asio::any_io_executor& executor, FleetOptions fleet_options,
        launch::Launcher& fleet_launcher, WorkerControlFactory& fleet_controls,
        const base::Clock& fleet_clock);

  // start.cc, on the strand.
  boost::asio::awaitable<void> Start(std::string user_id, std::optional<Place> place);
  // A worker that answers and is nobody's yet: `user_id` is only whom it is meant for, empty when for nobody.
  boost::asio::awaitable<base::Result<std::shared_ptr<Member>>> LaunchWorker(std::string user_id,
                                                                             std::string profile,
                                                                             base::Clock::Steady deadline);
  boost::asio::awaitable<base::Result<void>> AssignWorker(std::shared_ptr<Member> member, std::string user_id,
                                                          base::Clock::Steady deadline);
  std::shared_ptr<Member> NewMember(std::string worker_id);
  std::string ProofFor(const std::string& worker_id, const std::string& user_id,
                       const WorkerLimits& limits) const;
  const WorkerLimits& LimitsOf(const std::string& profile) const;

  // places.cc.
  // With `mutex` held: a place for a worker of this profile that is free now, when nobody has waited for
  // longer.
  std::optional<Place> TakePlace(const std::string& profile);
  // The same, whoever waits.
  std::optional<Place> FreePlace(const std::string& profile);
  boost::asio::awaitable<base::Result<Place>> AwaitPlace(std::string user_id, std::string profile,
                                                         bool in_front);
  boost::asio::awaitable<base::Result<Place>> SeekPlace(std::string user_id, std::string profile,
                                                        uint64_t seeker);
  // With `mutex` held: stops, in the background, a worker that is in kDraining or has left the pool.
  void FreeSlot(std::shared_ptr<Member> member, bool is_warm);
  // With `mutex` held: the one that has been unused for the longest, besides these.
  std::shared_ptr<Member> IdlestBesides(const std::set<std::shared_ptr<Member>>& others) const;

  // warm_pool.cc, on the strand.
  boost::asio::awaitable<void> TendPool();
  boost::asio::awaitable<void> MakeWarm();
  boost::asio::awaitable<void> AttendWarm(std::shared_ptr<Member> member);
  // With the limits and files that one launched now would have.
  bool IsAsConfigured(const Member& member, const std::vector<std::string>& stamps) const;
  // With `mutex` held: one has left the pool unclaimed.
  void NotePoolLoss(const Member& member);
  boost::asio::awaitable<bool> IsFitForClaim(std::shared_ptr<Member> member);
  // True for whoever has taken it out of the pool.
  bool LeavePool(const std::shared_ptr<Member>& member);
  // Stops a worker that never became ready for a user, and frees its slot.
  boost::asio::awaitable<void> Discard(std::shared_ptr<Member> member, StopReason reason);

  // adoption.cc, on the strand.
  boost::asio::awaitable<void> Begin(std::vector<launch::FoundWorker> found);
  boost::asio::awaitable<void> AdoptEach(std::shared_ptr<std::vector<launch::FoundWorker>> found);
  boost::asio::awaitable<void> AdoptOne(launch::FoundWorker found);
  // The profile under which the worker was assigned to whom it says; nullopt when it proves nothing.
  std::optional<std::string> ProfileProven(const WorkerActivity& activity,
                                           const std::string& worker_id) const;

  // lifecycle.cc, on the strand.
  boost::asio::awaitable<void> Watch(std::shared_ptr<Member> member);
  boost::asio::awaitable<void> Attend(std::shared_ptr<Member> member);
  boost::asio::awaitable<bool> Refresh(std::shared_ptr<Member> member, std::chrono::milliseconds timeout);
  boost::asio::awaitable<void> CheckTrouble(std::shared_ptr<Member> member);
  boost::asio::awaitable<void> Drain(std::shared_ptr<Member> member, StopReason reason);
  boost::asio::awaitable<void> Remove(std::string handle, std::chrono::milliseconds grace);
  boost::asio::awaitable<void> RemoveLater(std::string handle);
  boost::asio::awaitable<void> RemoveLeftover(std::string handle);
  boost::asio::awaitable<void> Bury(std::shared_ptr<Member> member);
  boost::asio::awaitable<void> AwaitChange(std::chrono::milliseconds limit);
  boost::asio::awaitable<void> ShutDown();

  // transitions.cc, from any thread.
  // Runs `work`, a function that returns awaitable<void>, on the strand; the fleet lives at least as long.
  void Spawn(std::function<boost::asio::awaitable<void>()> work);
  uint64_t AddWaiter(User& user, const std::string& user_id, base::Clock::Steady deadline,
                     AcquireCallback done);
  // Takes the waiter out and answers it, if it still waits.
  void DismissWaiter(const std::string& user_id, uint64_t waiter_id, const base::Error& error);
  // Absent → Starting, or why not; with `mutex` held.
  base::Result<void> BeginStart(const std::string& user_id, User& user);
  void FinishStart(const std::string& user_id, std::shared_ptr<Member> member);
  // Gives the ready worker to all who wait for it.
  void GrantWaiters(const std::string& user_id, const std::shared_ptr<Member>& member);
  void FailStart(const std::string& user_id, base::Error reason, bool back_off);
  // With `mutex` held.
  WorkerView View(const Member& member, WorkerState state) const;
  // Ready → Draining for whoever gets true. `only_unused`: not while it has a lease.
  bool BeginDrain(const std::shared_ptr<Member>& member, StopReason reason, bool only_unused);
  // → Absent; starts anew when somebody has asked meanwhile.
  void BecomeAbsent(const std::shared_ptr<Member>& member, StopReason reason);
  void ReleaseSlot();
  // With `mutex` held: for the counts and the observer.
  void CountStop(StopReason reason);
  // Wakes all who wait in AwaitChange. From any thread.
  void AnnounceChange();
  bool IsCurrent(const std::shared_ptr<Member>& member, Phase phase) const;
  WorkerSnapshot Snapshot(const Member& member) const;
  void ForgetOldFailures();
  void Answer(std::list<Waiter> waiters, const base::Error& error);

  Fleet& fleet;
  const Strand strand;
  // Changes on the strand, with `mutex` held: to be read by whoever is on one or has the other.
  FleetOptions options;
  launch::Launcher& launcher;
  WorkerControlFactory& controls;
  const base::Clock& clock;

  mutable std::mutex mutex;
  std::unordered_map<std::string, User> users;
  std::vector<AttachmentState> attachments;
  // Workers that exist or are being made: at most options.max_workers, but for those that were adopted.
  size_t slots = 0;
  // Ready and nobody's, the oldest first.
  std::vector<std::shared_ptr<Member>> warm;
  int pool_losses = 0;  // in a row that lasted only a short time
  base::Clock::Steady pool_retry_at{};
  std::shared_ptr<Member> warming;  // launched for the pool and not ready yet
  // Who waits for a place, in the order of their coming.
  std::list<uint64_t> seekers;
  size_t freeing = 0;  // workers that are being stopped for them
  uint64_t next_seeker = 1;
  Breaker launches;
  size_t waiter_count = 0;
  uint64_t next_waiter_id = 1;
  uint64_t spawned = 0;
  uint64_t stopped = 0;
  size_t tasks = 0;      // coroutines that run
  size_t leftovers = 0;  // of them those that remove what a failed launch may have left
  bool shutting_down = false;

  // On the strand only: cancelled whenever a slot is released, a worker falls idle while somebody waits for
  // its place, or a task ends.
  Timer change;
};

}  // namespace pondpilot::proxy::fleet

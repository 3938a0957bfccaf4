#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "base/secret.h"
#include "proxy/fleet/observer.h"
#include "proxy/fleet/worker_control.h"
#include "proxy/fleet/worker_view.h"
#include "proxy/launch/launcher.h"

namespace pondpilot::proxy::fleet {

// What one worker may use.
struct WorkerLimits {
  uint64_t memory_bytes = 0;
  double cpu_cores = 0;

  bool operator==(const WorkerLimits&) const = default;
};

struct FleetOptions {
  std::chrono::milliseconds idle_timeout{std::chrono::minutes(5)};
  // For a worker with temporary tables, settings or prepared statements of a session.
  std::chrono::milliseconds session_timeout{std::chrono::minutes(30)};
  std::chrono::milliseconds start_timeout{std::chrono::seconds(60)};
  // How long a user may wait for another's worker to give way at the cap.
  std::chrono::milliseconds queue_timeout{std::chrono::seconds(10)};
  std::chrono::milliseconds stop_grace{std::chrono::seconds(5)};
  std::chrono::milliseconds heartbeat{std::chrono::seconds(5)};
  uint32_t max_workers = 100;
  // Workers to keep ready that are nobody's yet.
  uint32_t warm_workers = 0;
  size_t max_waiters = 1000;  // callers waiting for a worker, over all users
  // Leases and waiting callers of one user. A worker has a thread for each call and must have some left for
  // the proxy's own.
  size_t max_calls_per_user = 100;
  WorkerLimits limits;
  // Other limits, by the name that a token may ask for.
  std::map<std::string, WorkerLimits> profiles;
  std::vector<std::string> sqlite_paths;
  // Worker tokens and proofs of assignment are HMACs under these.
  base::Secret token_key;
  base::Secret assignment_key;
  FleetObserver* observer = nullptr;  // outlives the fleet; null: nobody wants to know
};

// A ready worker as the relay sees it. Shared by the fleet and the leases on it.
struct Worker {
  std::string worker_id;
  std::string user_id;
  std::string handle;
  base::Secret token;
  std::shared_ptr<::grpc::Channel> channel;
};

class Fleet;

// While it lives, its worker is in use and not reaped. Move-only; may outlive nothing but the Fleet.
class WorkerLease {
 public:
  WorkerLease() = default;
  WorkerLease(WorkerLease&& other) noexcept;
  WorkerLease& operator=(WorkerLease&& other) noexcept;
  ~WorkerLease();

  const Worker& worker() const { return *worker_; }
  explicit operator bool() const { return worker_ != nullptr; }
  // The worker did not answer as a living one does: have it looked at now instead of at the next heartbeat.
  void ReportTrouble();
  // Why the worker is gone, when it is known to be: a sentence for the user ("… ran out of memory …"). Empty
  // while it lives or nothing is known.
  std::string DeathReason() const;

 private:
  friend class Fleet;
  WorkerLease(std::shared_ptr<Fleet> fleet, std::shared_ptr<const Worker> worker);

  std::shared_ptr<Fleet> fleet_;
  std::shared_ptr<const Worker> worker_;
};

struct FleetCounts {
  uint64_t active = 0;  // a user's, starting or ready
  uint64_t warm = 0;    // ready, nobody's yet
  uint64_t queued = 0;  // users who wait at the cap
  uint64_t total_spawned = 0;
  uint64_t total_stopped = 0;
};

// Who has which worker: one per user, however many ask. Thread-safe; background work runs on the executor
// given.
class Fleet : public std::enable_shared_from_this<Fleet> {
 public:
  using AcquireCallback = std::move_only_function<void(base::Result<WorkerLease>)>;

  // Everything referred to must outlive the fleet.
  static std::shared_ptr<Fleet> Create(boost::asio::any_io_executor executor, FleetOptions options,
                                       launch::Launcher& launcher, WorkerControlFactory& controls,
                                       const base::Clock& clock);
  ~Fleet();

  // Takes over the workers of an earlier run that prove whose they are, with all that is in them, and stops
  // the others in the background. Once, before the first Acquire; from then on warm workers are kept ready.
  // Ends within seconds.
  boost::asio::awaitable<void> Begin(std::vector<launch::FoundWorker> found);

  // The user's worker. A ready one is given by `done` before Acquire returns; else `done` runs later, on the
  // fleet's executor, exactly once, at the latest at `deadline` (kDeadlineExceeded). At the cap, when within
  // queue_timeout no idle worker could be stopped for this user, and at the user's own bound of calls:
  // kResourceExhausted with retry_after. Start failures: kUnavailable.
  //
  // `profile` names the limits of the worker that is started if there is none; empty: the usual ones. One
  // that the options don't have: kPermissionDenied.
  //
  // Returns a ticket for Withdraw, 0 when there is nothing to wait for.
  uint64_t Acquire(const std::string& user_id, const std::string& profile, base::Clock::Steady deadline,
                   AcquireCallback done);

  // Does the user have this worker, ready or about to be looked at? An Acquire then starts none, most likely.
  bool HasWorker(const std::string& user_id, const std::string& worker_id) const;

  // The caller no longer wants the worker: a callback that hasn't run runs now, on this thread, with
  // kCancelled. The start goes on for the user's next call.
  void Withdraw(const std::string& user_id, uint64_t ticket);

  // Takes these from `changed`, for what happens from now on: times, numbers, limits, profiles, SQLite paths.
  // What has been started keeps its limits; more workers than a smaller cap are not stopped for it.
  // `along` runs at the same moment, for what workers are assigned.
  void Reconfigure(FleetOptions changed, std::function<void()> along);

  FleetCounts Counts() const;
  // All there are, in no order.
  std::vector<WorkerView> Workers() const;
  // Begins to stop a user's ready worker in good order; calls that are open in it get what SentenceFor says.
  // False when there is none of this id.
  bool StopWorker(const std::string& worker_id);
  // The last known state of every configured attachment, from the worker asked last; empty before the first.
  std::vector<AttachmentState> LastAttachmentStates() const;

  // No more workers from now on (Acquire: kUnavailable); stops all of them and returns when they are gone.
  boost::asio::awaitable<void> Shutdown();

 private:
  friend class WorkerLease;
  struct State;
  Fleet(boost::asio::any_io_executor executor, FleetOptions options, launch::Launcher& launcher,
        WorkerControlFactory& controls, const base::Clock& clock);

  std::unique_ptr<State> state_;
};

}  // namespace pondpilot::proxy::fleet

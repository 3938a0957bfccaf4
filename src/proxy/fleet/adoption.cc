// What an earlier run of the proxy has left: taken over where it proves whose it is, stopped where not.
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/experimental/parallel_group.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <utility>

#include "proxy/fleet/fleet_state.h"
#include "telemetry/log.h"

namespace pondpilot::proxy::fleet {
namespace {

namespace asio = boost::asio;
using std::chrono::milliseconds;
using std::chrono::seconds;
using telemetry::Level;

// For a busy worker to say whose it is. Users wait for the proxy meanwhile.
constexpr milliseconds kIdentityTimeout = seconds(3);
// Those that can't be reached cost their whole timeout, all at the same time.
constexpr size_t kAtOnce = 256;

}  // namespace

asio::awaitable<void> Fleet::State::Begin(std::vector<launch::FoundWorker> found) {
  const auto queue = std::make_shared<std::vector<launch::FoundWorker>>(std::move(found));
  using Task = decltype(asio::co_spawn(strand, AdoptEach(queue), asio::deferred));
  std::vector<Task> adopters;
  const size_t parallel = std::min(kAtOnce, queue->size());
  adopters.reserve(parallel);
  for (size_t i = 0; i < parallel; ++i) {
    adopters.push_back(asio::co_spawn(strand, AdoptEach(queue), asio::deferred));
  }
  if (!adopters.empty()) {
    co_await asio::experimental::make_parallel_group(std::move(adopters))
        .async_wait(asio::experimental::wait_for_all(), asio::use_awaitable);
  }
  Spawn([this] { return TendPool(); });
}

asio::awaitable<void> Fleet::State::AdoptEach(std::shared_ptr<std::vector<launch::FoundWorker>> found) {
  while (!found->empty()) {
    launch::FoundWorker next = std::move(found->back());
    found->pop_back();
    co_await AdoptOne(std::move(next));
  }
}

std::optional<std::string> Fleet::State::ProfileProven(const WorkerActivity& activity,
                                                       const std::string& worker_id) const {
  if (activity.user_id.empty()) return std::nullopt;
  const auto proves = [&](const std::string& profile) {
    return base::ConstantTimeEquals(activity.assignment,
                                    ProofFor(worker_id, activity.user_id, LimitsOf(profile)));
  };
  if (proves({})) return std::string();
  for (const auto& [name, limits] : options.profiles) {
    if (proves(name)) return name;
  }
  return std::nullopt;
}

asio::awaitable<void> Fleet::State::AdoptOne(launch::FoundWorker found) {
  const std::string handle = found.worker.handle;
  const auto member = NewMember(found.worker.worker_id);
  member->handle = handle;
  bool adopted = false;
  if (found.running) {
    member->control = controls.Connect(found.worker, member->token);
    const auto activity = co_await member->control->Status(kIdentityTimeout);
    const auto profile = activity ? ProfileProven(*activity, member->worker_id) : std::nullopt;
    const bool proven =
        profile && activity->healthy &&
        (found.user_digest.empty() || found.user_digest == launch::UserDigest(activity->user_id));
    if (proven) {
      const std::scoped_lock lock(mutex);
      User& user = users[activity->user_id];
      // A user has one worker; a second is one that was about to be replaced.
      if (user.phase == Phase::kAbsent && !shutting_down) {
        adopted = true;
        ++slots;
        member->user_id = activity->user_id;
        member->profile = *profile;
        member->launched_at = clock.Now();
        member->limits = LimitsOf(*profile);
        member->sqlite_paths = options.sqlite_paths;
        member->channel = member->control->channel();
        member->last.last_lease_end = clock.Now();
        attachments = activity->attachments;
        user.phase = Phase::kReady;
        user.member = member;
      }
    }
  }
  if (!adopted) {
    telemetry::Log(Level::kInfo, "Container left by an earlier run is removed", {{"container_id", handle}});
    Spawn([this, handle] { return Remove(handle, milliseconds(0)); });
    co_return;
  }
  if (options.observer) options.observer->Adopted();
  telemetry::Log(Level::kInfo, "Container adopted", {{"user_id", member->user_id}, {"container_id", handle}});
  Spawn([this, member] { return Watch(member); });
  Spawn([this, member] { return Attend(member); });
}

}  // namespace pondpilot::proxy::fleet

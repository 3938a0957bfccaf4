#include "worker/session/poll_store.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "base/secret.h"

namespace pondpilot::worker::session {
namespace {

using base::ErrorCode;
using base::Fail;
using base::Result;

// How soon a call that waits notices that its client has left.
constexpr std::chrono::milliseconds kGoneCheck{20};

std::unexpected<base::Error> Unknown() {
  return Fail(
      ErrorCode::kNotFound,
      "No statement runs under this name: its result was given out, it was cancelled, or nobody asked "
      "for " +
          std::to_string(PollStore::kLife.count()) + " s. Run it again.");
}

}  // namespace

PollStore::~PollStore() {
  std::unique_lock lock(mutex_);
  for (const auto& entry : entries_) entry->given_up.store(true);
  ended_.wait(lock, [this] {
    return std::ranges::all_of(entries_, [](const auto& entry) { return entry->outcome.has_value(); });
  });
}

Result<std::string> PollStore::Start(Run run) {
  auto entry = std::make_shared<Entry>();
  entry->name = base::RandomHex(16);
  entry->last_asked = clock_.Now();
  const std::lock_guard lock(mutex_);
  if (entries_.size() >= kMaxPolls) {
    return Fail(ErrorCode::kResourceExhausted,
                "This user has " + std::to_string(kMaxPolls) +
                    " statements under way that are polled for. Wait for one of them, or cancel it.");
  }
  const bool started = threads_.Run([this, entry, run = std::move(run)] {
    auto outcome = run([&entry] { return entry->given_up.load(); }, entry->progress);
    const std::lock_guard done(mutex_);
    entry->outcome = std::move(outcome);
    ended_.notify_all();
  });
  if (!started) {
    return Fail(ErrorCode::kResourceExhausted,
                "No thread is free for a statement that is polled for. Try again in a moment, or use "
                "GetFlightInfo.");
  }
  entries_.push_back(entry);
  return entry->name;
}

std::shared_ptr<PollStore::Entry> PollStore::Find(const std::string& name) {
  const auto found = std::ranges::find_if(entries_, [&](const auto& entry) { return entry->name == name; });
  return found == entries_.end() || (*found)->given_up.load() ? nullptr : *found;
}

Result<PollStore::Answer> PollStore::Await(const std::string& name, std::chrono::milliseconds limit,
                                           const CallWatch::Gone& gone) {
  std::shared_ptr<Entry> entry;
  Answer answer;
  {
    std::unique_lock lock(mutex_);
    entry = Find(name);
    if (entry == nullptr) return Unknown();
    if (entry->asked)
      return Fail(ErrorCode::kFailedPrecondition, "Another call waits for this statement already.");
    entry->asked = true;
    const auto until = clock_.Now() + limit;
    while (!entry->outcome && clock_.Now() < until && !gone() && !entry->given_up.load()) {
      ended_.wait_for(lock, kGoneCheck);
    }
    entry->asked = false;
    entry->last_asked = clock_.Now();
    if (!entry->outcome) {
      answer.progress = entry->progress.Get();
      return answer;
    }
    answer.outcome = std::move(entry->outcome);
    entries_.remove(entry);
  }
  return answer;
}

Result<void> PollStore::Cancel(const std::string& name) {
  const std::lock_guard lock(mutex_);
  const auto entry = Find(name);
  if (entry == nullptr) return Unknown();
  entry->given_up.store(true);
  return {};
}

// What was given up is kept until its thread has ended, which the bound counts.
void PollStore::Sweep() {
  std::vector<std::shared_ptr<Entry>>
      ended;  // destroyed outside the lock, with the results that nobody wanted
  const std::lock_guard lock(mutex_);
  const auto now = clock_.Now();
  std::erase_if(entries_, [&](const auto& entry) {
    if (!entry->asked && now - entry->last_asked >= kLife) entry->given_up.store(true);
    if (!entry->given_up.load() || !entry->outcome || entry->asked) return false;
    ended.push_back(entry);
    return true;
  });
}

size_t PollStore::size() const {
  const std::lock_guard lock(mutex_);
  return entries_.size();
}

}  // namespace pondpilot::worker::session

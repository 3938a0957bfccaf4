#include "jail/zygote.h"

#include <sched.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fcntl.h>
#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <exception>
#include <filesystem>
#include <iterator>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "base/unix_socket.h"
#include "jail/enter.h"
#include "jail/jailer/wire.h"
#include "jail/plan_message.h"
#include "jail/privileges.h"

namespace pondpilot::jail {
namespace {

constexpr int kNotJailed = 126;
constexpr std::chrono::milliseconds kThreadPatience(250);
constexpr std::string_view kThrown = "A worker's memory did not suffice to enter its jail.";
// What programs of this name are called in the kernel's lists (15 characters).
constexpr char kZygoteName[] = "pondpilot-zygot";

std::string Why(int error) { return std::generic_category().message(error); }

size_t Threads() {
  std::error_code error;
  const std::filesystem::directory_iterator tasks("/proc/self/task", error);
  return error ? 0 : static_cast<size_t>(std::distance(begin(tasks), end(tasks)));
}

// What the go-between says: the worker's process id, or why there is none.
struct Born {
  pid_t worker = -1;
  int error = 0;
};

// What the go-between has to say. It shares this memory.
Born born;

// A process is in namespaces of its own from its birth, or from its parent's asking for them, which is for
// all children to come. So a go-between asks, is the worker's parent for a moment and leaves it to the
// jailer, which takes in orphans. That one shares the memory of this process, which stands still until it has
// ended: a copy would take as long as the worker's own. Returns 0 as `worker` in the worker.
Born Fork(int namespaces) {
  born = {};
  const pid_t between = ::vfork();  // NOLINT(bugprone-unsafe-functions): nothing but the next lines runs
  if (between == 0) {
    if (namespaces != 0 && ::unshare(namespaces) != 0) {
      born.error = errno;
    } else {
      born.worker = ::fork();
      if (born.worker == 0) return born;
      if (born.worker < 0) born.error = errno;
    }
    ::_exit(0);
  }
  if (between < 0) return {.error = errno};
  while (::waitpid(between, nullptr, 0) < 0 && errno == EINTR) {
  }
  // Of one that was killed nothing is known but that its child, if it has one, waits in vain and ends.
  if (born.worker <= 0 && born.error == 0) return {.error = ECHILD};
  return born;
}

// For `ps`: over what the kernel shows as this process's arguments, as far as there is room.
void ShowAs(char** arguments, const std::string& title) {
  char* const begin = arguments[0];
  char** last = arguments;
  while (*(last + 1) != nullptr) ++last;
  const auto room = static_cast<size_t>(*last + std::strlen(*last) - begin);
  std::memset(begin, 0, room);
  std::copy_n(title.data(), std::min(room, title.size()), begin);
}

// One that was joined is still listed until the kernel is done with it.
size_t ThreadsThatStay() {
  const auto end = std::chrono::steady_clock::now() + kThreadPatience;
  while (true) {
    const size_t threads = Threads();
    if (threads == 1 || std::chrono::steady_clock::now() >= end) return threads;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

std::string NameOf(const std::string& program) { return program.substr(program.rfind('/') + 1); }

// Makes this process a worker in its jail. `line` gets another number. Empty: done; else why not.
std::string EnterAsWorker(int& line, char** arguments) {
  auto received = Receive(line);
  // The jailer has gone, or given this one up.
  if (!received) ::_exit(kNotJailed);
  auto plan = PlanFrom(received->message);
  if (!plan) return "The jailer is of another build than the worker's program: use one image.";
  plan->socket = received->descriptor.Release();
  if (std::string failed = WhatFailed(*plan, EnterJail(*plan, line)); !failed.empty()) return failed;
  // NOLINTBEGIN(concurrency-mt-unsafe): one thread
  (void)::clearenv();
  for (const std::string& variable : plan->environment) {
    const size_t equals = variable.find('=');
    if (equals == std::string::npos) continue;
    (void)::setenv(variable.substr(0, equals).c_str(), variable.c_str() + equals + 1, 1);
  }
  // NOLINTEND(concurrency-mt-unsafe)
  const std::string name = NameOf(plan->program);
  (void)::prctl(PR_SET_NAME, name.c_str());
  ShowAs(arguments, plan->title.empty() ? name : name + " " + plan->title);
  return {};
}

// Returns when this process is a worker in its jail, and the jailer knows.
void BecomeWorker(base::Descriptor descriptor, char** arguments) {
  int line = descriptor.Release();
  try {
    const std::string failed = EnterAsWorker(line, arguments);
    const std::string_view said = failed.empty() ? kInJail : std::string_view(failed);
    const ssize_t sent = ::write(line, said.data(), said.size());
    if (failed.empty() && sent == static_cast<ssize_t>(said.size())) {
      (void)::close(line);
      return;
    }
  } catch (const std::exception&) {
    // Nobody above may take this process for the zygote, whose socket it may still have.
    (void)!::write(line, kThrown.data(), kThrown.size());
  }
  ::_exit(kNotJailed);
}

}  // namespace

bool BeginZygote() {
  (void)::prctl(PR_SET_NAME, kZygoteName);
  const std::string failed = KeepOnlyJailingCapabilities();
  if (!failed.empty()) RefuseToFork("it has rights that it can't give up: " + failed);
  return failed.empty();
}

void RefuseToFork(const std::string& reason) {
  std::string line = reason;
  std::ranges::replace(line, '\n', ' ');
  (void)Send(kZygoteChannel, Message{"refused", {}}.Add("reason", line));
}

bool ForkWorkers(char** arguments) {
  if (const size_t threads = ThreadsThatStay(); threads != 1) {
    RefuseToFork("it has " + std::to_string(threads) + " threads, of which a child would have one");
    return false;
  }
  if (!Send(kZygoteChannel, Message{"ready", {}})) return false;
  while (true) {
    auto received = Receive(kZygoteChannel);
    if (!received && received.error().empty()) return false;
    const auto namespaces = received ? received->message.Number("namespaces") : std::nullopt;
    if (!namespaces || received->message.verb != "fork" || !received->descriptor.valid()) {
      (void)Send(kZygoteChannel, Message{"error", {}}.Add("message", "That is no request to fork."));
      continue;
    }
    const Born child = Fork(static_cast<int>(*namespaces));
    if (child.worker == 0) {
      BecomeWorker(std::move(received->descriptor), arguments);
      return true;
    }
    received->descriptor.Close();
    Message answer{child.worker > 0 ? "forked" : "error", {}};
    if (child.worker > 0) {
      answer.Add("pid", static_cast<uint64_t>(child.worker));
    } else {
      answer.Add("message", Why(child.error));
    }
    if (!Send(kZygoteChannel, answer)) return false;
  }
}

}  // namespace pondpilot::jail

#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <expected>
#include <optional>
#include <string>

#include "base/unix_socket.h"

namespace pondpilot::jail {

// The jailer's end of the conversation with the zygote (jail/zygote.h), one packet a message:
//
//   zygote → jailer, by itself: ready; or refused reason, after which it ends
//   jailer → zygote: fork namespaces + a socket, over which the child is told what to become (Plan)
//   answer: forked pid, a child of the jailer's; or error message
//
// A zygote that has ended is started again, later each time it ends soon. Single-threaded.
class Zygote {
 public:
  using Clock = std::chrono::steady_clock;

  // `program` is the worker's.
  explicit Zygote(std::string program) : program_(std::move(program)) {}
  // It ends; the workers that it has forked don't.
  ~Zygote();
  Zygote(const Zygote&) = delete;
  Zygote& operator=(const Zygote&) = delete;

  // Starts the zygote and waits until it can fork, or can't.
  void Start();
  bool ready() const { return state_ == State::kReady; }
  // -1: there is none.
  pid_t process() const { return process_; }
  // Why it is not ready: a part of a sentence. Empty when it is, or is being started. Not empty after Tend()
  // has returned true, unless it is ready.
  const std::string& reason() const { return reason_; }

  // Forks a process in new `namespaces` (flags for unshare). It reads its plan from `line`, which stays the
  // caller's, and ends when the other end is closed. The error says why there is none; ready() whether it is
  // worth while to ask again.
  std::expected<pid_t, std::string> Fork(uint64_t namespaces, int line);

  // Ends it, for what a child of it has done, and starts it again later.
  void GiveUp(const std::string& why);
  // To be called when process() is known to have ended.
  void HasEnded();

  // Readable when there is something to tend; -1: nothing.
  int watched() const { return channel_.get(); }
  // When to tend it at the latest.
  std::optional<Clock::time_point> due() const;
  // Takes note of what it says and of its end; starts it again when it is time to. True when ready() has
  // changed since the last call.
  bool Tend();

 private:
  enum class State { kDown, kStarting, kReady };

  void Spawn();
  void Hear();
  // `ends`: it is about to end by itself, and how belongs to the reason.
  void Lose(const std::string& why, bool ends = false);

  const std::string program_;
  State state_ = State::kDown;
  bool told_ready_ = false;
  std::string reason_;
  base::Descriptor channel_;
  pid_t process_ = -1;
  Clock::time_point started_;
  Clock::time_point next_;
  std::chrono::seconds pause_{0};
};

}  // namespace pondpilot::jail

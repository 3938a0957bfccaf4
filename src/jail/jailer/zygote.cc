#include "jail/jailer/zygote.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <limits>
#include <system_error>

#include "jail/jailer/children.h"
#include "jail/jailer/wire.h"
#include "jail/zygote.h"

namespace pondpilot::jail {
namespace {

using std::chrono::seconds;

// Opening DuckDB and its scanners takes a tenth of a second, and some seconds from a cold disk.
constexpr seconds kStartPatience(10);
constexpr seconds kForkPatience(2);
// The kernel closes a process's sockets before it tells how the process has ended.
constexpr std::chrono::milliseconds kEndPatience(500);
constexpr char kEnded[] = "it has ended";
constexpr seconds kShortestPause(1);
constexpr seconds kLongestPause(60);
// One that has lived so long has not failed at its start.
constexpr seconds kLivedLong(60);

// Room in the arguments for the names of workers (ForkWorkers), which the kernel shows from there.
constexpr size_t kTitleRoom = 96;

bool AwaitMessage(int channel, Zygote::Clock::time_point end) {
  while (true) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(end - Zygote::Clock::now());
    pollfd wait{channel, POLLIN, 0};
    const int got = ::poll(&wait, 1, static_cast<int>(std::max<int64_t>(left.count(), 0)));
    if (got >= 0 || errno != EINTR) return got == 1;
  }
}

// Is it a child of this process beside the zygote? Whatever it is will be moved and signalled as a worker.
bool IsOther(uint64_t child, pid_t zygote) {
  if (child < 2 || child > std::numeric_limits<pid_t>::max() || static_cast<pid_t>(child) == zygote)
    return false;
  siginfo_t info{};
  return ::waitid(P_PID, static_cast<id_t>(child), &info, WEXITED | WNOHANG | WNOWAIT) == 0;
}

// In the child that becomes the zygote.
[[noreturn]] void RunZygote(const std::string& program, int channel) {
  const int null = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  // Through a number that isn't the wanted one: dup2 onto itself would leave close-on-exec on it.
  const int above = ::fcntl(channel, F_DUPFD_CLOEXEC, kZygoteChannel + 1);
  if (null < 0 || above < 0 || ::dup2(null, 0) < 0 || ::dup2(above, kZygoteChannel) < 0 ||
      ::close_range(kZygoteChannel + 1, ~0U, 0) != 0) {
    ::_exit(errno);
  }
  std::string name = program;
  std::string argument(kZygoteArgument);
  std::string room(kTitleRoom, ' ');
  const std::array<char*, 4> arguments{name.data(), argument.data(), room.data(), nullptr};
  // What a worker's environment begins with; the rest is each worker's own.
  std::string home = "HOME=/nonexistent";
  std::string language = "LANG=C.UTF-8";
  const std::array<char*, 3> environment{home.data(), language.data(), nullptr};
  (void)::execve(program.c_str(), arguments.data(), environment.data());
  const std::string failed = "it can't be run: " + std::generic_category().message(errno);
  (void)Send(kZygoteChannel, Message{"refused", {}}.Add("reason", failed));
  ::_exit(errno);
}

}  // namespace

Zygote::~Zygote() {
  if (process_ < 0) return;
  // It would end by itself without its channel; one that hangs would not.
  (void)KillChild(process_);
}

void Zygote::Spawn() {
  std::array<int, 2> ends{};
  started_ = Clock::now();
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) != 0) {
    Lose("socketpair: " + std::generic_category().message(errno));
    return;
  }
  base::Descriptor own(ends[0]);
  const base::Descriptor theirs(ends[1]);
  const pid_t child = ::fork();
  if (child == 0) RunZygote(program_, theirs.get());
  if (child < 0) {
    Lose("fork: " + std::generic_category().message(errno));
    return;
  }
  process_ = child;
  channel_ = std::move(own);
  state_ = State::kStarting;
  reason_.clear();
}

void Zygote::Start() {
  if (state_ == State::kDown) Spawn();
  const auto end = started_ + kStartPatience;
  if (state_ != State::kStarting) return;
  if (AwaitMessage(channel_.get(), end)) {
    Hear();
  } else {
    Lose("it did not get ready in time");
  }
  told_ready_ = ready();
}

// What it says by itself, or its end.
void Zygote::Hear() {
  const auto received = Receive(channel_.get());
  if (received && received->message.verb == "ready" && state_ == State::kStarting) {
    state_ = State::kReady;
    return;
  }
  if (received && received->message.verb == "refused") {
    const std::string* reason = received->message.Find("reason");
    Lose(reason != nullptr ? *reason : "it gave no reason");
    return;
  }
  if (received || !received.error().empty()) {
    Lose("it said what nobody understands");
  } else {
    Lose(kEnded, true);
  }
}

void Zygote::Lose(const std::string& why, bool ends) {
  channel_.Close();
  reason_ = why;
  if (process_ > 0) {
    // How it has ended by itself, if it has.
    const int status = AwaitStatus(process_, ends ? kEndPatience : seconds(0));
    if (status >= 128) reason_ += " (signal " + std::to_string(status - 128) + ")";
    if (status >= 0 && status < 128) reason_ += " (exit code " + std::to_string(status) + ")";
    if (status < 0) (void)KillChild(process_);
    process_ = -1;
  }
  const bool lived_long = state_ == State::kReady && Clock::now() - started_ > kLivedLong;
  pause_ = lived_long ? kShortestPause : std::clamp(pause_ * 2, kShortestPause, kLongestPause);
  next_ = Clock::now() + pause_;
  state_ = State::kDown;
}

std::expected<pid_t, std::string> Zygote::Fork(uint64_t namespaces, int line) {
  if (!ready()) return std::unexpected("the zygote is not ready");
  if (!Send(channel_.get(), Message{"fork", {}}.Add("namespaces", namespaces), line)) {
    Lose(kEnded, true);
    return std::unexpected(reason_);
  }
  if (!AwaitMessage(channel_.get(), Clock::now() + kForkPatience)) {
    Lose("it did not answer in time");
    return std::unexpected(reason_);
  }
  const auto received = Receive(channel_.get());
  if (received && received->message.verb == "forked") {
    const auto child = received->message.Number("pid");
    if (child && IsOther(*child, process_)) return static_cast<pid_t>(*child);
    Lose("it has answered with what is no child of the jailer's");
    return std::unexpected(reason_);
  }
  const std::string* message = received ? received->message.Find("message") : nullptr;
  if (message != nullptr) return std::unexpected(*message);
  Lose(kEnded, true);
  return std::unexpected(reason_);
}

void Zygote::GiveUp(const std::string& why) {
  if (state_ != State::kDown) Lose(why);
}

void Zygote::HasEnded() {
  // It may have said why.
  while (process_ > 0 && AwaitMessage(channel_.get(), Clock::now())) Hear();
  if (process_ > 0) Lose(kEnded, true);
}

std::optional<Zygote::Clock::time_point> Zygote::due() const {
  if (ready() != told_ready_) return started_;  // long over: there is something to tell
  if (state_ == State::kReady) return std::nullopt;
  return state_ == State::kStarting ? started_ + kStartPatience : next_;
}

bool Zygote::Tend() {
  if (ready() != told_ready_) {
    // It has been lost between two calls. The reason is told before there is a next one, which has none.
  } else if (state_ == State::kDown) {
    if (Clock::now() >= next_) Spawn();
  } else if (AwaitMessage(channel_.get(), Clock::now())) {
    Hear();
  } else if (state_ == State::kStarting && Clock::now() >= started_ + kStartPatience) {
    Lose("it did not get ready in time");
  }
  if (ready() == told_ready_) return false;
  told_ready_ = ready();
  return true;
}

}  // namespace pondpilot::jail

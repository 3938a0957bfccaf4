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
#include <system_error>

#include "jail/jailer/wire.h"
#include "jail/zygote.h"

namespace pondpilot::jail {
namespace {

using std::chrono::seconds;

// Opening DuckDB and its scanners takes a tenth of a second, and some seconds from a cold disk.
constexpr seconds kStartPatience(10);
constexpr seconds kForkPatience(2);
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
  (void)::kill(process_, SIGKILL);
  (void)::waitpid(process_, nullptr, 0);
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
  Lose(received || !received.error().empty() ? "it said what nobody understands" : "it has ended");
}

void Zygote::Lose(const std::string& why) {
  channel_.Close();
  reason_ = why;
  if (process_ > 0) {
    int status = 0;
    // How it has ended by itself, if it has.
    const bool ended = ::waitpid(process_, &status, WNOHANG) == process_;
    if (ended && WIFEXITED(status)) reason_ += " (exit code " + std::to_string(WEXITSTATUS(status)) + ")";
    if (ended && WIFSIGNALED(status)) reason_ += " (signal " + std::to_string(WTERMSIG(status)) + ")";
    if (!ended) {
      (void)::kill(process_, SIGKILL);
      (void)::waitpid(process_, nullptr, 0);
    }
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
    Lose("it has ended");
    return std::unexpected(reason_);
  }
  if (!AwaitMessage(channel_.get(), Clock::now() + kForkPatience)) {
    Lose("it did not answer in time");
    return std::unexpected(reason_);
  }
  const auto received = Receive(channel_.get());
  const auto child = received ? received->message.Number("pid") : std::nullopt;
  if (child && received->message.verb == "forked") return static_cast<pid_t>(*child);
  const std::string* message = received ? received->message.Find("message") : nullptr;
  if (message != nullptr) return std::unexpected(*message);
  Lose("it has ended");
  return std::unexpected(reason_);
}

std::optional<Zygote::Clock::time_point> Zygote::due() const {
  if (state_ == State::kReady) return std::nullopt;
  return state_ == State::kStarting ? started_ + kStartPatience : next_;
}

bool Zygote::Tend() {
  if (state_ == State::kDown) {
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

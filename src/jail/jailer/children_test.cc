#include "jail/jailer/children.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <utility>

#include "base/unix_socket.h"

namespace pondpilot::jail {
namespace {

using base::Descriptor;

pid_t ForkOneThatWaits() {
  const pid_t child = ::fork();
  while (child == 0) ::pause();
  return child;
}

std::pair<Descriptor, Descriptor> Pipe() {
  std::array<int, 2> ends{};
  EXPECT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
  return {Descriptor(ends[0]), Descriptor(ends[1])};
}

TEST(ChildrenTest, TheStatusOfAnEndIsTakenOnce) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(7);
  siginfo_t info{};
  ASSERT_EQ(::waitid(P_PID, static_cast<id_t>(child), &info, WEXITED | WNOWAIT), 0);
  EXPECT_EQ(EndedChild(), child);
  EXPECT_EQ(TakeStatus(child), 7);
  EXPECT_EQ(TakeStatus(child), -1);
  EXPECT_EQ(EndedChild(), 0);
}

TEST(ChildrenTest, OneThatRunsIsEnded) {
  const pid_t child = ForkOneThatWaits();
  EXPECT_EQ(TakeStatus(child), -1);
  EXPECT_TRUE(KillChild(child));
  EXPECT_EQ(::kill(child, 0), -1) << "nothing is left of it";
  const auto before = std::chrono::steady_clock::now();
  EXPECT_FALSE(KillChild(child, std::chrono::hours(1))) << "there is none";
  EXPECT_LT(std::chrono::steady_clock::now(), before + std::chrono::minutes(1)) << "nothing to wait for";
}

// Whoever traces a process learns of its end first, and its parent only afterwards: to the parent it is one
// that SIGKILL does not end.
TEST(ChildrenTest, OneThatDoesNotEndIsNotWaitedForForever) {
  auto [ready, says_ready] = Pipe();
  auto [goes_on, goes] = Pipe();
  const pid_t child = ::fork();
  if (child == 0) {
    // Where only ancestors may trace.
    (void)::prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY);
    (void)!::write(says_ready.get(), "", 1);
    while (true) ::pause();
  }
  char byte = 0;
  ASSERT_EQ(::read(ready.get(), &byte, 1), 1);
  const pid_t tracer = ::fork();
  if (tracer == 0) {
    const long traced = ::ptrace(PTRACE_SEIZE, child, nullptr, nullptr);
    byte = static_cast<char>(traced == 0 ? 0 : errno);
    goes.Close();
    (void)!::write(says_ready.get(), &byte, 1);
    (void)!::read(goes_on.get(), &byte, 1);
    ::_exit(0);
  }
  ASSERT_EQ(::read(ready.get(), &byte, 1), 1);
  if (byte != 0) {
    EXPECT_TRUE(KillChild(tracer) && KillChild(child));
    GTEST_SKIP() << "no process may trace another here: " << std::strerror(byte);  // NOLINT: one thread
  }
  EXPECT_FALSE(KillChild(child, std::chrono::milliseconds(50)));
  goes.Close();
  siginfo_t info{};
  ASSERT_EQ(::waitid(P_PID, static_cast<id_t>(tracer), &info, WEXITED), 0);
  ASSERT_EQ(::waitid(P_PID, static_cast<id_t>(child), &info, WEXITED | WNOWAIT), 0);
  EXPECT_EQ(EndedChild(), child) << "it is found later";
  EXPECT_EQ(TakeStatus(child), 128 + SIGKILL);
}

}  // namespace
}  // namespace pondpilot::jail

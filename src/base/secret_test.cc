#include "base/secret.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <string>
#include <type_traits>

#include "base/unix_socket.h"

namespace pondpilot::base {
namespace {

static_assert(!std::is_convertible_v<Secret, std::string>, "a secret must not turn into text by accident");

TEST(SecretTest, CopiesAndMovesKeepTheText) {
  Secret a("a password that is longer than the small buffer");
  Secret b = a;
  EXPECT_EQ(b.Reveal(), a.Reveal());
  Secret c = std::move(a);
  EXPECT_EQ(c.Reveal(), b.Reveal());
  EXPECT_TRUE(a.empty());  // NOLINT(bugprone-use-after-move): that it is empty is the point.
  b = Secret("x");
  EXPECT_EQ(b.Reveal(), "x");
}

TEST(SecretTest, ConstantTimeEqualsComparesLengthAndBytes) {
  EXPECT_TRUE(ConstantTimeEquals("", ""));
  EXPECT_TRUE(ConstantTimeEquals("abc", "abc"));
  EXPECT_FALSE(ConstantTimeEquals("abc", "abd"));
  EXPECT_FALSE(ConstantTimeEquals("abc", "abcd"));
}

// Vectors: FIPS 180-2 "abc"; RFC 4231 test case 2.
TEST(SecretTest, DigestsMatchPublishedVectors) {
  EXPECT_EQ(Sha256Hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(HmacSha256Hex(Secret("Jefe"), "what do ya want for nothing?"),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
}

TEST(SecretTest, RandomHexHasTheAskedLengthAndDiffers) {
  EXPECT_EQ(RandomHex(16).size(), 32u);
  EXPECT_NE(RandomHex(16), RandomHex(16));
}

// The first process of a new namespace: its process id is 1. -1: not allowed here.
pid_t ForkAsFirst(unsigned long more) {
  return static_cast<pid_t>(
      ::syscall(SYS_clone, CLONE_NEWPID | more | SIGCHLD, nullptr, nullptr, nullptr, nullptr));
}

// OpenSSL takes a process of the same id for the one that it has seeded. So the parent has the id 1, and two
// children, each the first of a namespace of its own.
std::string RandomOfTwoChildren(bool reseed) {
  std::array<int, 2> ends{};
  EXPECT_EQ(::pipe(ends.data()), 0);
  const Descriptor hears(ends[0]);
  Descriptor says(ends[1]);
  pid_t parent = ForkAsFirst(0);
  if (parent < 0) parent = ForkAsFirst(CLONE_NEWUSER);
  if (parent == 0) {
    (void)RandomHex(16);
    for (int i = 0; i < 2; ++i) {
      const pid_t child = ForkAsFirst(0);
      if (child < 0) ::_exit(1);
      if (child == 0) {
        if (reseed) ReseedRandom();
        const std::string said = RandomHex(16);
        ::_exit(::write(says.get(), said.data(), said.size()) == 32 ? 0 : 1);
      }
      int status = -1;
      if (::waitpid(child, &status, 0) != child || status != 0) ::_exit(1);
    }
    ::_exit(0);
  }
  says.Close();
  if (parent < 0) return std::strerror(errno);  // NOLINT(concurrency-mt-unsafe): one thread
  std::string text(65, ' ');
  size_t got = 0;
  for (ssize_t part = 0; (part = ::read(hears.get(), text.data() + got, text.size() - got)) > 0;)
    got += static_cast<size_t>(part);
  text.resize(got);
  int status = -1;
  EXPECT_EQ(::waitpid(parent, &status, 0), parent);
  EXPECT_EQ(status, 0);
  return text;
}

TEST(SecretTest, ForkedChildrenOfOneProcessIdHaveRandomBytesOfTheirOwn) {
  const std::string inherited = RandomOfTwoChildren(false);
  if (inherited.size() != 64) GTEST_SKIP() << "no process id namespaces here: " << inherited;
  ASSERT_EQ(inherited.substr(0, 32), inherited.substr(32)) << "they need no seed: ReseedRandom can go";
  const std::string own = RandomOfTwoChildren(true);
  ASSERT_EQ(own.size(), 64U);
  EXPECT_NE(own.substr(0, 32), own.substr(32));
  EXPECT_NE(own.substr(0, 32), inherited.substr(0, 32));
}

}  // namespace
}  // namespace pondpilot::base

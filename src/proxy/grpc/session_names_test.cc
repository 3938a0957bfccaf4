#include "proxy/grpc/session_names.h"

#include <gtest/gtest.h>

#include <set>

namespace pondpilot::proxy::grpc {
namespace {

class SessionNamesTest : public testing::Test {
 protected:
  // "name=value" of a set-cookie.
  static std::string Kept(const SessionNames::Named& named) {
    return named.cookie.substr(0, named.cookie.find(';'));
  }
  SessionNames::Named Of(const std::string& cookie) { return Of(cookie, peer_); }
  SessionNames::Named Of(const std::string& cookie, const std::string& peer,
                         const std::string& user = "alice") {
    MetadataView metadata;
    if (!cookie.empty()) metadata.emplace("cookie", cookie);
    return names_.Of(metadata, peer, user);
  }

  SessionNames names_{base::Secret("a key")};
  // Of each test its own: what a thread has offered to a connection it remembers.
  const std::string peer_ =
      std::string("ipv4:10.0.0.1:") + testing::UnitTest::GetInstance()->current_test_info()->name();
};

TEST_F(SessionNamesTest, TheCookieNamesTheSessionOfTheConnectionThatItWasGivenOn) {
  const auto first = Of("");
  EXPECT_EQ(first.name.size(), 32u);
  EXPECT_TRUE(first.cookie.ends_with("; Path=/; HttpOnly")) << first.cookie;
  const auto kept = Of(Kept(first));
  EXPECT_EQ(kept.name, first.name);
  EXPECT_EQ(kept.cookie, "") << "it has it";
  EXPECT_EQ(Of(Kept(first), "ipv4:10.0.0.1:4712").name, first.name) << "another connection";
}

TEST_F(SessionNamesTest, AnotherStartOfTheProxyKnowsIt) {
  const auto first = Of("");
  SessionNames again{base::Secret("a key")};
  SessionNames other{base::Secret("another key")};
  MetadataView metadata;
  const std::string cookie = Kept(first);
  metadata.emplace("cookie", cookie);
  EXPECT_EQ(again.Of(metadata, "ipv4:10.0.0.9:1", "alice").name, first.name);
  EXPECT_NE(other.Of(metadata, "ipv4:10.0.0.9:1", "alice").name, first.name);
}

TEST_F(SessionNamesTest, AnotherUsersCountsAsNone) {
  const auto alice = Of("");
  const auto bob = Of(Kept(alice), "ipv4:10.0.0.2:1", "bob");
  EXPECT_NE(bob.name, alice.name);
  EXPECT_NE(bob.cookie, "") << "bob gets one of his own";
  EXPECT_NE(Kept(bob), Kept(alice));
}

TEST_F(SessionNamesTest, WhatIsMadeUpOrDamagedCountsAsNone) {
  const std::string good = Kept(Of(""));
  const std::string own = Of("", "ipv4:10.0.0.3:1").name;
  const size_t value = good.find('=') + 1;
  std::string other_name = good;
  other_name[value] = other_name[value] == '0' ? '1' : '0';
  std::string other_signature = good;
  other_signature.back() = other_signature.back() == '0' ? '1' : '0';
  for (const std::string& cookie :
       {other_name, other_signature, good + "0", good.substr(0, good.size() - 1), good.substr(0, value),
        std::string("pondpilot_session"), std::string("x") + good, good.substr(value),
        std::string(";;=;\"\""), std::string(100'000, 'a'), good.substr(0, value) + "\""}) {
    EXPECT_EQ(Of(cookie, "ipv4:10.0.0.3:1").name, own) << cookie.substr(0, 100);
  }
}

TEST_F(SessionNamesTest, IsFoundAmongOthersAndInQuotes) {
  const auto first = Of("");
  const std::string good = Kept(first);
  const size_t value = good.find('=') + 1;
  const std::string quoted = good.substr(0, value) + "\"" + good.substr(value) + "\"";
  EXPECT_EQ(Of("a=b; " + good + ";c=d", "ipv4:1.1.1.1:1").name, first.name);
  EXPECT_EQ(Of("lb=\"x\";" + quoted, "ipv4:1.1.1.1:1").name, first.name);
}

TEST_F(SessionNamesTest, AClientThatKeepsNoneIsNotGivenItForEver) {
  std::set<std::string> names;
  int given = 0;
  for (int i = 0; i < 100; ++i) {
    const auto named = Of("", "ipv4:10.0.0.4:1");
    names.insert(named.name);
    given += named.cookie.empty() ? 0 : 1;
  }
  EXPECT_EQ(names.size(), 1u);
  EXPECT_EQ(given, SessionNames::kOffers);
}

TEST_F(SessionNamesTest, AnAddressThatComesAgainIsNoSessionThatHasMoved) {
  const auto first = Of("");
  ASSERT_EQ(Of(Kept(first), "ipv4:10.0.0.1:5000").name, first.name);
  // The next client whose system gives it the same port.
  const auto second = Of("");
  EXPECT_NE(second.name, first.name);
  EXPECT_EQ(Of("").name, second.name);
  EXPECT_EQ(Of(Kept(first)).name, first.name) << "the cookie is still worth its session";
}

}  // namespace
}  // namespace pondpilot::proxy::grpc

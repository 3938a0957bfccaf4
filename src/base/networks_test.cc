#include "base/networks.h"

#include <gtest/gtest.h>

namespace pondpilot::base {
namespace {

bool In(const char* network, const char* address) {
  return Network::Parse(network).value().Contains(boost::asio::ip::make_address(address));
}

TEST(NetworkTest, HoldsItsAddresses) {
  EXPECT_TRUE(In("192.0.2.0/24", "192.0.2.255"));
  EXPECT_TRUE(In("192.0.2.77/24", "192.0.2.1"));
  EXPECT_FALSE(In("192.0.2.0/24", "192.0.3.1"));
  EXPECT_TRUE(In("192.0.2.1", "192.0.2.1"));
  EXPECT_FALSE(In("192.0.2.1", "192.0.2.2"));
  EXPECT_TRUE(In("0.0.0.0/0", "203.0.113.9"));
  EXPECT_TRUE(In("2001:db8::/32", "2001:db8:1::7"));
  EXPECT_FALSE(In("2001:db8::/32", "2001:db9::1"));
  EXPECT_FALSE(In("::/0", "192.0.2.1"));
  for (const char* wrong :
       {"", "x", "192.0.2.0/33", "192.0.2/24", "192.0.2.0/", "2001:db8::/129", "/8", "10.0.0.0/8/8"}) {
    EXPECT_FALSE(Network::Parse(wrong).has_value()) << wrong;
  }
}

TEST(TrustedProxiesTest, TheClientBehindThem) {
  const TrustedProxies trusted({"10.0.0.0/8", "2001:db8::1"});
  EXPECT_EQ(trusted.ClientOf("10.0.0.1", "203.0.113.9"), "203.0.113.9");
  EXPECT_EQ(trusted.ClientOf("::ffff:10.0.0.1", "203.0.113.9"), "203.0.113.9");
  EXPECT_EQ(trusted.ClientOf("2001:db8::1", " 2001:db8::77 "), "2001:db8::77");
  EXPECT_EQ(trusted.ClientOf("10.0.0.1", "203.0.113.9, 10.1.1.1,10.2.2.2"), "203.0.113.9");
  EXPECT_EQ(trusted.ClientOf("10.0.0.1", "203.0.113.9:4711"), "203.0.113.9");
  EXPECT_EQ(trusted.ClientOf("10.0.0.1", "[2001:db8::9]:4711"), "2001:db8::9");
  // Nobody but proxies: the farthest of them.
  EXPECT_EQ(trusted.ClientOf("10.0.0.1", "10.9.9.9"), "10.9.9.9");
  EXPECT_EQ(trusted.ClientOf("10.0.0.1", ""), "10.0.0.1");
}

TEST(TrustedProxiesTest, SaysWhoIsOneOfThem) {
  const TrustedProxies trusted({"10.0.0.0/8", "2001:db8::1"});
  for (const char* peer : {"10.0.0.1", "::ffff:10.0.0.1", "2001:db8::1"})
    EXPECT_TRUE(trusted.Trusts(peer)) << peer;
  for (const char* peer : {"203.0.113.9", "2001:db8::2", "unknown", ""})
    EXPECT_FALSE(trusted.Trusts(peer)) << peer;
  EXPECT_FALSE(TrustedProxies().Trusts("10.0.0.1"));
}

TEST(TrustedProxiesTest, WhatAClientWritesItselfIsNotBelieved) {
  const TrustedProxies trusted({"10.0.0.0/8"});
  EXPECT_EQ(trusted.ClientOf("203.0.113.9", "198.51.100.1"), "203.0.113.9");
  // The proxy adds the address that it sees behind what the client has sent.
  EXPECT_EQ(trusted.ClientOf("10.0.0.1", "198.51.100.1, 203.0.113.9"), "203.0.113.9");
  EXPECT_EQ(trusted.ClientOf("10.0.0.1", "198.51.100.1, unknown, 10.2.2.2"), "10.2.2.2");
  EXPECT_EQ(trusted.ClientOf("10.0.0.1", "[2001:db8::9"), "10.0.0.1");
  EXPECT_EQ(trusted.ClientOf("unknown", "203.0.113.9"), "unknown");
  EXPECT_EQ(TrustedProxies().ClientOf("10.0.0.1", "203.0.113.9"), "10.0.0.1");
}

}  // namespace
}  // namespace pondpilot::base

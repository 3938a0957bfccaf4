#include "proxy/grpc/metadata.h"

#include <gtest/gtest.h>

#include "proxy/grpc/connection_name.h"

namespace pondpilot::proxy::grpc {
namespace {

TEST(MetadataTest, CredentialsAndInternalNamesStayBehind) {
  EXPECT_FALSE(PassesToWorker("authorization"));
  EXPECT_FALSE(PassesToWorker("airport-transaction-id"));
  EXPECT_TRUE(PassesToWorker("airport-operation"));
  EXPECT_FALSE(PassesToWorker("x-pondpilot-worker-token"));
  EXPECT_FALSE(PassesToWorker("x-pondpilot-connection"));
  EXPECT_FALSE(PassesToWorker("grpc-timeout"));
  EXPECT_FALSE(PassesToWorker(":path"));
  EXPECT_FALSE(PassesToWorker("te"));
  EXPECT_TRUE(PassesToWorker("cookie"));
  EXPECT_TRUE(PassesToWorker("x-custom-bin"));
  EXPECT_TRUE(PassesToClient("x-arrow-status"));
  EXPECT_TRUE(PassesToClient("set-cookie"));
  EXPECT_FALSE(PassesToClient("grpc-status-details-bin"));
}

TEST(MetadataTest, AddressesOfPeers) {
  EXPECT_EQ(AddressOfPeer("ipv4:192.0.2.1:4711"), "192.0.2.1");
  EXPECT_EQ(AddressOfPeer("ipv6:%5B2001:db8::1%5D:4711"), "2001:db8::1");
  EXPECT_EQ(AddressOfPeer("unix:/run/x"), "unix:/run/x");
  EXPECT_EQ(AddressOfPeer(""), "");
}

TEST(MetadataTest, SingleValueTellsRepetition) {
  bool repeated = true;
  MetadataView metadata;
  EXPECT_EQ(SingleValue(metadata, "authorization", &repeated), "");
  EXPECT_FALSE(repeated);
  metadata.emplace("authorization", "one");
  EXPECT_EQ(SingleValue(metadata, "authorization", &repeated), "one");
  EXPECT_FALSE(repeated);
  metadata.emplace("authorization", "two");
  SingleValue(metadata, "authorization", &repeated);
  EXPECT_TRUE(repeated);
}

TEST(MetadataTest, RequestIdIsTakenWhenFitAndMadeWhenNot) {
  MetadataView sane;
  sane.emplace("x-request-id", "abc-1.2_Z");
  EXPECT_EQ(RequestId(sane), "abc-1.2_Z");
  MetadataView forged;
  forged.emplace("x-request-id", "a b\" level=error");
  EXPECT_EQ(RequestId(forged).size(), 16u);
  EXPECT_EQ(RequestId({}).size(), 16u);
}

}  // namespace
}  // namespace pondpilot::proxy::grpc

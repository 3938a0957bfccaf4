#include "proxy/grpc/method_table.h"

#include <gtest/gtest.h>

namespace pondpilot::proxy::grpc {
namespace {

TEST(MethodTableTest, KnowsFlightMethodsAndNothingElse) {
  const Method* get = FindMethod("/arrow.flight.protocol.FlightService/DoGet");
  ASSERT_NE(get, nullptr);
  EXPECT_EQ(get->name, "DoGet");
  EXPECT_EQ(get->flow, Flow::kServerStream);
  EXPECT_EQ(FindMethod("/arrow.flight.protocol.FlightService/doget"), nullptr);
  EXPECT_EQ(FindMethod("/arrow.flight.protocol.FlightService/"), nullptr);
  EXPECT_EQ(FindMethod("/pondpilot.control.v1.Worker/Assign"), nullptr);
  EXPECT_EQ(FindMethod(""), nullptr);
}

TEST(MethodTableTest, AQueryCountsOnce) {
  EXPECT_TRUE(FindMethod("/arrow.flight.protocol.FlightService/GetFlightInfo")->counted);
  EXPECT_FALSE(FindMethod("/arrow.flight.protocol.FlightService/DoGet")->counted);
}

}  // namespace
}  // namespace pondpilot::proxy::grpc

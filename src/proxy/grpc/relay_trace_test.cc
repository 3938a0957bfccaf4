#include "proxy/grpc/relay_fixture.h"
#include "telemetry/fake_tracer.h"

namespace pondpilot::proxy::grpc {
namespace {

const char* const kSent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

class TracedRelayTest : public RelayTest {
 protected:
  telemetry::Tracer* tracer() override { return &tracer_; }

  telemetry::FakeTracer tracer_;
};

TEST_F(TracedRelayTest, WhoIsNotKnownDoesNotSayWhatIsExported) {
  for (const char* token : {"", "Bearer nonsense"}) {
    ::grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(20));
    if (*token != '\0') context.AddMetadata("authorization", token);
    context.AddMetadata("traceparent", kSent);
    EXPECT_EQ(Unary(context, "GetFlightInfo", "echo").error_code(), ::grpc::StatusCode::UNAUTHENTICATED);
    const auto spans = tracer_.Take();
    ASSERT_EQ(spans.size(), 1u);
    EXPECT_EQ(spans[0].name, "arrow.flight.protocol.FlightService/GetFlightInfo");
    EXPECT_EQ(spans[0].traceparent, "");
  }
  ::grpc::ClientContext context;
  Authorize(context);
  context.AddMetadata("traceparent", kSent);
  EXPECT_TRUE(Unary(context, "GetFlightInfo", "echo").ok());
  const auto spans = tracer_.Take();
  ASSERT_EQ(spans.size(), 1u);
  EXPECT_EQ(spans[0].traceparent, kSent);
}

}  // namespace
}  // namespace pondpilot::proxy::grpc

#include "proxy/quack/routes.h"

#include <memory>
#include <utility>

namespace pondpilot::proxy::quack {
namespace {

// Rows that a client sends come in batches of some megabytes, 32 at most, with long texts in them more.
constexpr size_t kBodyBytes = 48 << 20;
constexpr std::chrono::seconds kBodyWait(120);
// Two of the largest, over all doors. Apart from what other routes' bodies have: neither takes the other's
// place.
constexpr size_t kAllBodiesBytes = 2 * kBodyBytes;

}  // namespace

std::vector<http::Route> QuackRoutes(QuackServices services) {
  const auto door = std::make_shared<QuackDoor>(std::move(services));
  http::Route route{"POST", "/quack", [door](const http::Request& request) { return door->Handle(request); }};
  route.body_bytes = kBodyBytes;
  route.body_wait = kBodyWait;
  route.body_pool = std::make_shared<http::BodyPool>(kAllBodiesBytes);
  route.gate_bytes = QuackDoor::kGateBytes;
  route.body_gate = [door](const http::Request& head, std::string_view begin) {
    return door->RefuseBody(head, begin);
  };
  return {std::move(route)};
}

}  // namespace pondpilot::proxy::quack

#include "proxy/quack/routes.h"

#include <memory>
#include <utility>

namespace pondpilot::proxy::quack {
namespace {

// Rows that a client sends come in batches of some megabytes, 32 at most, with long texts in them more.
constexpr size_t kBodyBytes = 48 << 20;
constexpr std::chrono::seconds kBodyWait(120);

}  // namespace

std::vector<http::Route> QuackRoutes(QuackServices services) {
  const auto door = std::make_shared<QuackDoor>(std::move(services));
  http::Route route{"POST", "/quack", [door](const http::Request& request) { return door->Handle(request); }};
  route.body_bytes = kBodyBytes;
  route.body_wait = kBodyWait;
  return {std::move(route)};
}

}  // namespace pondpilot::proxy::quack

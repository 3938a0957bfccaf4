#include "proxy/grpc/connection_name.h"

#include <array>
#include <functional>

#include "base/secret.h"

namespace pondpilot::proxy::grpc {
namespace {

struct Named {
  std::string peer;
  std::string name;
};

constexpr size_t kRemembered = 256;  // connections a thread; two that meet in a slot take turns

}  // namespace

std::string ConnectionName(const std::string& peer) {
  static const base::Secret key(base::RandomHex(32));
  thread_local std::array<Named, kRemembered> remembered;
  Named& slot = remembered[std::hash<std::string>()(peer) % kRemembered];
  if (slot.name.empty() || slot.peer != peer) {
    slot = {.peer = peer, .name = base::HmacSha256Hex(key, peer).substr(0, 32)};
  }
  return slot.name;
}

}  // namespace pondpilot::proxy::grpc

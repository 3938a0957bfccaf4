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

std::string AddressOfPeer(std::string_view peer) {
  constexpr std::string_view kIpv4 = "ipv4:";
  constexpr std::string_view kIpv6 = "ipv6:%5B";
  if (peer.starts_with(kIpv4)) {
    return std::string(peer.substr(kIpv4.size(), peer.rfind(':') - kIpv4.size()));
  }
  const size_t end = peer.find("%5D");
  if (peer.starts_with(kIpv6) && end != std::string_view::npos) {
    return std::string(peer.substr(kIpv6.size(), end - kIpv6.size()));
  }
  return std::string(peer);
}

}  // namespace pondpilot::proxy::grpc

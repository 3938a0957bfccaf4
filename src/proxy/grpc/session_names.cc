#include "proxy/grpc/session_names.h"

#include <algorithm>

#include "base/text.h"
#include "contract/names.h"
#include "proxy/grpc/connection_name.h"

namespace pondpilot::proxy::grpc {
namespace {

constexpr size_t kNameBytes = 32;
constexpr size_t kSignatureBytes = 32;
// Addresses of connections that come again and again; beyond, the oldest session is taken as it is.
constexpr int kLives = 16;

bool IsHex(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

// How often a connection was given its cookie, as far as this thread remembers.
int& Offers(const std::string& peer) {
  struct Slot {
    std::string peer;
    int offers = 0;
  };
  thread_local std::array<Slot, 256> remembered;  // two that meet in a slot take turns
  Slot& slot = remembered[std::hash<std::string>()(peer) % remembered.size()];
  if (slot.peer != peer) slot = {.peer = peer};
  return slot.offers;
}

}  // namespace

std::string SessionNames::Sign(std::string_view name, std::string_view user_id) const {
  std::string text(name);  // of a fixed length
  text += user_id;
  return base::HmacSha256Hex(key_, text).substr(0, kSignatureBytes);
}

std::string SessionNames::FromCookie(const MetadataView& metadata, std::string_view user_id) const {
  const auto [first, last] = metadata.equal_range("cookie");
  for (auto header = first; header != last; ++header) {
    std::string_view rest(header->second.data(), header->second.size());
    while (!rest.empty()) {
      const size_t end = std::min(rest.find(';'), rest.size());
      std::string_view pair = base::Trim(rest.substr(0, end));
      rest.remove_prefix(std::min(end + 1, rest.size()));
      if (!pair.starts_with(contract::kSessionCookie)) continue;
      pair.remove_prefix(std::string_view(contract::kSessionCookie).size());
      if (!pair.starts_with('=')) continue;
      pair.remove_prefix(1);
      // Arrow's C++ client puts quotes around values.
      if (pair.size() >= 2 && pair.front() == '"' && pair.back() == '"')
        pair = pair.substr(1, pair.size() - 2);
      if (pair.size() != kNameBytes + 1 + kSignatureBytes || pair[kNameBytes] != '.') continue;
      const std::string_view name = pair.substr(0, kNameBytes);
      if (IsHex(name) && base::ConstantTimeEquals(pair.substr(kNameBytes + 1), Sign(name, user_id))) {
        return std::string(name);
      }
    }
  }
  return {};
}

bool SessionNames::Moved(const std::string& name) const {
  if (!any_moved_.load()) return false;
  const std::lock_guard lock(mutex_);
  return moved_.contains(name);
}

void SessionNames::NoteMoved(const std::string& name) {
  const std::lock_guard lock(mutex_);
  if (!moved_.insert(name).second) return;
  oldest_moved_.push_back(name);
  any_moved_.store(true);
  if (oldest_moved_.size() <= kMaxMoved) return;
  moved_.erase(oldest_moved_.front());
  oldest_moved_.pop_front();
}

std::string SessionNames::ForConnection(const std::string& peer) const {
  std::string name = ConnectionName(peer);
  for (int life = 1; life < kLives && Moved(name); ++life) {
    name = ConnectionName(peer + "#" + std::to_string(life));
  }
  return name;
}

SessionNames::Named SessionNames::Of(const MetadataView& metadata, const std::string& peer,
                                     std::string_view user_id) {
  std::string own = ForConnection(peer);
  if (std::string kept = FromCookie(metadata, user_id); !kept.empty()) {
    if (kept != own) NoteMoved(kept);
    return {.name = std::move(kept), .cookie = {}};
  }
  Named named{.name = std::move(own), .cookie = {}};
  if (int& offers = Offers(peer); offers < kOffers) {
    ++offers;
    named.cookie = std::string(contract::kSessionCookie) + "=" + named.name + "." +
                   Sign(named.name, user_id) + contract::kSessionCookieAttributes;
  }
  return named;
}

}  // namespace pondpilot::proxy::grpc

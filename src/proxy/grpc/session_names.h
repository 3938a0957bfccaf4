#pragma once

#include <array>
#include <atomic>
#include <deque>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_set>

#include "base/secret.h"
#include "proxy/grpc/metadata.h"

namespace pondpilot::proxy::grpc {

// Names the session that a call belongs to: that of the cookie which the client kept, else that of its
// connection. The cookie of a connection names the connection's own session, so that the calls before and
// after a client has taken it are in the same one, and brings the client back to it over another connection
// and through another start of the proxy. It is signed for one user; anybody else's, or one that was made up,
// counts as none. It is no credential: every call is authenticated without it. Thread-safe.
class SessionNames {
 public:
  // `key` signs the cookies; the same through restarts.
  explicit SessionNames(base::Secret key) : key_(std::move(key)) {}

  struct Named {
    std::string name;    // opaque, unguessable
    std::string cookie;  // for "set-cookie"; empty when the client has it or does not keep cookies
  };
  // `peer` is the client's address as gRPC gives it, `user_id` not empty.
  Named Of(const MetadataView& metadata, const std::string& peer, std::string_view user_id);

  // How often a connection whose calls come without the cookie is given it: calls overlap, and answers get
  // lost.
  static constexpr int kOffers = 4;
  // Sessions that are known to have left their connection.
  static constexpr size_t kMaxMoved = 4096;

 private:
  std::string Sign(std::string_view name, std::string_view user_id) const;
  // The name that the cookie among the metadata holds; empty when there is none for this user.
  std::string FromCookie(const MetadataView& metadata, std::string_view user_id) const;
  bool Moved(const std::string& name) const;
  void NoteMoved(const std::string& name);
  // The name of a connection that has none from a cookie: not one that somebody took away with a cookie, when
  // the client's address was another connection's before.
  std::string ForConnection(const std::string& peer) const;

  const base::Secret key_;
  mutable std::mutex mutex_;
  std::atomic<bool> any_moved_{false};
  std::unordered_set<std::string> moved_;
  std::deque<std::string> oldest_moved_;  // in front
};

}  // namespace pondpilot::proxy::grpc

#include "proxy/auth/call_identifier.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/base64.h"

namespace pondpilot::proxy::auth {
namespace {

using base::ErrorCode;
using nlohmann::json;

std::unexpected<base::Error> Refused(std::string message) {
  return base::Fail(ErrorCode::kUnauthenticated, std::move(message));
}

std::unexpected<base::Error> NotOurs() {
  return Refused(
      "The transaction's identifier was not made here, or was changed on the way. Send the token (in DuckDB: "
      "CREATE SECRET with SCOPE), or begin the transaction again.");
}

int64_t Seconds(std::chrono::system_clock::time_point at) {
  return std::chrono::duration_cast<std::chrono::seconds>(at.time_since_epoch()).count();
}

}  // namespace

std::string CallIdentifiers::Sign(std::string_view payload) const {
  return base::HmacSha256Hex(key_, payload);
}

std::string CallIdentifiers::Issue(const Principal& principal) const {
  const int64_t end = Seconds(std::min(principal.expires_at, clock_.WallNow() + kLife));
  const json payload = {
      {"user", principal.user_id}, {"demo", principal.demo}, {"profile", principal.profile}, {"end", end}};
  std::string text = base::ToBase64Url(payload.dump());
  const std::string signature = Sign(text);
  return text.append(".").append(signature);
}

base::Result<Principal> CallIdentifiers::Read(std::string_view identifier) const {
  const size_t dot = identifier.find('.');
  if (identifier.size() > kMaxBytes || dot == std::string_view::npos) return NotOurs();
  const std::string_view text = identifier.substr(0, dot);
  if (!base::ConstantTimeEquals(identifier.substr(dot + 1), Sign(text))) return NotOurs();
  // What is signed was made by Issue.
  const auto decoded = base::FromBase64Url(text);
  const json payload = decoded ? json::parse(*decoded, nullptr, false) : json();
  if (!payload.is_object()) return NotOurs();
  Principal principal;
  principal.user_id = payload.value("user", "");
  principal.demo = payload.value("demo", true);
  principal.profile = payload.value("profile", "");
  principal.expires_at =
      std::chrono::system_clock::time_point(std::chrono::seconds(payload.value("end", int64_t{0})));
  if (principal.user_id.empty()) return NotOurs();
  return principal;
}

base::Result<Principal> CallIdentifiers::Verify(std::string_view identifier) const {
  auto principal = Read(identifier);
  if (principal && principal->expires_at <= clock_.WallNow()) {
    return Refused(
        "The transaction's identifier has expired, as it does with the token or after an hour. Begin the "
        "transaction again.");
  }
  return principal;
}

base::Result<std::string> CallIdentifiers::UserOf(std::string_view identifier) const {
  auto principal = Read(identifier);
  if (!principal) return std::unexpected(principal.error());
  return std::move(principal->user_id);
}

}  // namespace pondpilot::proxy::auth

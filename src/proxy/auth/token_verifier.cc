#include "proxy/auth/token_verifier.h"

#include <algorithm>
#include <cmath>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <shared_mutex>
#include <unordered_map>

#include "base/base64.h"
#include "base/text.h"
#include "proxy/auth/signing_key.h"

namespace pondpilot::proxy::auth {
namespace {

using base::ErrorCode;
using nlohmann::json;

// Clocks of issuer and proxy may differ by this much; `exp` gets no leeway.
constexpr std::chrono::seconds kClockLeeway(30);

// Beyond this the cache starts anew: rarer than its entries' expiry, and no worse than a cold start.
constexpr size_t kCacheEntries = 10'000;

std::unexpected<base::Error> Refused(std::string message) {
  return base::Fail(ErrorCode::kUnauthenticated, std::move(message));
}

// The object that a part of the token encodes, or nullopt.
std::optional<json> DecodeObject(std::string_view part) {
  const std::optional<std::string> text = base::FromBase64Url(part);
  if (!text) return std::nullopt;
  // A claim that stands twice is ambiguous: what one reader checks another may not see.
  bool duplicate = false;
  std::vector<std::set<std::string, std::less<>>> seen;
  const auto watch = [&](int, json::parse_event_t event, json& value) {
    if (event == json::parse_event_t::object_start) seen.emplace_back();
    if (event == json::parse_event_t::object_end && !seen.empty()) seen.pop_back();
    if (event == json::parse_event_t::key && !seen.empty()) {
      if (!seen.back().insert(value.get_ref<const std::string&>()).second) duplicate = true;
    }
    return true;
  };
  json object = json::parse(*text, watch, false);
  if (object.is_discarded() || !object.is_object() || duplicate) return std::nullopt;
  return object;
}

// NumericDate of RFC 7519: seconds since 1970, possibly with a fraction.
std::optional<std::chrono::system_clock::time_point> ToTime(const json& value) {
  if (!value.is_number()) return std::nullopt;
  const double seconds = value.get<double>();
  // Up to the year 9999; what lies beyond is a mistake (milliseconds, most likely).
  if (!std::isfinite(seconds) || seconds < 0 || seconds > 253402300799.0) return std::nullopt;
  // The clock's own time ends in 2262.
  constexpr auto kLast = std::chrono::system_clock::time_point::max();
  if (seconds >= std::chrono::duration<double>(kLast.time_since_epoch()).count()) return kLast;
  return std::chrono::system_clock::time_point(
      std::chrono::duration_cast<std::chrono::system_clock::duration>(
          std::chrono::duration<double>(seconds)));
}

bool HasControlCharacters(std::string_view text) {
  return std::ranges::any_of(text, [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte < 0x20 || byte == 0x7F;
  });
}

}  // namespace

struct TokenVerifier::State {
  State(const base::Secret& secret, const base::Clock& time) : key(secret), clock(time) {}

  SigningKey key;
  const base::Clock& clock;
  mutable std::shared_mutex mutex;
  mutable std::unordered_map<std::string, Principal> verified;  // by the token's digest

  base::Result<void> CheckHeader(std::string_view part) const;
  base::Result<void> CheckSignature(std::string_view token) const;
  base::Result<Principal> CheckClaims(std::string_view part) const;
  base::Result<Principal> VerifyUncached(std::string_view token) const;
};

base::Result<void> TokenVerifier::State::CheckHeader(std::string_view part) const {
  const std::optional<json> header = DecodeObject(part);
  if (!header) return Refused("The token is not a JWT: its header is not base64url-encoded JSON.");
  const auto alg = header->find("alg");
  if (alg == header->end() || !alg->is_string()) return Refused("The token's header has no algorithm (alg).");
  const std::string& name = alg->get_ref<const std::string&>();
  if (base::EqualsIgnoreCase(name, "none"))
    return Refused("The token is not signed (alg none); only HS256 is accepted.");
  if (name != "HS256") return Refused("The token is signed with another algorithm; only HS256 is accepted.");
  if (header->contains("crit"))
    return Refused("The token's header asks for extensions (crit) that are not supported.");
  return {};
}

base::Result<void> TokenVerifier::State::CheckSignature(std::string_view token) const {
  const std::unique_ptr<jwt_checker_t, decltype(&jwt_checker_free)> checker(jwt_checker_new(),
                                                                            &jwt_checker_free);
  if (!checker || key.item() == nullptr ||
      jwt_checker_setkey(checker.get(), JWT_ALG_HS256, key.item()) != 0) {
    return base::Fail(ErrorCode::kInternal, "Tokens can't be checked at the moment.",
                      "libjwt did not take the key");
  }
  // The times are checked below, where each refusal says which rule was broken.
  jwt_checker_time_leeway(checker.get(), JWT_CLAIM_EXP, -1);
  jwt_checker_time_leeway(checker.get(), JWT_CLAIM_NBF, -1);
  if (jwt_checker_verify(checker.get(), std::string(token).c_str()) != 0) {
    return Refused(
        "The token's signature does not match: it was made with another secret, or changed on the way.");
  }
  return {};
}

base::Result<Principal> TokenVerifier::State::CheckClaims(std::string_view part) const {
  const std::optional<json> claims = DecodeObject(part);
  if (!claims) return Refused("The token is not a JWT: its claims are not base64url-encoded JSON.");
  Principal principal;
  const auto now = clock.WallNow();

  const auto exp = claims->find("exp");
  if (exp == claims->end())
    return Refused("The token never expires (no exp claim); issue it with an expiry.");
  const auto expires_at = ToTime(*exp);
  if (!expires_at) return Refused("The token's expiry (exp) is not a time in seconds since 1970.");
  if (*expires_at <= now) return Refused("The token has expired; get a new one.");
  principal.expires_at = *expires_at;

  for (const char* name : {"nbf", "iat"}) {
    const auto claim = claims->find(name);
    if (claim == claims->end()) continue;
    const auto at = ToTime(*claim);
    if (!at)
      return Refused(std::string("The token's ") + name + " claim is not a time in seconds since 1970.");
    if (*at > now + kClockLeeway) {
      return Refused(std::string("The token is not valid yet (") + name +
                     " lies in the future); check the clocks.");
    }
  }

  const auto sub = claims->find("sub");
  if (sub == claims->end()) return Refused("The token names no user (no sub claim).");
  if (!sub->is_string()) return Refused("The token's user (sub) is not a string.");
  principal.user_id = sub->get<std::string>();
  if (principal.user_id.empty()) return Refused("The token's user (sub) is empty.");
  if (principal.user_id.size() > kMaxSubjectBytes) {
    return Refused("The token's user (sub) is longer than " + std::to_string(kMaxSubjectBytes) + " bytes.");
  }
  if (!base::IsUtf8(principal.user_id) || HasControlCharacters(principal.user_id)) {
    return Refused("The token's user (sub) holds characters that no name has.");
  }

  if (const auto demo = claims->find("demo"); demo != claims->end()) {
    if (!demo->is_boolean()) return Refused("The token's demo claim is neither true nor false.");
    principal.demo = demo->get<bool>();
  }
  if (const auto admin = claims->find(kAdminClaim); admin != claims->end()) {
    if (!admin->is_boolean()) {
      return Refused(std::string("The token's ") + kAdminClaim + " claim is neither true nor false.");
    }
    principal.admin = admin->get<bool>();
  }
  if (const auto profile = claims->find(kProfileClaim); profile != claims->end()) {
    if (!profile->is_string() || profile->get_ref<const std::string&>().empty() ||
        profile->get_ref<const std::string&>().size() > kMaxProfileBytes) {
      return Refused(std::string("The token's ") + kProfileClaim + " claim is not a name of 1 to " +
                     std::to_string(kMaxProfileBytes) + " bytes.");
    }
    principal.profile = profile->get<std::string>();
  }
  return principal;
}

base::Result<Principal> TokenVerifier::State::VerifyUncached(std::string_view token) const {
  const size_t first = token.find('.');
  const size_t second = first == std::string_view::npos ? first : token.find('.', first + 1);
  if (second == std::string_view::npos || token.find('.', second + 1) != std::string_view::npos) {
    return Refused("The token is not a JWT: it must have three parts with dots between them.");
  }
  if (!base::FromBase64Url(token.substr(second + 1))) {
    return Refused("The token is not a JWT: its signature is not base64url.");
  }
  if (const auto checked = CheckHeader(token.substr(0, first)); !checked)
    return std::unexpected(checked.error());
  if (const auto checked = CheckSignature(token); !checked) return std::unexpected(checked.error());
  return CheckClaims(token.substr(first + 1, second - first - 1));
}

base::Result<std::string> TokenFromAuthorization(std::string_view header) {
  header = base::Trim(header);
  if (header.empty()) {
    return Refused("No token was sent. Send the header \"authorization: Bearer <token>\".");
  }
  const size_t blank = header.find(' ');
  const std::string_view scheme = header.substr(0, blank);
  const std::string_view rest = blank == std::string_view::npos ? "" : base::Trim(header.substr(blank));
  if (rest.size() > kMaxTokenBytes * 2) return Refused("The token is too long.");
  if (base::EqualsIgnoreCase(scheme, "Bearer")) {
    if (rest.empty()) return Refused("The authorization header has no token after \"Bearer\".");
    return std::string(rest);
  }
  if (base::EqualsIgnoreCase(scheme, "Basic")) {
    const std::optional<std::string> pair = base::FromBase64(rest);
    const size_t colon = pair ? pair->find(':') : std::string::npos;
    if (colon == std::string::npos)
      return Refused("The Basic credentials are not base64 of \"name:password\".");
    if (colon + 1 == pair->size())
      return Refused("The Basic credentials have no password; the token goes there.");
    return pair->substr(colon + 1);
  }
  return Refused("The authorization header has an unknown scheme; send \"Bearer <token>\".");
}

TokenVerifier::TokenVerifier(base::Secret key, const base::Clock& clock)
    : state_(std::make_unique<State>(key, clock)) {}

TokenVerifier::~TokenVerifier() = default;

base::Result<Principal> TokenVerifier::Verify(std::string_view token) const {
  if (token.empty()) return Refused("No token was sent. Send the header \"authorization: Bearer <token>\".");
  if (token.size() > kMaxTokenBytes) {
    return Refused("The token is longer than " + std::to_string(kMaxTokenBytes) + " bytes.");
  }
  // A token is refused whole: nothing that libjwt would read only up to a NUL.
  if (HasControlCharacters(token)) return Refused("The token is not a JWT: it holds control characters.");
  std::string digest = base::Sha256Hex(token);
  {
    const std::shared_lock lock(state_->mutex);
    const auto found = state_->verified.find(digest);
    if (found != state_->verified.end() && found->second.expires_at > state_->clock.WallNow())
      return found->second;
  }
  base::Result<Principal> principal = state_->VerifyUncached(token);
  if (principal) {
    const std::unique_lock lock(state_->mutex);
    if (state_->verified.size() >= kCacheEntries) state_->verified.clear();
    state_->verified.insert_or_assign(std::move(digest), *principal);
  }
  return principal;
}

base::Result<Principal> TokenVerifier::VerifyAuthorization(std::string_view header) const {
  const base::Result<std::string> token = TokenFromAuthorization(header);
  if (!token) return std::unexpected(token.error());
  return Verify(*token);
}

}  // namespace pondpilot::proxy::auth

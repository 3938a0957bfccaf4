#include "proxy/auth/token_issuer.h"

#include <jwt.h>

#include <cstdlib>
#include <memory>

#include "base/base64.h"
#include "proxy/auth/principal.h"
#include "proxy/auth/signing_key.h"

namespace pondpilot::proxy::auth {
namespace {

constexpr std::chrono::hours kDemoLife(1);

struct Claims {
  std::string subject;
  std::chrono::system_clock::time_point issued_at;
  std::chrono::system_clock::time_point expires_at;
  bool demo = false;
  std::string padding;  // a "pad" claim unless empty
  Grants grants;
};

base::Result<IssuedToken> Sign(const base::Secret& secret, const Claims& claims) {
  const auto failed = [] {
    return base::Fail(base::ErrorCode::kInternal, "The token can't be made.", "libjwt refused");
  };
  const SigningKey key(secret);
  const std::unique_ptr<jwt_builder_t, decltype(&jwt_builder_free)> builder(jwt_builder_new(),
                                                                            &jwt_builder_free);
  if (!builder || key.item() == nullptr ||
      jwt_builder_setkey(builder.get(), JWT_ALG_HS256, key.item()) != 0) {
    return failed();
  }
  jwt_builder_enable_iat(builder.get(), 0);  // the time comes from our clock
  const auto seconds = [](std::chrono::system_clock::time_point at) {
    return static_cast<jwt_long_t>(
        std::chrono::duration_cast<std::chrono::seconds>(at.time_since_epoch()).count());
  };
  const auto set = [&](jwt_value_t value) {
    return jwt_builder_claim_set(builder.get(), &value) == JWT_VALUE_ERR_NONE;
  };
  const auto text = [](const char* name, const std::string& value) {
    jwt_value_t out{};
    out.type = JWT_VALUE_STR;
    out.name = name;
    out.str_val = value.c_str();
    return out;
  };
  const auto number = [](const char* name, jwt_long_t value) {
    jwt_value_t out{};
    out.type = JWT_VALUE_INT;
    out.name = name;
    out.int_val = value;
    return out;
  };
  jwt_value_t demo{};
  demo.type = JWT_VALUE_BOOL;
  demo.name = "demo";
  demo.bool_val = 1;
  jwt_value_t admin = demo;
  admin.name = kAdminClaim;
  if (!set(text("sub", claims.subject)) || !set(number("iat", seconds(claims.issued_at))) ||
      !set(number("exp", seconds(claims.expires_at))) || (claims.demo && !set(demo)) ||
      (claims.grants.admin && !set(admin)) ||
      (!claims.grants.profile.empty() && !set(text(kProfileClaim, claims.grants.profile))) ||
      (!claims.padding.empty() && !set(text("pad", claims.padding)))) {
    return failed();
  }
  const std::unique_ptr<char, decltype(&std::free)> token(jwt_builder_generate(builder.get()), &std::free);
  if (!token) return failed();
  return IssuedToken{token.get(), claims.expires_at};
}

size_t PayloadBytes(const std::string& token) {
  const size_t first = token.find('.');
  const auto payload =
      base::FromBase64Url(std::string_view(token).substr(first + 1, token.find('.', first + 1) - first - 1));
  return payload ? payload->size() : 0;
}

}  // namespace

TokenIssuer::TokenIssuer(base::Secret key, const base::Clock& clock) : key_(std::move(key)), clock_(clock) {}

base::Result<IssuedToken> TokenIssuer::Issue(const std::string& subject, std::chrono::seconds ttl,
                                             const Grants& grants) const {
  if (subject.empty() || subject.size() > kMaxSubjectBytes) {
    return base::Fail(base::ErrorCode::kInvalidArgument,
                      "The user's name must have 1 to " + std::to_string(kMaxSubjectBytes) + " bytes.");
  }
  if (ttl < std::chrono::seconds(1)) {
    return base::Fail(base::ErrorCode::kInvalidArgument, "The token must live for at least one second.");
  }
  if (grants.profile.size() > kMaxProfileBytes) {
    return base::Fail(base::ErrorCode::kInvalidArgument,
                      "The profile's name must have at most " + std::to_string(kMaxProfileBytes) + " bytes.");
  }
  const auto now = std::chrono::floor<std::chrono::seconds>(clock_.WallNow());
  return Sign(key_, {subject, now, now + ttl, false, "", grants});
}

base::Result<IssuedToken> TokenIssuer::IssueDemo() const {
  const auto now = std::chrono::floor<std::chrono::seconds>(clock_.WallNow());
  Claims claims{"demo-" + base::RandomHex(8), now, now + kDemoLife, true, "x", {}};
  base::Result<IssuedToken> token = Sign(key_, claims);
  // One more letter in the claim is one more byte in the payload: at most two more make it a multiple of
  // three. All bytes are ASCII without '>', '?' and '~', and so base64 of them needs neither '-' nor '_'.
  for (int more = 0; more < 2 && token && PayloadBytes(token->token) % 3 != 0; ++more) {
    claims.padding += 'x';
    token = Sign(key_, claims);
  }
  return token;
}

}  // namespace pondpilot::proxy::auth

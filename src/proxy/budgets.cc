#include "proxy/budgets.h"

#include <algorithm>
#include <utility>

#include "proxy/access/address_key.h"
#include "proxy/grpc/connection_name.h"
#include "telemetry/log.h"

namespace pondpilot::proxy {
namespace {

using RateLimit = Budgets::RateLimit;
using telemetry::Level;

// What a demo user gets of a user's budget when nothing else is said.
constexpr double kDemoShare = 0.1;

limits::Rate Users(const RateLimit& rate) {
  return {static_cast<double>(rate.requests_per_minute), static_cast<double>(rate.burst_size)};
}
double Demo(uint32_t own, uint32_t of_users) { return own > 0 ? own : std::max(1.0, of_users * kDemoShare); }
limits::Rate DemoUsers(const RateLimit& rate) {
  return {Demo(rate.demo_requests_per_minute, rate.requests_per_minute),
          Demo(rate.demo_burst_size, rate.burst_size)};
}
limits::Rate DemoTokens(const RateLimit& rate) {
  return {static_cast<double>(rate.demo_tokens_per_minute), static_cast<double>(rate.demo_tokens_per_minute)};
}
limits::Rate Strangers(const RateLimit& rate) {
  return {static_cast<double>(rate.anonymous_requests_per_minute),
          static_cast<double>(rate.anonymous_burst_size)};
}

}  // namespace

Budgets::Budgets(const RateLimit& rate, base::TrustedProxies trusted, const base::Clock& clock)
    : trusted_(std::move(trusted)),
      users_(Users(rate), "requests", clock),
      demo_users_(DemoUsers(rate), "requests", clock),
      demo_tokens_(DemoTokens(rate), "demo tokens", clock),
      strangers_(Strangers(rate), "requests without a valid token", clock) {}

limits::Answer Budgets::Admit(const auth::Principal& principal) {
  limits::Answer answer = (principal.demo ? demo_users_ : users_).Ask(principal.user_id);
  if (!answer.taken) telemetry::Log(Level::kWarn, "Rate limit exceeded", {{"user_id", principal.user_id}});
  return answer;
}

base::Result<void> Budgets::AdmitStranger(std::string_view peer, std::string_view forwarded_for) {
  const std::string address = trusted_.ClientOf(grpc::AddressOfPeer(peer), forwarded_for);
  base::Result<void> taken = strangers_.Take(access::AddressKey(address));
  if (!taken) {
    telemetry::Log(Level::kWarn, "Rate limit exceeded",
                   {{"user_id", "anonymous"}, {"route", "gRPC"}, {"peer", address}});
  }
  return taken;
}

void Budgets::SetRate(const RateLimit& rate) {
  users_.SetRate(Users(rate));
  demo_users_.SetRate(DemoUsers(rate));
  demo_tokens_.SetRate(DemoTokens(rate));
  strangers_.SetRate(Strangers(rate));
}

}  // namespace pondpilot::proxy

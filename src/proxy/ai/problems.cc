#include "proxy/ai/problems.h"

#include <algorithm>
#include <charconv>

#include "proxy/ai/json_access.h"

namespace pondpilot::proxy::ai {
namespace {

constexpr size_t kMaxQuotedBytes = 500;
constexpr std::chrono::seconds kDefaultRetry(30);
constexpr std::chrono::seconds kMaxRetry(3600);

// The provider's sentence about a request, or empty.
std::string TheirMessage(std::string_view body, const Redactor& redactor) {
  const nlohmann::json data = nlohmann::json::parse(body, nullptr, false);
  return data.is_object() ? redactor.Redact(TextAt(data, "/error/message"), kMaxQuotedBytes) : "";
}

}  // namespace

// Seconds only: providers send no dates.
std::optional<std::chrono::milliseconds> ParseRetryAfter(const std::string& value) {
  int64_t seconds = 0;
  const auto parsed = std::from_chars(value.data(), value.data() + value.size(), seconds);
  if (parsed.ec != std::errc() || parsed.ptr != value.data() + value.size() || seconds < 0)
    return std::nullopt;
  return std::min<std::chrono::seconds>(std::chrono::seconds(std::min<int64_t>(seconds, 1 << 20)), kMaxRetry);
}

http::Problem NotConfigured(std::string_view models, std::string_view variable, std::string_view option) {
  return {503, "ai_not_configured", "This AI provider is not configured",
          std::string("There is no key for ")
              .append(models)
              .append(". The operator of this proxy can set ")
              .append(variable)
              .append(" (")
              .append(option)
              .append(" in the configuration) and restart it."),
          std::chrono::minutes(1)};
}

http::Problem TooManyCalls(bool of_user) {
  if (of_user) {
    return {429, "ai_too_many_calls", "Too many AI requests at the same time",
            "Too many of your AI requests are being answered. Wait until one of them ends.",
            std::chrono::seconds(5)};
  }
  return {503, "ai_busy", "Too many AI requests at the same time",
          "The proxy answers as many AI requests as it can. Try again in a moment.", std::chrono::seconds(5)};
}

http::Problem ProviderRefusal(unsigned status, const std::string& retry_after, std::string_view body,
                              const Redactor& redactor) {
  switch (status) {
    case 400:
    case 404:
    case 413:
    case 422: {
      const std::string theirs = TheirMessage(body, redactor);
      return {400,
              "ai_request_refused",
              "The AI provider does not accept the request",
              theirs.empty() ? "The AI provider refused the request with status " + std::to_string(status) +
                                   ". Check the model's name and the messages."
                             : "The AI provider refused the request: " + theirs,
              {}};
    }
    case 401:
    case 402:
    case 403:
      return {502,
              "ai_credentials_refused",
              "The AI provider does not accept the proxy's key",
              "The AI provider does not accept the key that the proxy's operator has set. Tell the operator.",
              {}};
    case 429:
      return {429, "ai_rate_limited", "The AI provider limits the rate",
              "The AI provider has had too many requests. Wait and try again.",
              ParseRetryAfter(retry_after).value_or(kDefaultRetry)};
    case 408:
    case 504:
      return {504,
              "ai_timeout",
              "The AI provider took too long",
              "The AI provider took too long to answer. Try again, or ask for less.",
              {}};
    default:
      return {502, "ai_provider_failed", "The AI provider failed",
              "The AI provider answered with status " + std::to_string(status) + ". Try again later.",
              ParseRetryAfter(retry_after)};
  }
}

http::Problem TransportProblem(const base::Error& error) {
  switch (error.code) {
    case base::ErrorCode::kDeadlineExceeded:
      return {504,
              "ai_timeout",
              "The AI provider took too long",
              error.message + " Try again, or ask for less.",
              {}};
    case base::ErrorCode::kUnavailable:
      return {
          502, "ai_unreachable", "The AI provider can't be reached", error.message + " Try again later.", {}};
    default:
      return http::ToProblem(error);
  }
}

http::Problem BadCatalog() {
  return {500,
          "internal",
          "Something went wrong inside the proxy",
          "The catalog could not be put before the model. Ask without \"schema\".",
          {}};
}

http::Problem BadAnswer() {
  return {
      502,
      "ai_bad_answer",
      "The AI provider's answer can't be read",
      "The AI provider sent an answer that is not of its API. Its base URL in the proxy's configuration may "
      "point to something else.",
      {}};
}

http::Problem BrokenOff(std::string_view reason) {
  const bool fit = !reason.empty() && reason.size() <= 40 &&
                   std::ranges::all_of(reason, [](char c) { return (c >= 'a' && c <= 'z') || c == '_'; });
  return {502,
          "ai_interrupted",
          "The AI provider broke off its answer",
          "The AI provider ended its answer in the middle" + (fit ? " (" + std::string(reason) + ")" : "") +
              ". What came before is incomplete; try again.",
          {}};
}

}  // namespace pondpilot::proxy::ai

#include "proxy/http/json_body.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/text.h"
#include "proxy/http/negotiation.h"

namespace pondpilot::proxy::http {
namespace {

constexpr size_t kMaxShownName = 64;

std::unexpected<base::Error> Invalid(std::string message) {
  return base::Fail(base::ErrorCode::kInvalidArgument, std::move(message));
}

}  // namespace

base::Result<nlohmann::json> ParseJsonObject(std::string_view body, const std::vector<std::string>& known) {
  if (base::Trim(body).empty()) return Invalid("The body is empty; send a JSON object.");
  nlohmann::json object = nlohmann::json::parse(body, nullptr, false);
  if (object.is_discarded()) return Invalid("The body is not JSON.");
  if (!object.is_object()) return Invalid("The body must be a JSON object.");
  for (const auto& [name, value] : object.items()) {
    if (std::ranges::find(known, name) != known.end()) continue;
    const bool shown = name.size() <= kMaxShownName;
    const std::string quoted = shown ? " \"" + name + "\"" : "";
    const auto nearest = shown ? base::Nearest(name, known) : std::nullopt;
    std::string all;
    for (const std::string& field : known) all += (all.empty() ? "" : ", ") + field;
    return Invalid("The body has an unknown field" + quoted + "." +
                   (nearest ? " Was \"" + *nearest + "\" meant?" : "") + " The fields are: " + all + ".");
  }
  return object;
}

std::optional<Problem> RefuseOtherThanJson(const Request& request) {
  if (MediaTypeOf(request.Header("Content-Type")) == "application/json") return std::nullopt;
  return Problem{415,
                 "unsupported_media_type",
                 "The body's media type is not supported",
                 "Send a JSON object, with the header Content-Type: application/json.",
                 {}};
}

}  // namespace pondpilot::proxy::http

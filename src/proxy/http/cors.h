#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace pondpilot::proxy::http {

// Which pages of other origins may call (the Fetch standard's CORS protocol).
class Cors {
 public:
  // "*" allows any origin; an empty list none.
  explicit Cors(std::vector<std::string> allowed_origins) : allowed_(std::move(allowed_origins)) {}

  // The headers for an answer to `origin`; none when it is empty or not allowed.
  std::vector<std::pair<std::string, std::string>> HeadersFor(std::string_view origin) const;
  // The same for the answer to a preflight request, with what may be asked.
  std::vector<std::pair<std::string, std::string>> PreflightHeaders(std::string_view origin,
                                                                    const std::string& methods) const;

 private:
  std::vector<std::string> allowed_;
};

}  // namespace pondpilot::proxy::http

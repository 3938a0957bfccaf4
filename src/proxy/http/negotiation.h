#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace pondpilot::proxy::http {

// Which of the media types `offered` an Accept header (RFC 9110, section 12.5.1) wants most; of those that it
// wants alike, the one that it names first, then the one offered first. The first one when the header is
// empty; nullopt when it wants none of them.
std::optional<size_t> ChooseMediaType(std::string_view accept, const std::vector<std::string>& offered);

// The same for an Accept-Encoding header; nullopt: no coding at all. Of those wanted alike, the one offered
// first.
std::optional<size_t> ChooseCoding(std::string_view accept_encoding, const std::vector<std::string>& offered);

// The media type of a Content-Type header, without parameters, in lower case.
std::string MediaTypeOf(std::string_view content_type);

}  // namespace pondpilot::proxy::http

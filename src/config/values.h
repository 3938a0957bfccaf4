#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

// How single values are written: text to value and back. nullopt means "not written like that"; nothing here
// knows about bounds, keys or files.
namespace pondpilot::config {

// Decimal digits only, no sign, no leading zero, at most 18 digits.
std::optional<uint64_t> ParseInteger(std::string_view text);

// Digits with an optional fraction ("0.5", "2"); no sign, exponent, inf or nan.
std::optional<double> ParseNumber(std::string_view text);

// true, false, yes, no, on, off, 1, 0, in any case.
std::optional<bool> ParseBool(std::string_view text);

// An integer and one of ms, s, m, h. nullopt also for what does not fit (more than 10^15 of a unit, or of
// milliseconds more than an int64_t).
std::optional<std::chrono::milliseconds> ParseDuration(std::string_view text);

// An integer and optionally one of k, m, g (1024-based, any case) and then optionally b; no unit means bytes.
std::optional<uint64_t> ParseSize(std::string_view text);

// The shortest text that the parser above reads back as the same value: "5m", "512m", "0.5".
std::string FormatDuration(std::chrono::milliseconds duration);
std::string FormatSize(uint64_t bytes);
std::string FormatNumber(double number);

// At most `most` bytes of `text` for a message, quotes, backslashes and anything unprintable escaped, so that
// no value can forge a line.
std::string Printable(std::string_view text, size_t most);

// The same in double quotes, at most 60 bytes.
std::string Quote(std::string_view text);

}  // namespace pondpilot::config

#pragma once

#include <cstdint>
#include <string>

namespace pondpilot::worker::documents {

// ISO 8601 texts. Years before 1 and after 9999 have a sign and four digits or more: "-0044-03-15" is 45 BC.

// `days` since 1970-01-01.
void AppendDate(int64_t days, std::string& out);
// `ticks` since midnight, `per_second` of them in a second: "12:00:00.5". Fractions without zeros at the end.
void AppendTime(int64_t ticks, int64_t per_second, std::string& out);
// `ticks` since 1970-01-01 00:00: "2026-01-26T12:00:00.5".
void AppendTimestamp(int64_t ticks, int64_t per_second, std::string& out);
// "P1Y2M3DT4H5M6.5S"; each part may have a sign of its own, as the parts of DuckDB's INTERVAL do.
void AppendInterval(int64_t months, int64_t days, int64_t nanoseconds, std::string& out);

}  // namespace pondpilot::worker::documents

#include "worker/documents/times.h"

#include <array>
#include <charconv>
#include <string_view>

namespace pondpilot::worker::documents {
namespace {

constexpr int64_t kSecondsOfDay = 86'400;
constexpr int64_t kNanoseconds = 1'000'000'000;

void AppendNumber(int64_t value, std::string& out) {
  std::array<char, 24> digits;
  const auto end = std::to_chars(digits.begin(), digits.end(), value);
  out.append(digits.data(), end.ptr);
}

void AppendTwo(int64_t value, std::string& out) {
  out += static_cast<char>('0' + value / 10);
  out += static_cast<char>('0' + value % 10);
}

// Rounds towards minus infinity.
int64_t FloorDiv(int64_t value, int64_t by) { return value / by - (value % by < 0 ? 1 : 0); }

// ".5" for a fraction of a second; nothing for none.
void AppendFraction(int64_t ticks, int64_t per_second, std::string& out) {
  if (ticks == 0) return;
  out += '.';
  for (int64_t unit = per_second / 10; ticks != 0 && unit > 0; unit /= 10) {
    out += static_cast<char>('0' + ticks / unit);
    ticks %= unit;
  }
}

}  // namespace

void AppendDate(int64_t days, std::string& out) {
  // The Gregorian calendar in eras of 400 years, each year from March on, so that the leap day is its last.
  constexpr int64_t kDaysOfEra = 146'097;
  constexpr int64_t kDaysBeforeEpoch = 719'468;  // from 0000-03-01 to 1970-01-01
  const int64_t from_march = days + kDaysBeforeEpoch;
  const int64_t era = FloorDiv(from_march, kDaysOfEra);
  const int64_t day_of_era = from_march - era * kDaysOfEra;
  const int64_t year_of_era =
      (day_of_era - day_of_era / 1'460 + day_of_era / 36'524 - day_of_era / 146'096) / 365;
  const int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  const int64_t shifted_month = (5 * day_of_year + 2) / 153;
  const int64_t day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
  const int64_t month = shifted_month < 10 ? shifted_month + 3 : shifted_month - 9;
  const int64_t year = era * 400 + year_of_era + (month <= 2 ? 1 : 0);
  if (year < 0 || year > 9999) out += year < 0 ? '-' : '+';
  const int64_t magnitude = year < 0 ? -year : year;
  for (int64_t bound = 1000; bound > 1 && magnitude < bound; bound /= 10) out += '0';
  AppendNumber(magnitude, out);
  out += '-';
  AppendTwo(month, out);
  out += '-';
  AppendTwo(day, out);
}

void AppendTime(int64_t ticks, int64_t per_second, std::string& out) {
  const int64_t seconds = ticks / per_second;
  AppendTwo(seconds / 3600, out);
  out += ':';
  AppendTwo(seconds / 60 % 60, out);
  out += ':';
  AppendTwo(seconds % 60, out);
  AppendFraction(ticks % per_second, per_second, out);
}

void AppendTimestamp(int64_t ticks, int64_t per_second, std::string& out) {
  const int64_t days = FloorDiv(FloorDiv(ticks, per_second), kSecondsOfDay);
  // In seconds first: days in ticks could pass what 64 bits hold.
  const int64_t seconds = FloorDiv(ticks, per_second) - days * kSecondsOfDay;
  const int64_t fraction = ticks - FloorDiv(ticks, per_second) * per_second;
  AppendDate(days, out);
  out += 'T';
  AppendTime(seconds * per_second + fraction, per_second, out);
}

void AppendInterval(int64_t months, int64_t days, int64_t nanoseconds, std::string& out) {
  const size_t begin = out.size();
  out += 'P';
  const auto part = [&out](int64_t value, char unit) {
    if (value == 0) return;
    AppendNumber(value, out);
    out += unit;
  };
  part(months / 12, 'Y');
  part(months % 12, 'M');
  part(days, 'D');
  if (nanoseconds != 0) {
    out += 'T';
    const int64_t seconds = nanoseconds / kNanoseconds;
    part(seconds / 3600, 'H');
    part(seconds / 60 % 60, 'M');
    const int64_t rest = seconds % 60;
    const int64_t fraction = nanoseconds % kNanoseconds;
    if (rest != 0 || fraction != 0) {
      if (nanoseconds < 0) out += '-';
      AppendNumber(rest < 0 ? -rest : rest, out);
      AppendFraction(fraction < 0 ? -fraction : fraction, kNanoseconds, out);
      out += 'S';
    }
  }
  if (out.size() == begin + 1) out += "T0S";
}

}  // namespace pondpilot::worker::documents

#include "quack/wire.h"

namespace pondpilot::quack {
namespace {
// Of a number of 64 bits.
constexpr int kMaxVarintBytes = 10;
}  // namespace

uint16_t Reader::PeekField() {
  if (failed_ || data_.size() - at_ < 2) {
    failed_ = true;
    return kEnd;
  }
  return static_cast<uint16_t>(static_cast<uint8_t>(data_[at_]) |
                               (static_cast<uint8_t>(data_[at_ + 1]) << 8));
}

bool Reader::TakeField(uint16_t field) {
  if (PeekField() != field || failed_) return false;
  at_ += 2;
  return true;
}

void Reader::TakeEnd() {
  if (!TakeField(kEnd)) failed_ = true;
}

uint8_t Reader::Byte() {
  if (failed_ || AtEnd()) {
    failed_ = true;
    return 0;
  }
  return static_cast<uint8_t>(data_[at_++]);
}

bool Reader::Bool() {
  const uint8_t value = Byte();
  if (value > 1) failed_ = true;
  return value == 1 && !failed_;
}

uint64_t Reader::Unsigned() {
  uint64_t value = 0;
  for (int i = 0; i < kMaxVarintBytes; ++i) {
    const uint8_t byte = Byte();
    // The tenth byte has room for one bit.
    if (failed_ || (i == kMaxVarintBytes - 1 && byte > 1)) break;
    value |= static_cast<uint64_t>(byte & 0x7F) << (7 * i);
    if ((byte & 0x80) == 0) return value;
  }
  failed_ = true;
  return 0;
}

int64_t Reader::Signed() {
  uint64_t value = 0;
  for (int i = 0; i < kMaxVarintBytes; ++i) {
    const uint8_t byte = Byte();
    if (failed_) return 0;
    value |= static_cast<uint64_t>(byte & 0x7F) << (7 * i);
    if ((byte & 0x80) != 0) continue;
    const int bits = 7 * (i + 1);
    if (bits < 64 && (byte & 0x40) != 0) value |= ~uint64_t{0} << bits;
    return static_cast<int64_t>(value);
  }
  failed_ = true;
  return 0;
}

std::string_view Reader::Bytes(uint64_t count) {
  if (failed_ || count > data_.size() - at_) {
    failed_ = true;
    return {};
  }
  const std::string_view bytes = data_.substr(at_, count);
  at_ += count;
  return bytes;
}

std::string_view Reader::Text() { return Bytes(Unsigned()); }

uint64_t Reader::Count() {
  const uint64_t count = Unsigned();
  if (count <= data_.size() - at_) return count;
  failed_ = true;
  return 0;
}

void Writer::Field(uint16_t field) {
  Byte(static_cast<uint8_t>(field & 0xFF));
  Byte(static_cast<uint8_t>(field >> 8));
}

void Writer::Unsigned(uint64_t value) {
  for (; value >= 0x80; value >>= 7) Byte(static_cast<uint8_t>(value | 0x80));
  Byte(static_cast<uint8_t>(value));
}

void Writer::Signed(int64_t value) {
  for (;;) {
    const auto byte = static_cast<uint8_t>(value & 0x7F);
    value >>= 7;
    const bool sign = (byte & 0x40) != 0;
    if ((value == 0 && !sign) || (value == -1 && sign)) {
      Byte(byte);
      return;
    }
    Byte(byte | 0x80);
  }
}

void Writer::Text(std::string_view text) {
  Unsigned(text.size());
  Bytes(text);
}

}  // namespace pondpilot::quack

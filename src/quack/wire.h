#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace pondpilot::quack {

// The low level of DuckDB's binary serialization, which Quack's messages are written in: objects of numbered
// fields (little endian, two bytes) up to kEnd, integers as LEB128, texts with their length in front.
inline constexpr uint16_t kEnd = 0xFFFF;

// Reads what somebody has sent; nothing of it is trusted. What can't be read makes the reader fail, and
// everything that is read after that is zero or empty.
class Reader {
 public:
  explicit Reader(std::string_view data) : data_(data) {}

  bool failed() const { return failed_; }
  bool AtEnd() const { return at_ == data_.size(); }
  size_t position() const { return at_; }
  std::string_view Rest() const { return data_.substr(at_); }
  void Fail() { failed_ = true; }

  // The number of the field that comes next, without going on; kEnd at the end of an object.
  uint16_t PeekField();
  // Goes past the number of the next field if it is this one.
  bool TakeField(uint16_t field);
  // Fails unless the object ends here.
  void TakeEnd();

  uint8_t Byte();
  // Fails unless it is 0 or 1.
  bool Bool();
  uint64_t Unsigned();
  int64_t Signed();
  // The view is valid as long as the data are.
  std::string_view Bytes(uint64_t count);
  std::string_view Text();
  // The number of elements of a list of which each takes a byte at least.
  uint64_t Count();

 private:
  std::string_view data_;
  size_t at_ = 0;
  bool failed_ = false;
};

class Writer {
 public:
  explicit Writer(std::string& out) : out_(out) {}
  void Field(uint16_t field);
  void End() { Field(kEnd); }
  void Byte(uint8_t value) { out_.push_back(static_cast<char>(value)); }
  void Unsigned(uint64_t value);
  void Signed(int64_t value);
  void Text(std::string_view text);
  void Bytes(std::string_view bytes) { out_.append(bytes); }

 private:
  std::string& out_;
};

}  // namespace pondpilot::quack

#include "quack/chunk_check.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <string>
#include <vector>

#include "base/text.h"
#include "base/timestamps.h"
#include "quack/chunk_types.h"
#include "quack/wire.h"

namespace pondpilot::quack {
namespace {

using base::ErrorCode;
using base::Fail;
using base::Result;

constexpr uint64_t kMaxDictionary = 1 << 20;

enum VectorKind : uint64_t { kFlat = 0, kConstant = 2, kDictionary = 3, kSequence = 4 };

bool Bit(std::string_view bits, uint64_t at) {
  return (static_cast<uint8_t>(bits[at / 8]) >> (at % 8) & 1) != 0;
}

template <typename T>
T At(std::string_view values, uint64_t index) {
  T value;
  std::memcpy(&value, values.data() + index * sizeof(T), sizeof(T));
  return value;
}

// DuckDB computes with times without a look at them, and gives its whole database up when one is no time of
// day (24:00:00 is one), or is a timestamp that it can't have in microseconds.
bool IsTime(uint64_t type, uint64_t bits) {
  constexpr uint64_t kDay = 86'400'000'000;  // microseconds
  constexpr uint64_t kMostOffset = 15 * 3600 + 59 * 60 + 59;
  switch (type) {
    case kTimestampSeconds:
      return base::FitsMicroseconds(static_cast<int64_t>(bits), 1'000'000);
    case kTimestampMilliseconds:
      return base::FitsMicroseconds(static_cast<int64_t>(bits), 1'000);
    case kTime:
      return bits <= kDay;
    case kTimeNs:
      return bits <= kDay * 1000;
    case kTimeTz:
      // The offset, from 15:59:59 downwards, stands in the lower 24 bits.
      return bits >> 24 <= kDay && (bits & 0xFFFFFF) <= 2 * kMostOffset;
    default:
      return true;
  }
}

class Check {
 public:
  explicit Check(std::string_view data) : reader_(data) {}

  Result<size_t> Chunk() {
    const uint64_t rows = reader_.TakeField(100) ? reader_.Unsigned() : 0;
    std::vector<TypeTree> types;
    if (!reader_.TakeField(101)) reader_.Fail();
    const uint64_t columns = reader_.Count();
    if (columns > kMaxColumns || rows > kMaxChunkRows) reader_.Fail();
    uint64_t footprint = 0;
    for (uint64_t i = 0; i < columns && Going(); ++i) {
      types.push_back(ReadType(reader_, refused_));
      footprint += Footprint(types.back(), std::max<uint64_t>(rows, 2048));
    }
    if (footprint > kMaxChunkFootprint)
      return Fail(ErrorCode::kInvalidArgument, "A chunk of rows is too large.");
    if (!reader_.TakeField(102) || reader_.Count() != columns) reader_.Fail();
    for (const TypeTree& type : types) {
      if (!Going()) break;
      Column(type, rows, 0);
      reader_.TakeEnd();
    }
    reader_.TakeEnd();
    if (!refused_.empty()) return Fail(ErrorCode::kInvalidArgument, refused_);
    if (reader_.failed()) {
      return Fail(ErrorCode::kInvalidArgument, "The rows that the client has sent are damaged.");
    }
    return reader_.position();
  }

 private:
  bool Going() const { return !reader_.failed() && refused_.empty(); }

  // A vector without its end: a dictionary's values stand in the same object.
  void Column(const TypeTree& type, uint64_t rows, int depth) {
    if (depth > kMaxDepth) reader_.Fail();
    const uint64_t kind = reader_.TakeField(90) ? reader_.Unsigned() : static_cast<uint64_t>(kFlat);
    switch (kind) {
      case kFlat:
        return Flat(type, rows, depth);
      case kConstant:
        return Flat(type, 1, depth);
      case kDictionary: {
        const std::string_view selection = Blob(91, rows * sizeof(uint32_t));
        if (!reader_.TakeField(92)) reader_.Fail();
        const uint64_t values = reader_.Unsigned();
        if (values > kMaxDictionary) reader_.Fail();
        for (uint64_t i = 0; i < rows && Going(); ++i) {
          if (At<uint32_t>(selection, i) >= values) reader_.Fail();
        }
        if (Going()) Flat(type, values, depth);
        return;
      }
      case kSequence:
        if (!IsWhole(type.id)) reader_.Fail();
        if (reader_.TakeField(91)) (void)reader_.Signed();
        if (reader_.TakeField(92)) (void)reader_.Signed();
        return;
      default:
        reader_.Fail();
    }
  }

  // A blob field of exactly so many bytes.
  std::string_view Blob(uint16_t field, uint64_t bytes) {
    if (!reader_.TakeField(field)) {
      if (bytes != 0) reader_.Fail();
      return {};
    }
    const std::string_view blob = reader_.Text();
    if (blob.size() != bytes) reader_.Fail();
    return reader_.failed() ? std::string_view() : blob;
  }

  void Flat(const TypeTree& type, uint64_t rows, int depth) {
    std::optional<std::string_view> validity;
    if (reader_.TakeField(100) && reader_.Bool()) validity = Blob(101, (rows + 63) / 64 * 8);
    if (!Going()) return;
    const auto valid = [&](uint64_t row) { return !validity || Bit(*validity, row); };
    if (IsText(type.id)) return Texts(type, rows, valid);
    switch (type.id) {
      case kStruct:
        if (!reader_.TakeField(103) || reader_.Count() != type.children.size()) reader_.Fail();
        for (const TypeTree& child : type.children) {
          if (!Going()) return;
          Column(child, rows, depth + 1);
          reader_.TakeEnd();
        }
        return;
      case kList:
      case kMap:
        return List(type, rows, depth);
      case kArray: {
        if (!reader_.TakeField(103) || reader_.Unsigned() != type.size || !reader_.TakeField(104))
          reader_.Fail();
        if (!Going()) return;
        Column(type.children[0], rows * type.size, depth + 1);
        reader_.TakeEnd();
        return;
      }
      default:
        break;
    }
    const std::string_view values = Blob(102, rows * type.width);
    if (!Going()) return;
    if (type.id == kBoolean &&
        std::ranges::any_of(values, [](char c) { return static_cast<uint8_t>(c) > 1; })) {
      reader_.Fail();
    }
    if (type.id == kTime || type.id == kTimeTz || type.id == kTimeNs || type.id == kTimestampSeconds ||
        type.id == kTimestampMilliseconds) {
      for (uint64_t i = 0; i < rows && Going(); ++i) {
        if (!valid(i) || IsTime(type.id, At<uint64_t>(values, i))) continue;
        refused_ =
            "A time that the client has sent is none: a time of day outside of 00:00:00 to 24:00:00, or a "
            "timestamp that is too far away.";
      }
    }
    if (type.id != kEnum) return;
    for (uint64_t i = 0; i < rows && Going(); ++i) {
      const uint64_t member = type.width == 1   ? At<uint8_t>(values, i)
                              : type.width == 2 ? At<uint16_t>(values, i)
                                                : At<uint32_t>(values, i);
      if (valid(i) && member >= type.members) reader_.Fail();
    }
  }

  void List(const TypeTree& type, uint64_t rows, int depth) {
    if (!reader_.TakeField(104)) reader_.Fail();
    const uint64_t values = reader_.Unsigned();
    // A value that takes no byte of its own can stand for many: a bound of its own.
    if (values > kMaxChunkFootprint / 16) reader_.Fail();
    if (reader_.TakeField(105)) {
      if (reader_.Count() != rows) reader_.Fail();
      for (uint64_t i = 0; i < rows && Going(); ++i) {
        const uint64_t offset = reader_.TakeField(100) ? reader_.Unsigned() : 0;
        const uint64_t length = reader_.TakeField(101) ? reader_.Unsigned() : 0;
        reader_.TakeEnd();
        if (offset > values || length > values - offset) reader_.Fail();
      }
    } else if (rows > 0) {
      reader_.Fail();
    }
    if (!reader_.TakeField(106)) reader_.Fail();
    if (!Going()) return;
    if (Footprint(type.children[0], values) > kMaxChunkFootprint) return reader_.Fail();
    Column(type.children[0], values, depth + 1);
    reader_.TakeEnd();
  }

  template <typename Valid>
  void Texts(const TypeTree& type, uint64_t rows, const Valid& valid) {
    if (reader_.TakeField(107)) {  // version 3
      const uint64_t total = reader_.Unsigned();
      const std::string_view lengths = Blob(108, rows * sizeof(uint32_t));
      if (!Going() || total > reader_.Rest().size()) return reader_.Fail();
      std::string_view bytes = Blob(109, total);
      for (uint64_t i = 0; i < rows && Going(); ++i) {
        const uint32_t length = At<uint32_t>(lengths, i);
        if (length > bytes.size()) return reader_.Fail();
        if (valid(i)) OneText(type, bytes.substr(0, length));
        bytes.remove_prefix(length);
      }
      if (!bytes.empty()) reader_.Fail();
      return;
    }
    if (!reader_.TakeField(102)) {
      if (rows > 0) reader_.Fail();
      return;
    }
    if (reader_.Count() != rows) reader_.Fail();
    for (uint64_t i = 0; i < rows && Going(); ++i) {
      const std::string_view text = reader_.Text();
      if (valid(i)) OneText(type, text);
    }
  }

  void OneText(const TypeTree& type, std::string_view text) {
    if (type.id == kVarchar && !base::IsUtf8(text)) reader_.Fail();
    // A BIT begins with the number of unused bits of its first byte, which are set.
    if (type.id == kBit) {
      if (text.size() < 2 || static_cast<uint8_t>(text[0]) > 7) return reader_.Fail();
      const unsigned unused = (0xFF00U >> static_cast<uint8_t>(text[0])) & 0xFF;
      if ((static_cast<uint8_t>(text[1]) & unused) != unused) reader_.Fail();
    }
  }

  Reader reader_;
  std::string refused_;
};

}  // namespace

Result<size_t> CheckChunk(std::string_view data) { return Check(data).Chunk(); }

Result<void> CheckChunks(std::string_view data, uint64_t count) {
  for (uint64_t i = 0; i < count; ++i) {
    const auto length = CheckChunk(data);
    if (!length) return std::unexpected(length.error());
    data.remove_prefix(*length);
  }
  if (data.empty()) return {};
  return Fail(ErrorCode::kInvalidArgument, "The rows that the client has sent are damaged.");
}

}  // namespace pondpilot::quack

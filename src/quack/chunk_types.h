#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "quack/wire.h"

namespace pondpilot::quack {

inline constexpr int kMaxDepth = 32;
inline constexpr uint64_t kMaxColumns = 4096;

// Ids of DuckDB's LogicalType.
enum TypeId : uint64_t {
  kNull = 1,
  kBoolean = 10,
  kTinyint = 11,
  kSmallint = 12,
  kInteger = 13,
  kBigint = 14,
  kTime = 16,
  kTimestampSeconds = 17,
  kTimestampMilliseconds = 18,
  kDecimal = 21,
  kVarchar = 25,
  kBlob = 26,
  kTimeTz = 34,
  kTimeNs = 35,
  kBit = 36,
  kStruct = 100,
  kList = 101,
  kMap = 102,
  kEnum = 104,
  kArray = 108,
};

// A type of a client's column, as far as it says what values may look like.
struct TypeTree {
  uint64_t id = 0;
  uint64_t width = 0;    // bytes of a value of fixed length; 0: not of that kind
  uint64_t members = 0;  // of an enum
  uint64_t size = 0;     // of an array
  std::vector<TypeTree> children;
};

// VARCHAR and what is stored as it is.
bool IsText(uint64_t id);
// An integer of up to 64 bits.
bool IsWhole(uint64_t id);

// Bytes that DuckDB makes room for when it reads so many values, at most kMaxChunkFootprint + 1 for each.
uint64_t Footprint(const TypeTree& type, uint64_t rows);

// Reads the LogicalType that comes next, which may be of any kind that SQL can make all values of. The reader
// fails for others; `refused` then says why, or is empty for what can't be read.
TypeTree ReadType(Reader& reader, std::string& refused);

}  // namespace pondpilot::quack

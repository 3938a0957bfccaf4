#include "quack/chunk_types.h"

#include <algorithm>
#include <string_view>

#include "base/text.h"
#include "quack/chunk_check.h"

namespace pondpilot::quack {
namespace {

enum InfoKind : uint64_t {
  kGenericInfo = 1,
  kDecimalInfo = 2,
  kCollationInfo = 3,
  kListInfo = 4,
  kStructInfo = 5,
  kEnumInfo = 6,
  kArrayInfo = 9,
};
// Bytes of the types whose values are all of one length.
uint64_t PlainWidth(uint64_t id) {
  switch (id) {
    case kNull:
    case kBoolean:
    case kTinyint:
    case 28:  // UTINYINT
      return 1;
    case kSmallint:
    case 29:
      return 2;
    case kInteger:
    case 15:  // DATE
    case 22:  // FLOAT
    case 30:
      return 4;
    case kBigint:
    case kTime:
    case kTimestampSeconds:
    case kTimestampMilliseconds:
    case 19:  // TIMESTAMP and its kin
    case 20:
    case 23:  // DOUBLE
    case 31:
    case 32:
    case 33:
    case kTimeTz:
    case kTimeNs:
      return 8;
    case 27:  // INTERVAL
    case 49:  // UHUGEINT
    case 50:  // HUGEINT
    case 54:  // UUID
      return 16;
    default:
      return 0;
  }
}

class TypeReader {
 public:
  TypeReader(Reader& reader, std::string& refused) : reader_(reader), refused_(refused) {}

  TypeTree Type(int depth) {
    TypeTree type;
    if (depth > kMaxDepth || !reader_.TakeField(100)) {
      reader_.Fail();
      return type;
    }
    type.id = reader_.Unsigned();
    bool informed = false;
    if (reader_.TakeField(101) && reader_.Bool()) {
      Info(type, depth);
      informed = true;
    }
    reader_.TakeEnd();
    if (!Going()) return type;
    if (type.width == 0) type.width = PlainWidth(type.id);
    const bool nested = type.id == kStruct || type.id == kList || type.id == kMap || type.id == kArray;
    const bool needs_info = nested || type.id == kDecimal || type.id == kEnum;
    if (needs_info && !informed) reader_.Fail();
    if (nested ? type.children.empty() : (type.width == 0 && !IsText(type.id))) {
      Refuse("Values of this type (number " + std::to_string(type.id) +
             " in DuckDB's format) can't be sent here. Cast the column, for example to VARCHAR, and cast it "
             "back where it is stored.");
    }
    return type;
  }

 private:
  void Info(TypeTree& type, int depth) {
    const uint64_t kind = reader_.TakeField(100) ? reader_.Unsigned() : 0;
    if (reader_.TakeField(101)) Alias(type);
    switch (kind) {
      case kGenericInfo:
        break;
      case kDecimalInfo: {
        if (type.id != kDecimal) reader_.Fail();
        const uint64_t digits = reader_.TakeField(200) ? reader_.Unsigned() : 0;
        const uint64_t scale = reader_.TakeField(201) ? reader_.Unsigned() : 0;
        if (digits < 1 || digits > 38 || scale > digits) reader_.Fail();
        type.width = digits <= 4 ? 2 : digits <= 9 ? 4 : digits <= 18 ? 8 : 16;
        break;
      }
      case kListInfo:
        if (type.id != kList && type.id != kMap) reader_.Fail();
        if (!reader_.TakeField(200)) reader_.Fail();
        type.children.push_back(Type(depth + 1));
        // A map's entries are pairs.
        if (type.id == kMap && Going() &&
            (type.children[0].id != kStruct || type.children[0].children.size() != 2)) {
          reader_.Fail();
        }
        break;
      case kStructInfo:
        if (type.id != kStruct) reader_.Fail();
        Members(type, depth);
        break;
      case kEnumInfo:
        if (type.id != kEnum) reader_.Fail();
        EnumMembers(type);
        break;
      case kArrayInfo:
        if (type.id != kArray || !reader_.TakeField(200)) reader_.Fail();
        type.children.push_back(Type(depth + 1));
        type.size = reader_.TakeField(201) ? reader_.Unsigned() : 0;
        if (type.size < 1 || type.size > 100'000) reader_.Fail();
        break;
      case kCollationInfo:
      default:
        reader_.Fail();
    }
    reader_.TakeEnd();
  }

  // The name of a type. DuckDB's functions for one rely on what the name promises of its values (JSON's
  // texts, the parts of an INET), which is not known here. Those of enums are the users' own.
  void Alias(const TypeTree& type) {
    const std::string_view name = reader_.Text();
    if (name.empty() || (type.id == kEnum && !base::EqualsIgnoreCase(name, "JSON"))) return;
    constexpr size_t kLongestName = 64;
    const bool shown = name.size() <= kLongestName && base::IsUtf8(name);
    Refuse(
        "Values of " + (shown ? "the type " + std::string(name) : "a type of such a name") +
        " can't be sent as such. Cast the column to the plain type, as JSON to VARCHAR; DuckDB makes them of "
        "the named type again where they are stored.");
  }

  void Members(TypeTree& type, int depth) {
    if (!reader_.TakeField(200)) reader_.Fail();
    const uint64_t members = reader_.Count();
    if (members > kMaxColumns) reader_.Fail();
    for (uint64_t i = 0; i < members && Going(); ++i) {
      if (reader_.TakeField(0) && !base::IsUtf8(reader_.Text())) reader_.Fail();
      if (!reader_.TakeField(1)) reader_.Fail();
      type.children.push_back(Type(depth + 1));
      reader_.TakeEnd();
    }
  }

  void EnumMembers(TypeTree& type) {
    if (!reader_.TakeField(200)) reader_.Fail();
    const uint64_t said = reader_.Unsigned();
    if (!reader_.TakeField(201)) reader_.Fail();
    type.members = reader_.Count();
    if (said != type.members || type.members == 0) reader_.Fail();
    std::vector<std::string_view> names;
    for (uint64_t i = 0; i < type.members && Going(); ++i) {
      names.push_back(reader_.Text());
      if (!base::IsUtf8(names.back())) reader_.Fail();
    }
    std::ranges::sort(names);
    if (std::ranges::adjacent_find(names) != names.end()) reader_.Fail();
    type.width = type.members <= 0xFF ? 1 : type.members <= 0xFFFF ? 2 : 4;
  }

  bool Going() const { return !reader_.failed() && refused_.empty(); }

  void Refuse(const std::string& why) {
    if (refused_.empty()) refused_ = why;
    reader_.Fail();
  }

  Reader& reader_;
  std::string& refused_;
};

}  // namespace

bool IsText(uint64_t id) { return id == kVarchar || id == kBlob || id == kBit; }

bool IsWhole(uint64_t id) { return (id >= kTinyint && id <= kBigint) || (id >= 28 && id <= 31); }

uint64_t Footprint(const TypeTree& type, uint64_t rows) {
  uint64_t each = type.width != 0 ? type.width : 16;
  for (const TypeTree& child : type.children) {
    // DuckDB makes room for an array's values with those of its rows, for a list's when they come.
    const uint64_t inside = Footprint(child, 1) * (type.id == kArray ? type.size : 1);
    each = std::min<uint64_t>(each + inside, kMaxChunkFootprint + 1);
  }
  return each * rows;
}

TypeTree ReadType(Reader& reader, std::string& refused) { return TypeReader(reader, refused).Type(0); }

}  // namespace pondpilot::quack

#include "proxy/grpc/airport_calls.h"

#include <google/protobuf/io/coded_stream.h>

#include <algorithm>
#include <array>
#include <string>
#include <string_view>

namespace pondpilot::proxy::grpc {

bool IsAirportAction(const Method& method, const MetadataView& metadata) {
  return method.name == "DoAction" && metadata.find("airport-user-agent") != metadata.end();
}

bool AccompaniesStatement(const ::grpc::ByteBuffer& action) {
  static constexpr std::array<std::string_view, 3> kThem = {"create_transaction", "catalog_version",
                                                            "column_statistics"};
  constexpr size_t kMaxBytes = 64 << 10;  // they hold a name and a descriptor
  constexpr uint32_t kTypeField = (1 << 3) | 2;
  constexpr uint32_t kBodyField = (2 << 3) | 2;
  if (action.Length() > kMaxBytes) return false;
  ::grpc::Slice slice;
  if (!action.TrySingleSlice(&slice).ok() && !action.DumpToSingleSlice(&slice).ok()) return false;
  google::protobuf::io::CodedInputStream in(slice.begin(), static_cast<int>(slice.size()));
  uint32_t size = 0;
  std::string type;
  if (in.ReadTag() != kTypeField || !in.ReadVarint32(&size) || size > 64 ||
      !in.ReadString(&type, static_cast<int>(size))) {
    return false;
  }
  // A second type would be the one that counts.
  if (const uint32_t tag = in.ReadTag(); tag == kBodyField) {
    if (!in.ReadVarint32(&size) || !in.Skip(static_cast<int>(size)) || in.ReadTag() != 0) return false;
  } else if (tag != 0) {
    return false;
  }
  return std::ranges::find(kThem, type) != kThem.end();
}

}  // namespace pondpilot::proxy::grpc

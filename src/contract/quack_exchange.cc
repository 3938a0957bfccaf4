#include "contract/quack_exchange.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>

#include <algorithm>
#include <string>

namespace {

using google::protobuf::io::CodedInputStream;
using google::protobuf::io::CodedOutputStream;
using Piece = pondpilot::quack::v1::Piece;

// The fields' numbers and kinds, as protobuf writes them in front of each.
constexpr uint32_t kVarint = 0;
constexpr uint32_t kBytes = 2;
constexpr uint32_t Tag(int field, uint32_t kind) { return static_cast<uint32_t>(field) << 3 | kind; }
constexpr uint32_t kDataTag = Tag(Piece::kDataFieldNumber, kBytes);
constexpr uint32_t kLastTag = Tag(Piece::kLastFieldNumber, kVarint);
constexpr uint32_t kStateTag = Tag(Piece::kHoldsStateFieldNumber, kVarint);
constexpr uint32_t kResultsTag = Tag(Piece::kHoldsResultsFieldNumber, kVarint);
constexpr uint32_t kSizeTag = Tag(Piece::kSizeFieldNumber, kVarint);
// What stands in front of the data is shorter.
constexpr size_t kHeadBytes = 64;

size_t SizeOf(const std::vector<grpc::Slice>& slices) {
  size_t size = 0;
  for (const grpc::Slice& slice : slices) size += slice.size();
  return size;
}

std::string HeadOf(const std::vector<grpc::Slice>& slices) {
  std::string head;
  for (const grpc::Slice& slice : slices) {
    if (head.size() == kHeadBytes) break;
    head.append(reinterpret_cast<const char*>(slice.begin()),
                std::min(slice.size(), kHeadBytes - head.size()));
  }
  return head;
}

}  // namespace

namespace grpc {

using pondpilot::contract::QuackPiece;

Status SerializationTraits<QuackPiece>::Serialize(const QuackPiece& piece, ByteBuffer* bytes, bool* own) {
  std::string head;
  {
    google::protobuf::io::StringOutputStream stream(&head);
    CodedOutputStream out(&stream);
    const auto write = [&](uint32_t tag, uint64_t value) {
      if (value == 0) return;
      out.WriteVarint32(tag);
      out.WriteVarint64(value);
    };
    write(kLastTag, piece.last ? 1 : 0);
    write(kStateTag, piece.holds_state ? 1 : 0);
    write(kResultsTag, piece.holds_results ? 1 : 0);
    write(kSizeTag, piece.size);
    write(kDataTag, SizeOf(piece.data));
  }
  std::vector<Slice> slices;
  slices.reserve(piece.data.size() + 1);
  slices.emplace_back(head);
  slices.insert(slices.end(), piece.data.begin(), piece.data.end());
  *bytes = ByteBuffer(slices.data(), slices.size());
  *own = true;
  return Status::OK;
}

Status SerializationTraits<QuackPiece>::Deserialize(ByteBuffer* bytes, QuackPiece* piece) {
  *piece = {};
  std::vector<Slice> slices;
  const Status dumped = bytes->Dump(&slices);
  bytes->Clear();
  if (!dumped.ok()) return dumped;
  const Status damaged(StatusCode::INTERNAL, "This is no piece of a Quack answer.");
  const std::string head = HeadOf(slices);
  CodedInputStream in(reinterpret_cast<const uint8_t*>(head.data()), static_cast<int>(head.size()));
  size_t data = 0;
  while (data == 0) {
    const uint32_t tag = in.ReadTag();
    if (tag == 0) break;
    uint64_t value = 0;
    if (!in.ReadVarint64(&value)) return damaged;
    switch (tag) {
      case kDataTag:
        data = value;
        break;
      case kLastTag:
        piece->last = value != 0;
        break;
      case kStateTag:
        piece->holds_state = value != 0;
        break;
      case kResultsTag:
        piece->holds_results = value != 0;
        break;
      case kSizeTag:
        piece->size = value;
        break;
      default:
        return damaged;
    }
  }
  auto skip = static_cast<size_t>(in.CurrentPosition());
  if (SizeOf(slices) != skip + data) return damaged;
  for (Slice& slice : slices) {
    if (skip >= slice.size()) {
      skip -= slice.size();
    } else if (skip > 0) {
      piece->data.push_back(slice.sub(skip, slice.size()));
      skip = 0;
    } else {
      piece->data.push_back(std::move(slice));
    }
  }
  return Status::OK;
}

}  // namespace grpc

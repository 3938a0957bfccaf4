#include "worker/flight/early_result.h"

#include <arrow/flight/server.h>
#include <arrow/flight/types.h>
#include <arrow/record_batch.h>
#include <arrow/type.h>
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>

#include <cstdint>

#include "contract/names.h"

namespace pondpilot::worker::flight {
namespace {

namespace fl = arrow::flight;
using google::protobuf::io::CodedOutputStream;

// Tags of FlightData's fields, all of wire type 2 (length-delimited).
constexpr uint32_t kDataHeader = (2 << 3) | 2;
constexpr uint32_t kDataBody = (1000 << 3) | 2;

// A result of few rows can have many columns, whose schema alone is too large.
constexpr int kMaxFields = 64;

void WritePadding(CodedOutputStream& out, int64_t written) {
  constexpr char kZeros[8] = {};
  out.WriteRaw(kZeros, static_cast<int>((8 - written % 8) % 8));
}

std::string Serialised(const arrow::ipc::IpcPayload& payload) {
  std::string bytes;
  {
    google::protobuf::io::StringOutputStream sink(&bytes);
    CodedOutputStream out(&sink);
    out.WriteTag(kDataHeader);
    out.WriteVarint32(static_cast<uint32_t>(payload.metadata->size()));
    out.WriteRaw(payload.metadata->data(), static_cast<int>(payload.metadata->size()));
    if (arrow::ipc::Message::HasBody(payload.type)) {
      out.WriteTag(kDataBody);
      out.WriteVarint32(static_cast<uint32_t>(payload.body_length));
      // Each buffer ends at a multiple of eight bytes, as in Arrow's IPC format.
      for (const auto& buffer : payload.body_buffers) {
        if (buffer == nullptr || buffer->size() == 0) continue;
        out.WriteRaw(buffer->data(), static_cast<int>(buffer->size()));
        WritePadding(out, buffer->size());
      }
    }
  }
  return bytes;
}

}  // namespace

arrow::Result<std::optional<std::vector<std::string>>> EarlyMessages(const session::OpenResult& result,
                                                                     size_t max_bytes) {
  const auto* batches = result.Whole();
  if (batches == nullptr || result.waiting_bytes() > max_bytes ||
      result.schema()->num_fields() > kMaxFields) {
    return std::nullopt;
  }
  arrow::RecordBatchVector rows(batches->begin(), batches->end());
  ARROW_ASSIGN_OR_RAISE(const auto reader, arrow::RecordBatchReader::Make(std::move(rows), result.schema()));
  fl::RecordBatchStream stream(reader);
  std::vector<std::string> messages;
  size_t bytes = 0;
  ARROW_ASSIGN_OR_RAISE(fl::FlightPayload payload, stream.GetSchemaPayload());
  while (payload.ipc_message.metadata != nullptr) {
    bytes += static_cast<size_t>(payload.ipc_message.metadata->size() + payload.ipc_message.body_length);
    if (bytes > max_bytes || messages.size() == contract::kMaxEarlyResultMessages) return std::nullopt;
    messages.push_back(Serialised(payload.ipc_message));
    ARROW_ASSIGN_OR_RAISE(payload, stream.Next());
  }
  return messages;
}

}  // namespace pondpilot::worker::flight

#include "worker/flight/upload.h"

#include <arrow/buffer.h>
#include <arrow/record_batch.h>
#include <arrow/type.h>
#include <arrow/util/byte_size.h>

#include <chrono>
#include <thread>
#include <utility>

#include "contract/names.h"

namespace pondpilot::worker::flight {
namespace {

namespace fl = arrow::flight;
using base::ErrorCode;
using base::Fail;
using base::Result;

// Where no proxy marks the end: a client that breaks off looks at first like one that has sent all, and the
// cancellation comes right behind the end of its messages.
constexpr std::chrono::milliseconds kEndSettle(2);

// What a batch costs beside its buffers: a column of NULLs has none.
constexpr size_t kBatchOverhead = 1024;

std::unexpected<base::Error> BrokenOff() {
  return Fail(ErrorCode::kCancelled, "The call was cancelled before all of its rows had come.");
}

}  // namespace

Upload::Upload(const fl::ServerCallContext& context, fl::FlightMessageReader& reader)
    : context_(context),
      reader_(reader),
      marked_(context.incoming_headers().contains(contract::kUploadEndHeader)) {}

Result<std::unique_ptr<Upload>> Upload::Open(const fl::ServerCallContext& context,
                                             fl::FlightMessageReader& reader) {
  std::unique_ptr<Upload> upload(new Upload(context, reader));
  auto schema = reader.GetSchema();
  if (context.is_cancelled()) return BrokenOff();
  if (!schema.ok()) {
    return Fail(ErrorCode::kInvalidArgument,
                "The schema of the rows can't be read: " + schema.status().message().substr(0, 500));
  }
  upload->schema_ = std::move(*schema);
  return upload;
}

Result<std::shared_ptr<arrow::RecordBatch>> Upload::Next() {
  for (;;) {
    auto chunk = reader_.Next();
    if (!chunk.ok()) {
      if (context_.is_cancelled()) return BrokenOff();
      if (chunk.status().IsOutOfMemory()) {
        return Fail(ErrorCode::kResourceExhausted,
                    "Out of Memory Error: a batch does not fit into memory. Send smaller ones.");
      }
      return Fail(ErrorCode::kInvalidArgument,
                  "The rows can't be read: " + chunk.status().message().substr(0, 500));
    }
    if (chunk->data != nullptr) return std::move(chunk->data);
    if (chunk->app_metadata != nullptr) {
      whole_ = whole_ || chunk->app_metadata->ToString() == contract::kUploadEndMark;
      continue;
    }
    if (!marked_) std::this_thread::sleep_for(kEndSettle);
    if ((marked_ && !whole_) || context_.is_cancelled()) return BrokenOff();
    return nullptr;
  }
}

Result<std::optional<UploadedValues>> ReadValues(const fl::ServerCallContext& context,
                                                 fl::FlightMessageReader& reader, size_t max_bytes) {
  auto upload = Upload::Open(context, reader);
  if (!upload) {
    if (upload.error().code == ErrorCode::kInvalidArgument) return std::nullopt;
    return std::unexpected(upload.error());
  }
  engine::ParameterRows values{(*upload)->schema(), {}};
  size_t bytes = 0;
  for (;;) {
    auto batch = (*upload)->Next();
    if (!batch) return std::unexpected(batch.error());
    if (*batch == nullptr) break;
    bytes += static_cast<size_t>(arrow::util::TotalBufferSize(**batch)) + kBatchOverhead;
    if (bytes > max_bytes) {
      return Fail(ErrorCode::kResourceExhausted, "The values for the parameters have more than " +
                                                     std::to_string(max_bytes) +
                                                     " bytes. Bind them in parts, or load them by ingest.");
    }
    values.batches.push_back(std::move(*batch));
  }
  if (values.schema->num_fields() == 0) return std::nullopt;
  return UploadedValues{std::make_shared<const engine::ParameterRows>(std::move(values)), bytes};
}

}  // namespace pondpilot::worker::flight

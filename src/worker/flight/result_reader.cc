#include "worker/flight/result_reader.h"

#include "worker/flight/status.h"

namespace pondpilot::worker::flight {

arrow::Status ResultReader::ReadNext(std::shared_ptr<arrow::RecordBatch>* batch) {
  auto next = stream_->Next();
  if (!next) return ToArrowStatus(next.error());
  *batch = std::move(*next);
  return arrow::Status::OK();
}

}  // namespace pondpilot::worker::flight

#pragma once

#include <arrow/record_batch.h>

#include <memory>

#include "worker/engine/engine.h"

namespace pondpilot::worker::flight {

// A result as Arrow's streams read it.
class ResultReader final : public arrow::RecordBatchReader {
 public:
  explicit ResultReader(std::shared_ptr<engine::ResultStream> stream) : stream_(std::move(stream)) {}

  std::shared_ptr<arrow::Schema> schema() const override { return stream_->schema(); }
  arrow::Status ReadNext(std::shared_ptr<arrow::RecordBatch>* batch) override;

  engine::ResultStream& stream() { return *stream_; }

 private:
  std::shared_ptr<engine::ResultStream> stream_;
};

}  // namespace pondpilot::worker::flight

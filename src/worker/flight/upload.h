#pragma once

#include <arrow/flight/server.h>

#include <memory>
#include <optional>

#include "worker/engine/engine.h"

namespace pondpilot::worker::flight {

// The rows that a client sends with DoPut. An upload that breaks off is an error, never a short one: the
// proxy marks the end of a whole one (contract::kUploadEndMark).
class Upload final : public engine::RowSource {
 public:
  // Waits for the schema. kInvalidArgument when the client sends none. Both must outlive it.
  static base::Result<std::unique_ptr<Upload>> Open(const arrow::flight::ServerCallContext& context,
                                                    arrow::flight::FlightMessageReader& reader);

  const std::shared_ptr<arrow::Schema>& schema() const override { return schema_; }
  base::Result<std::shared_ptr<arrow::RecordBatch>> Next() override;

 private:
  Upload(const arrow::flight::ServerCallContext& context, arrow::flight::FlightMessageReader& reader);

  const arrow::flight::ServerCallContext& context_;
  arrow::flight::FlightMessageReader& reader_;
  std::shared_ptr<arrow::Schema> schema_;
  const bool marked_;  // its end will be
  bool whole_ = false;
};

struct UploadedValues {
  std::shared_ptr<const engine::ParameterRows> rows;
  size_t bytes = 0;
};

// All values for parameters that a client sends, nullopt when it sends none: some clients then send no schema
// either. kResourceExhausted past `max_bytes`.
base::Result<std::optional<UploadedValues>> ReadValues(const arrow::flight::ServerCallContext& context,
                                                       arrow::flight::FlightMessageReader& reader,
                                                       size_t max_bytes);

}  // namespace pondpilot::worker::flight

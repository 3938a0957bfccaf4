#include "worker/documents/document_writer.h"

#include <utility>

namespace pondpilot::worker::documents {

namespace proto = pondpilot::sql::v1;

base::Result<std::unique_ptr<DocumentWriter>> MakeDocumentWriter(std::shared_ptr<arrow::Schema> schema,
                                                                 const proto::RunRequest& request) {
  const auto misfit = [](const char* format) {
    return base::Fail(base::ErrorCode::kInvalidArgument, std::string(format) + " has no such shape.");
  };
  switch (request.format()) {
    case proto::FORMAT_JSON:
      return MakeJsonWriter(std::move(schema), request.shape(), request.all_numbers());
    case proto::FORMAT_NDJSON:
      if (request.shape() == proto::SHAPE_COLUMNS) return misfit("NDJSON");
      return MakeNdjsonWriter(std::move(schema), request.shape(), request.all_numbers());
    case proto::FORMAT_CSV:
      if (request.shape() != proto::SHAPE_OBJECTS) return misfit("CSV");
      return MakeCsvWriter(std::move(schema));
    case proto::FORMAT_ARROW_STREAM:
      if (request.shape() != proto::SHAPE_OBJECTS) return misfit("An Arrow stream");
      return MakeArrowWriter(std::move(schema));
    default:
      return base::Fail(base::ErrorCode::kInvalidArgument,
                        "The request names no format that this worker has.");
  }
}

}  // namespace pondpilot::worker::documents

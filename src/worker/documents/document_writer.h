#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/error.h"
#include "contract/sql.pb.h"

namespace arrow {
class RecordBatch;
class Schema;
}  // namespace arrow

namespace pondpilot::worker::documents {

// About so much is written before it is passed on.
inline constexpr size_t kPieceBytes = 128 << 10;
// A result in SHAPE_COLUMNS is whole in memory before its first byte goes out.
inline constexpr size_t kMaxColumnsBytes = 16 << 20;

// Writes a result as a document of one format, in the order Begin, Rows…, End or Fail. Everything is appended
// to `out`, which the caller may empty in between.
class DocumentWriter {
 public:
  virtual ~DocumentWriter() = default;

  // What stands before the rows.
  virtual base::Result<void> Begin(std::string& out) = 0;
  // Rows of the batch from `from` on, until `out` has about kPieceBytes; returns the first row that is left,
  // the number of rows when none is.
  virtual base::Result<int64_t> Rows(const std::shared_ptr<arrow::RecordBatch>& batch, int64_t from,
                                     std::string& out) = 0;
  virtual base::Result<void> End(std::string& out) = 0;
  // Instead of End: the error, where the format has a place for it. True when the document is well-formed all
  // the same.
  virtual bool Fail(const base::Error& error, std::string& out) = 0;
};

// kInvalidArgument for a format and shape that do not go together.
base::Result<std::unique_ptr<DocumentWriter>> MakeDocumentWriter(
    std::shared_ptr<arrow::Schema> schema, const pondpilot::sql::v1::RunRequest& request);

// For MakeDocumentWriter.
std::unique_ptr<DocumentWriter> MakeCsvWriter(std::shared_ptr<arrow::Schema> schema);
std::unique_ptr<DocumentWriter> MakeArrowWriter(std::shared_ptr<arrow::Schema> schema);
std::unique_ptr<DocumentWriter> MakeJsonWriter(std::shared_ptr<arrow::Schema> schema,
                                               pondpilot::sql::v1::Shape shape, bool all_numbers);
std::unique_ptr<DocumentWriter> MakeNdjsonWriter(std::shared_ptr<arrow::Schema> schema,
                                                 pondpilot::sql::v1::Shape shape, bool all_numbers);

}  // namespace pondpilot::worker::documents

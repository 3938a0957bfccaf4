#include <arrow/record_batch.h>
#include <arrow/type.h>

#include <utility>
#include <vector>

#include "worker/documents/document_writer.h"
#include "worker/documents/value_writer.h"

namespace pondpilot::worker::documents {
namespace {

using Batch = std::shared_ptr<arrow::RecordBatch>;

// In quotes where RFC 4180 wants them, and when it is empty: nothing at all is NULL.
void AppendField(std::string_view text, std::string& out) {
  if (!text.empty() && text.find_first_of(",\"\r\n") == std::string_view::npos) {
    out += text;
    return;
  }
  out += '"';
  for (const char c : text) {
    if (c == '"') out += '"';
    out += c;
  }
  out += '"';
}

class CsvWriter final : public DocumentWriter {
 public:
  explicit CsvWriter(std::shared_ptr<arrow::Schema> schema) : schema_(std::move(schema)) {
    for (const auto& field : schema_->fields()) writers_.push_back(MakeValueWriter(*field->type(), true));
  }

  base::Result<void> Begin(std::string& out) override {
    for (int i = 0; i < schema_->num_fields(); ++i) {
      if (i > 0) out += ',';
      AppendField(schema_->field(i)->name(), out);
    }
    out += '\n';
    return {};
  }
  base::Result<int64_t> Rows(const Batch& batch, int64_t from, std::string& out) override {
    if (bound_ != batch) {
      bound_ = batch;
      for (size_t i = 0; i < writers_.size(); ++i) writers_[i]->Bind(batch->column(static_cast<int>(i)));
    }
    int64_t row = from;
    for (; row < batch->num_rows() && out.size() < kPieceBytes; ++row) {
      for (size_t i = 0; i < writers_.size(); ++i) {
        if (i > 0) out += ',';
        if (writers_[i]->IsNull(row)) continue;
        field_.clear();
        writers_[i]->Text(row, field_);
        AppendField(field_, out);
      }
      out += '\n';
    }
    return row;
  }
  base::Result<void> End(std::string&) override { return {}; }
  bool Fail(const base::Error&, std::string&) override { return false; }

 private:
  std::shared_ptr<arrow::Schema> schema_;
  std::vector<std::unique_ptr<ValueWriter>> writers_;
  Batch bound_;
  std::string field_;
};

}  // namespace

std::unique_ptr<DocumentWriter> MakeCsvWriter(std::shared_ptr<arrow::Schema> schema) {
  return std::make_unique<CsvWriter>(std::move(schema));
}

}  // namespace pondpilot::worker::documents

#include <arrow/buffer.h>
#include <arrow/io/interfaces.h>
#include <arrow/ipc/writer.h>
#include <arrow/record_batch.h>
#include <arrow/type.h>

#include <utility>

#include "worker/documents/document_writer.h"

namespace pondpilot::worker::documents {
namespace {

// Takes what Arrow writes; emptied by Drain.
class TextSink final : public arrow::io::OutputStream {
 public:
  arrow::Status Close() override {
    closed_ = true;
    return arrow::Status::OK();
  }
  bool closed() const override { return closed_; }
  arrow::Result<int64_t> Tell() const override { return position_; }
  using arrow::io::OutputStream::Write;
  arrow::Status Write(const void* data, int64_t bytes) override {
    text_.append(static_cast<const char*>(data), static_cast<size_t>(bytes));
    position_ += bytes;
    return arrow::Status::OK();
  }
  void Drain(std::string& out) {
    out += text_;
    text_.clear();
  }

 private:
  std::string text_;
  int64_t position_ = 0;
  bool closed_ = false;
};

base::Result<void> Told(const arrow::Status& status) {
  if (status.ok()) return {};
  return base::Fail(base::ErrorCode::kInternal, "The result can't be written as an Arrow stream.",
                    status.ToString());
}

class ArrowWriter final : public DocumentWriter {
 public:
  explicit ArrowWriter(std::shared_ptr<arrow::Schema> schema) : schema_(std::move(schema)) {}

  base::Result<void> Begin(std::string& out) override {
    auto writer = arrow::ipc::MakeStreamWriter(sink_, schema_);
    if (!writer.ok()) return Told(writer.status());
    writer_ = *writer;
    sink_->Drain(out);
    return {};
  }
  base::Result<int64_t> Rows(const std::shared_ptr<arrow::RecordBatch>& batch, int64_t,
                             std::string& out) override {
    if (const auto written = Told(writer_->WriteRecordBatch(*batch)); !written)
      return std::unexpected(written.error());
    sink_->Drain(out);
    return batch->num_rows();
  }
  base::Result<void> End(std::string& out) override {
    const auto ended = Told(writer_->Close());
    sink_->Drain(out);
    return ended;
  }
  bool Fail(const base::Error&, std::string&) override { return false; }

 private:
  std::shared_ptr<arrow::Schema> schema_;
  std::shared_ptr<TextSink> sink_ = std::make_shared<TextSink>();
  std::shared_ptr<arrow::ipc::RecordBatchWriter> writer_;
};

}  // namespace

std::unique_ptr<DocumentWriter> MakeArrowWriter(std::shared_ptr<arrow::Schema> schema) {
  return std::make_unique<ArrowWriter>(std::move(schema));
}

}  // namespace pondpilot::worker::documents

#include <arrow/record_batch.h>
#include <arrow/type.h>

#include <unordered_set>
#include <utility>
#include <vector>

#include "contract/sql_codes.h"
#include "worker/documents/document_writer.h"
#include "worker/documents/value_writer.h"

namespace pondpilot::worker::documents {
namespace {

namespace proto = pondpilot::sql::v1;
using Batch = std::shared_ptr<arrow::RecordBatch>;

struct Column {
  std::string name;
  std::string type;
  std::string key;  // the name as a JSON string, and a colon
  std::unique_ptr<ValueWriter> writer;
};

// Keys of an object are unique: a name that comes again gets a number behind it.
std::vector<Column> ColumnsOf(const arrow::Schema& schema, bool all_numbers) {
  std::vector<Column> columns;
  std::unordered_set<std::string> taken;
  for (const auto& field : schema.fields()) taken.insert(field->name());
  std::unordered_set<std::string> used;
  for (const auto& field : schema.fields()) {
    std::string name = field->name();
    for (int number = 1; used.contains(name) || (number > 1 && taken.contains(name)); ++number) {
      name = field->name() + "_" + std::to_string(number);
    }
    used.insert(name);
    Column& column = columns.emplace_back();
    AppendJsonString(name, column.key);
    column.key += ':';
    column.name = std::move(name);
    column.type = SqlTypeName(*field);
    column.writer = MakeValueWriter(*field->type(), all_numbers);
  }
  return columns;
}

void AppendError(const base::Error& error, std::string& out) {
  out += R"("error":{"code":)";
  AppendJsonString(contract::SqlProblemCode(error.code), out);
  out += R"(,"detail":)";
  AppendJsonString(error.message, out);
  out += '}';
}

// What the forms of JSON share: columns and how a row is written.
class JsonBase : public DocumentWriter {
 public:
  JsonBase(const arrow::Schema& schema, proto::Shape shape, bool all_numbers)
      : columns_(ColumnsOf(schema, all_numbers)), objects_(shape == proto::SHAPE_OBJECTS) {}

 protected:
  std::vector<Column>& columns() { return columns_; }

  void Bind(const Batch& batch) {
    if (bound_ == batch) return;
    bound_ = batch;
    for (size_t i = 0; i < columns_.size(); ++i) columns_[i].writer->Bind(batch->column(static_cast<int>(i)));
  }
  void AppendRow(int64_t row, std::string& out) const {
    out += objects_ ? '{' : '[';
    bool first = true;
    for (const Column& column : columns_) {
      if (!first) out += ',';
      first = false;
      if (objects_) out += column.key;
      column.writer->JsonOrNull(row, out);
    }
    out += objects_ ? '}' : ']';
  }
  // [{"name": …, "type": …}, …]
  void AppendColumns(std::string& out) const {
    out += R"("columns":[)";
    bool first = true;
    for (const Column& column : columns_) {
      out += first ? R"({"name":)" : R"(,{"name":)";
      first = false;
      AppendJsonString(column.name, out);
      out += R"(,"type":)";
      AppendJsonString(column.type, out);
      out += '}';
    }
    out += ']';
  }

 private:
  std::vector<Column> columns_;
  bool objects_;
  Batch bound_;
};

// {"columns": […], "rows": […], "row_count": N}
class JsonRows final : public JsonBase {
 public:
  using JsonBase::JsonBase;

  base::Result<void> Begin(std::string& out) override {
    out += '{';
    AppendColumns(out);
    out += ",\"rows\":[";
    return {};
  }
  base::Result<int64_t> Rows(const Batch& batch, int64_t from, std::string& out) override {
    Bind(batch);
    int64_t row = from;
    for (; row < batch->num_rows() && out.size() < kPieceBytes; ++row) {
      out += count_++ == 0 ? "\n" : ",\n";
      AppendRow(row, out);
    }
    return row;
  }
  base::Result<void> End(std::string& out) override {
    Close(out);
    out += "}\n";
    return {};
  }
  bool Fail(const base::Error& error, std::string& out) override {
    Close(out);
    out += ',';
    AppendError(error, out);
    out += "}\n";
    return true;
  }

 private:
  void Close(std::string& out) const {
    out += count_ == 0 ? "]" : "\n]";
    out += R"(,"row_count":)" + std::to_string(count_);
  }

  int64_t count_ = 0;
};

// {"columns": […], "data": {"name": […], …}, "row_count": N}
class JsonColumns final : public JsonBase {
 public:
  JsonColumns(const arrow::Schema& schema, bool all_numbers)
      : JsonBase(schema, proto::SHAPE_COLUMNS, all_numbers), data_(columns().size()) {}

  base::Result<void> Begin(std::string&) override { return {}; }
  base::Result<int64_t> Rows(const Batch& batch, int64_t, std::string&) override {
    Bind(batch);
    // A column's values lie together, and so does its text.
    for (size_t i = 0; i < data_.size(); ++i) {
      const size_t before = data_[i].size();
      for (int64_t row = 0; row < batch->num_rows(); ++row) {
        if (count_ + row > 0) data_[i] += ',';
        columns()[i].writer->JsonOrNull(row, data_[i]);
        if (bytes_ + data_[i].size() - before > kMaxColumnsBytes) {
          return base::Fail(
              base::ErrorCode::kResourceExhausted,
              "The result is larger than the " + std::to_string(kMaxColumnsBytes >> 20) +
                  " MiB that the shape \"columns\" may have, which is put together in memory. Ask for rows, "
                  "or for an Arrow stream, which has columns too.");
        }
      }
      bytes_ += data_[i].size() - before;
    }
    count_ += batch->num_rows();
    return batch->num_rows();
  }
  base::Result<void> End(std::string& out) override {
    out += '{';
    AppendColumns(out);
    out += ",\"data\":{";
    for (size_t i = 0; i < data_.size(); ++i) {
      out += i == 0 ? "\n" : ",\n";
      out += columns()[i].key;
      out += '[';
      out += data_[i];
      out += ']';
      data_[i] = {};
    }
    out += R"(},"row_count":)" + std::to_string(count_) + "}\n";
    return {};
  }
  bool Fail(const base::Error&, std::string&) override { return false; }  // nothing has gone out

 private:
  std::vector<std::string> data_;
  size_t bytes_ = 0;
  int64_t count_ = 0;
};

class Ndjson final : public JsonBase {
 public:
  using JsonBase::JsonBase;

  base::Result<void> Begin(std::string&) override { return {}; }
  base::Result<int64_t> Rows(const Batch& batch, int64_t from, std::string& out) override {
    Bind(batch);
    int64_t row = from;
    for (; row < batch->num_rows() && out.size() < kPieceBytes; ++row) {
      AppendRow(row, out);
      out += '\n';
    }
    return row;
  }
  base::Result<void> End(std::string&) override { return {}; }
  // A row could look like this line: the cut behind it tells them apart.
  bool Fail(const base::Error& error, std::string& out) override {
    out += '{';
    AppendError(error, out);
    out += "}\n";
    return false;
  }
};

}  // namespace

std::unique_ptr<DocumentWriter> MakeJsonWriter(std::shared_ptr<arrow::Schema> schema, proto::Shape shape,
                                               bool all_numbers) {
  if (shape == proto::SHAPE_COLUMNS) return std::make_unique<JsonColumns>(*schema, all_numbers);
  return std::make_unique<JsonRows>(*schema, shape, all_numbers);
}

std::unique_ptr<DocumentWriter> MakeNdjsonWriter(std::shared_ptr<arrow::Schema> schema, proto::Shape shape,
                                                 bool all_numbers) {
  return std::make_unique<Ndjson>(*schema, shape, all_numbers);
}

}  // namespace pondpilot::worker::documents

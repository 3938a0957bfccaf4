#include "worker/documents/parameters.h"

#include <arrow/api.h>

#include <algorithm>
#include <optional>
#include <string>

namespace pondpilot::worker::documents {
namespace {

namespace proto = pondpilot::sql::v1;
using Kind = proto::Value::KindCase;

bool IsNumber(Kind kind) { return kind == Kind::kInteger || kind == Kind::kNatural || kind == Kind::kNumber; }

// The kind that both can be; nullopt when there is none.
std::optional<Kind> Common(Kind a, Kind b) {
  if (a == b || b == Kind::KIND_NOT_SET) return a;
  if (a == Kind::KIND_NOT_SET) return b;
  if (IsNumber(a) && IsNumber(b)) return Kind::kNumber;
  return std::nullopt;
}

std::shared_ptr<arrow::DataType> TypeOf(Kind kind) {
  switch (kind) {
    case Kind::kBoolean:
      return arrow::boolean();
    case Kind::kInteger:
      return arrow::int64();
    case Kind::kNatural:
      return arrow::uint64();
    case Kind::kNumber:
      return arrow::float64();
    case Kind::kText:
      return arrow::utf8();
    default:
      return arrow::null();
  }
}

double AsDouble(const proto::Value& value) {
  switch (value.kind_case()) {
    case Kind::kInteger:
      return static_cast<double>(value.integer());
    case Kind::kNatural:
      return static_cast<double>(value.natural());
    default:
      return value.number();
  }
}

// Appends a value to a builder of TypeOf(kind).
arrow::Status Append(const proto::Value& value, Kind kind, arrow::ArrayBuilder& builder) {
  if (value.kind_case() == Kind::KIND_NOT_SET) return builder.AppendNull();
  switch (kind) {
    case Kind::kBoolean:
      return static_cast<arrow::BooleanBuilder&>(builder).Append(value.boolean());
    case Kind::kInteger:
      return static_cast<arrow::Int64Builder&>(builder).Append(value.integer());
    case Kind::kNatural:
      return static_cast<arrow::UInt64Builder&>(builder).Append(value.natural());
    case Kind::kNumber:
      return static_cast<arrow::DoubleBuilder&>(builder).Append(AsDouble(value));
    case Kind::kText:
      return static_cast<arrow::StringBuilder&>(builder).Append(value.text());
    default:
      return builder.AppendNull();
  }
}

arrow::Result<std::shared_ptr<arrow::Array>> OneValue(const proto::Value& value, Kind kind) {
  ARROW_ASSIGN_OR_RAISE(auto builder, arrow::MakeBuilder(TypeOf(kind), arrow::system_memory_pool()));
  ARROW_RETURN_NOT_OK(Append(value, kind, *builder));
  return builder->Finish();
}

arrow::Result<std::shared_ptr<arrow::Array>> OneList(const proto::List& list, Kind kind) {
  ARROW_ASSIGN_OR_RAISE(auto builder,
                        arrow::MakeBuilder(arrow::list(TypeOf(kind)), arrow::system_memory_pool()));
  auto& lists = static_cast<arrow::ListBuilder&>(*builder);
  ARROW_RETURN_NOT_OK(lists.Append());
  for (const proto::Value& value : list.values())
    ARROW_RETURN_NOT_OK(Append(value, kind, *lists.value_builder()));
  return builder->Finish();
}

base::Result<std::shared_ptr<arrow::Array>> ColumnOf(const proto::Value& value, const std::string& where) {
  arrow::Result<std::shared_ptr<arrow::Array>> column;
  if (value.kind_case() == Kind::kList) {
    std::optional<Kind> kind = Kind::KIND_NOT_SET;
    for (const proto::Value& element : value.list().values()) {
      kind = element.kind_case() == Kind::kList ? std::nullopt : Common(*kind, element.kind_case());
      if (!kind) {
        return base::Fail(
            base::ErrorCode::kInvalidArgument,
            where +
                " is a list whose elements are not all of one kind. Send numbers only, texts only or "
                "true and false only.");
      }
    }
    column = OneList(value.list(), *kind);
  } else {
    column = OneValue(value, value.kind_case());
  }
  if (column.ok()) return std::move(*column);
  return base::Fail(base::ErrorCode::kInvalidArgument,
                    where + " can't be taken: " + column.status().message());
}

}  // namespace

base::Result<engine::ParameterRows> ToParameterRows(const proto::RunRequest& request) {
  arrow::FieldVector fields;
  arrow::ArrayVector columns;
  for (const proto::Parameter& parameter : request.parameters()) {
    const std::string number = std::to_string(columns.size() + 1);
    auto column = ColumnOf(parameter.value(),
                           "The parameter " + (parameter.name().empty() ? number : "$" + parameter.name()));
    if (!column) return std::unexpected(column.error());
    fields.push_back(arrow::field(parameter.name().empty() ? number : parameter.name(), (*column)->type()));
    columns.push_back(std::move(*column));
  }
  engine::ParameterRows rows;
  rows.schema = arrow::schema(std::move(fields));
  rows.batches.push_back(arrow::RecordBatch::Make(rows.schema, 1, std::move(columns)));
  return rows;
}

}  // namespace pondpilot::worker::documents

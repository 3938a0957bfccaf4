// What each type looks like in each format. Expected texts are those of docs/http-api.md.
#include "worker/documents/document_writer.h"

#include <arrow/api.h>
#include <arrow/io/memory.h>
#include <arrow/ipc/reader.h>
#include <arrow/json/from_string.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "worker/documents/value_writer.h"

namespace pondpilot::worker::documents {
namespace {

namespace proto = pondpilot::sql::v1;

std::shared_ptr<arrow::Array> Array(const std::shared_ptr<arrow::DataType>& type, const std::string& json) {
  return *arrow::json::ArrayFromJSONString(type, json);
}

std::shared_ptr<arrow::RecordBatch> BatchOf(const std::vector<std::string>& names,
                                            const arrow::ArrayVector& columns) {
  arrow::FieldVector fields;
  for (size_t i = 0; i < names.size(); ++i) fields.push_back(arrow::field(names[i], columns[i]->type()));
  return arrow::RecordBatch::Make(arrow::schema(fields), columns[0]->length(), columns);
}

proto::RunRequest Wants(proto::Format format, proto::Shape shape = proto::SHAPE_OBJECTS,
                        bool all_numbers = false) {
  proto::RunRequest request;
  request.set_format(format);
  request.set_shape(shape);
  request.set_all_numbers(all_numbers);
  return request;
}

std::string Document(const std::shared_ptr<arrow::RecordBatch>& batch, const proto::RunRequest& request) {
  auto writer = MakeDocumentWriter(batch->schema(), request);
  if (!writer) return writer.error().message;
  std::string out;
  EXPECT_TRUE((*writer)->Begin(out));
  for (int64_t row = 0; row < batch->num_rows();) {
    std::string piece;
    const auto next = (*writer)->Rows(batch, row, piece);
    if (!next) return next.error().message;
    EXPECT_GT(*next, row);
    row = *next;
    out += piece;
  }
  EXPECT_TRUE((*writer)->End(out));
  return out;
}

// The values of one column as NDJSON writes them, one behind the other.
std::string Values(const std::shared_ptr<arrow::Array>& column, bool all_numbers = false) {
  std::string out =
      Document(BatchOf({"v"}, {column}), Wants(proto::FORMAT_NDJSON, proto::SHAPE_ARRAYS, all_numbers));
  for (size_t at; (at = out.find("]\n[")) != std::string::npos;) out.replace(at, 3, " ");
  return out.substr(1, out.size() - 3);
}
std::string Values(const std::shared_ptr<arrow::DataType>& type, const std::string& json,
                   bool all_numbers = false) {
  return Values(Array(type, json), all_numbers);
}
std::string Csv(const std::shared_ptr<arrow::DataType>& type, const std::string& json) {
  return Document(BatchOf({"v"}, {Array(type, json)}), Wants(proto::FORMAT_CSV));
}

TEST(DocumentTest, NumbersThatADoubleKeepsAreNumbers) {
  EXPECT_EQ(Values(arrow::int64(), "[1, -9007199254740991, 9007199254740992, null]"),
            "1 -9007199254740991 \"9007199254740992\" null");
  EXPECT_EQ(Values(arrow::int64(), "[9223372036854775807]", true), "9223372036854775807");
  EXPECT_EQ(Values(arrow::uint64(), "[18446744073709551615]"), "\"18446744073709551615\"");
  EXPECT_EQ(Values(arrow::int8(), "[-128]"), "-128");
  EXPECT_EQ(Values(arrow::decimal128(10, 2), "[\"1.50\", \"-0.05\", \"0.00\"]"), "1.50 -0.05 0.00");
  EXPECT_EQ(Values(arrow::decimal128(38, 20), "[\"123456789012345678.12345678901234567890\"]"),
            "\"123456789012345678.12345678901234567890\"");
  EXPECT_EQ(Values(arrow::decimal128(38, 20), "[\"0.00000000000000000001\"]"), "0.00000000000000000001");
  EXPECT_EQ(Values(arrow::decimal128(38, 0), "[\"9007199254740991\", \"9007199254740992\"]"),
            "9007199254740991 \"9007199254740992\"");
  EXPECT_EQ(Values(arrow::decimal64(18, 0), "[\"999999999999999999\"]", true), "999999999999999999");
}

TEST(DocumentTest, NumbersThatJsonHasNotAreTexts) {
  EXPECT_EQ(Values(arrow::float64(), "[NaN, Inf, -Inf, 0.1, 1e300, -0.0]"),
            "\"NaN\" \"Infinity\" \"-Infinity\" 0.1 1e+300 -0");
  EXPECT_EQ(Values(arrow::float32(), "[0.1, NaN]"), "0.1 \"NaN\"");
}

TEST(DocumentTest, Texts) {
  EXPECT_EQ(Values(arrow::utf8(), R"(["a\"b\\c\n\u0001é", ""])"), R"("a\"b\\c\n\u0001é" "")");
  for (const auto& type : {arrow::large_utf8(), arrow::utf8_view()})
    EXPECT_EQ(Values(type, R"(["x"])"), R"("x")");
  std::string out;
  AppendJsonString("a\xFF\xC3\xA9\xE2\x82", out);
  EXPECT_EQ(out, "\"a\xEF\xBF\xBD\xC3\xA9\xEF\xBF\xBD\xEF\xBF\xBD\"");
  EXPECT_EQ(Values(arrow::binary(), R"(["abcd", ""])"), R"("YWJjZA==" "")");
}

TEST(DocumentTest, Times) {
  EXPECT_EQ(Values(arrow::date32(), "[0, 2147483647, -2147483647]"),
            R"("1970-01-01" "infinity" "-infinity")");
  EXPECT_EQ(Values(arrow::timestamp(arrow::TimeUnit::MICRO), "[0]"), R"("1970-01-01T00:00:00")");
  EXPECT_EQ(Values(arrow::timestamp(arrow::TimeUnit::MICRO, "Europe/Berlin"), "[1]"),
            R"("1970-01-01T00:00:00.000001Z")");
  EXPECT_EQ(Values(arrow::timestamp(arrow::TimeUnit::NANO), "[9223372036854775807]"), R"("infinity")");
  EXPECT_EQ(Values(arrow::time64(arrow::TimeUnit::MICRO), "[86399000001]"), R"("23:59:59.000001")");
  EXPECT_EQ(Values(arrow::month_day_nano_interval(), "[[1, 2, 3000000000]]"), R"("P1M2DT3S")");
}

TEST(DocumentTest, Nested) {
  EXPECT_EQ(Values(arrow::list(arrow::int32()), "[[1, null], [], null]"), "[1,null] [] null");
  EXPECT_EQ(Values(arrow::list_view(arrow::int32()), "[[1], [2, 3]]"), "[1] [2,3]");
  EXPECT_EQ(Values(arrow::fixed_size_list(arrow::int32(), 2), "[[1, 2], null, [3, 4]]"), "[1,2] null [3,4]");
  EXPECT_EQ(Values(arrow::struct_(
                       {arrow::field("a", arrow::utf8()), arrow::field("b", arrow::list(arrow::int8()))}),
                   R"([{"a": "x", "b": [1]}, {"a": null, "b": null}, null])"),
            R"({"a":"x","b":[1]} {"a":null,"b":null} null)");
  EXPECT_EQ(Values(arrow::map(arrow::utf8(), arrow::int32()), R"([[["k", 1], ["l", null]], []])"),
            R"({"k":1,"l":null} {})");
  EXPECT_EQ(Values(arrow::map(arrow::int32(), arrow::utf8()), R"([[[1, "x"]]])"),
            R"([{"key":1,"value":"x"}])");
  EXPECT_EQ(Values(arrow::sparse_union({arrow::field("i", arrow::int32()), arrow::field("s", arrow::utf8())}),
                   R"([[0, 1], [1, "x"], [0, null]])"),
            R"({"i":1} {"s":"x"} null)");
}

TEST(DocumentTest, SlicesAreReadWhereTheyAre) {
  const auto lists = Array(arrow::list(arrow::int32()), "[[1], [2, 3], [4]]")->Slice(1, 2);
  EXPECT_EQ(Values(lists), "[2,3] [4]");
  const auto fixed = Array(arrow::fixed_size_list(arrow::int32(), 2), "[[1, 2], [3, 4]]")->Slice(1);
  EXPECT_EQ(Values(fixed), "[3,4]");
  const auto rows =
      Array(arrow::struct_({arrow::field("a", arrow::int32())}), R"([{"a": 1}, {"a": 2}])")->Slice(1);
  EXPECT_EQ(Values(rows), R"({"a":2})");
  const auto maps = Array(arrow::map(arrow::utf8(), arrow::int32()), R"([[["a", 1]], [["b", 2]]])")->Slice(1);
  EXPECT_EQ(Values(maps), R"({"b":2})");
}

TEST(DocumentTest, Json) {
  const auto batch =
      BatchOf({"a", "b"}, {Array(arrow::int32(), "[1, 2]"), Array(arrow::utf8(), R"(["x", null])")});
  EXPECT_EQ(Document(batch, Wants(proto::FORMAT_JSON)),
            R"({"columns":[{"name":"a","type":"INTEGER"},{"name":"b","type":"VARCHAR"}],"rows":[)"
            "\n{\"a\":1,\"b\":\"x\"},\n{\"a\":2,\"b\":null}\n],\"row_count\":2}\n");
  EXPECT_EQ(Document(batch, Wants(proto::FORMAT_JSON, proto::SHAPE_ARRAYS)),
            R"({"columns":[{"name":"a","type":"INTEGER"},{"name":"b","type":"VARCHAR"}],"rows":[)"
            "\n[1,\"x\"],\n[2,null]\n],\"row_count\":2}\n");
  EXPECT_EQ(Document(batch, Wants(proto::FORMAT_JSON, proto::SHAPE_COLUMNS)),
            R"({"columns":[{"name":"a","type":"INTEGER"},{"name":"b","type":"VARCHAR"}],"data":{)"
            "\n\"a\":[1,2],\n\"b\":[\"x\",null]},\"row_count\":2}\n");
  EXPECT_EQ(
      Document(batch->Slice(0, 0), Wants(proto::FORMAT_JSON)),
      R"({"columns":[{"name":"a","type":"INTEGER"},{"name":"b","type":"VARCHAR"}],"rows":[],"row_count":0})"
      "\n");
}

TEST(DocumentTest, NamesThatComeTwiceAreToldApart) {
  const auto one = Array(arrow::int32(), "[1]");
  EXPECT_EQ(Document(BatchOf({"a", "a", "a_1", "a"}, {one, one, one, one}), Wants(proto::FORMAT_NDJSON)),
            "{\"a\":1,\"a_2\":1,\"a_1\":1,\"a_3\":1}\n");
  EXPECT_EQ(Document(BatchOf({"a", "a"}, {one, one}), Wants(proto::FORMAT_NDJSON)), "{\"a\":1,\"a_1\":1}\n");
}

TEST(DocumentTest, AnErrorInTheMiddle) {
  const auto batch = BatchOf({"a"}, {Array(arrow::int32(), "[1]")});
  const base::Error error{base::ErrorCode::kInvalidArgument, "It \"broke\".", "", {}};
  const auto broken = [&](proto::Format format, bool* told) {
    const auto writer = *MakeDocumentWriter(batch->schema(), Wants(format));
    std::string out;
    EXPECT_TRUE(writer->Begin(out));
    EXPECT_TRUE(writer->Rows(batch, 0, out));
    *told = writer->Fail(error, out);
    return out;
  };
  bool told = false;
  EXPECT_EQ(broken(proto::FORMAT_JSON, &told), R"({"columns":[{"name":"a","type":"INTEGER"}],"rows":[)"
                                               "\n{\"a\":1}\n],\"row_count\":1,\"error\":{\"code\":\"sql_"
                                               "error\",\"detail\":\"It \\\"broke\\\".\"}}\n");
  EXPECT_TRUE(told);
  EXPECT_EQ(broken(proto::FORMAT_NDJSON, &told),
            "{\"a\":1}\n{\"error\":{\"code\":\"sql_error\",\"detail\":\"It \\\"broke\\\".\"}}\n");
  EXPECT_FALSE(told);
  EXPECT_EQ(broken(proto::FORMAT_CSV, &told), "a\n1\n");
  EXPECT_FALSE(told);
}

TEST(DocumentTest, CsvTellsNullFromNothing) {
  EXPECT_EQ(Csv(arrow::utf8(), R"(["a", "", null, "b,c", "d\"e", "f\ng"])"),
            "v\na\n\"\"\n\n\"b,c\"\n\"d\"\"e\"\n\"f\ng\"\n");
  EXPECT_EQ(Csv(arrow::int64(), "[9223372036854775807]"), "v\n9223372036854775807\n");
  EXPECT_EQ(Csv(arrow::float64(), "[NaN]"), "v\nNaN\n");
  EXPECT_EQ(Csv(arrow::list(arrow::int32()), "[[1, 2]]"), "v\n\"[1,2]\"\n");
  EXPECT_EQ(Csv(arrow::timestamp(arrow::TimeUnit::SECOND), "[0]"), "v\n1970-01-01T00:00:00\n");
}

TEST(DocumentTest, ArrowIsWhatArrowReads) {
  const auto batch =
      BatchOf({"a", "b"}, {Array(arrow::int32(), "[1, 2]"), Array(arrow::utf8(), R"(["x", null])")});
  const std::string document = Document(batch, Wants(proto::FORMAT_ARROW_STREAM));
  const auto reader = *arrow::ipc::RecordBatchStreamReader::Open(
      std::make_shared<arrow::io::BufferReader>(arrow::Buffer::FromString(document)));
  const auto table = *reader->ToTable();
  EXPECT_TRUE(table->Equals(**arrow::Table::FromRecordBatches({batch})));
}

TEST(DocumentTest, ManyRowsComeInPieces) {
  arrow::Int64Builder builder;
  for (int64_t i = 0; i < 100'000; ++i) ASSERT_TRUE(builder.Append(i).ok());
  const auto batch = BatchOf({"n"}, {*builder.Finish()});
  const auto writer = *MakeDocumentWriter(batch->schema(), Wants(proto::FORMAT_NDJSON));
  std::string out;
  const auto next = writer->Rows(batch, 0, out);
  ASSERT_TRUE(next);
  EXPECT_LT(*next, 100'000);
  EXPECT_LT(out.size(), kPieceBytes + 100);
}

TEST(DocumentTest, ColumnsHaveABound) {
  const std::string wide(1 << 20, 'x');
  arrow::StringBuilder builder;
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(builder.Append(wide).ok());
  const auto batch = BatchOf({"s"}, {*builder.Finish()});
  const auto writer = *MakeDocumentWriter(batch->schema(), Wants(proto::FORMAT_JSON, proto::SHAPE_COLUMNS));
  std::string out;
  const auto rows = writer->Rows(batch, 0, out);
  ASSERT_FALSE(rows);
  EXPECT_EQ(rows.error().code, base::ErrorCode::kResourceExhausted);
  EXPECT_TRUE(out.empty());
}

TEST(DocumentTest, ShapesThatAFormatHasNot) {
  const auto batch = BatchOf({"a"}, {Array(arrow::int32(), "[1]")});
  EXPECT_EQ(Document(batch, Wants(proto::FORMAT_CSV, proto::SHAPE_ARRAYS)), "CSV has no such shape.");
  EXPECT_EQ(Document(batch, Wants(proto::FORMAT_NDJSON, proto::SHAPE_COLUMNS)), "NDJSON has no such shape.");
  EXPECT_EQ(Document(batch, Wants(proto::FORMAT_UNSPECIFIED)),
            "The request names no format that this worker has.");
}

TEST(DocumentTest, TypeNames) {
  const auto name = [](const std::shared_ptr<arrow::DataType>& type) {
    return SqlTypeName(*arrow::field("f", type));
  };
  EXPECT_EQ(name(arrow::uint16()), "USMALLINT");
  EXPECT_EQ(name(arrow::decimal128(10, 2)), "DECIMAL(10,2)");
  EXPECT_EQ(name(arrow::decimal128(38, 0)), "HUGEINT");
  EXPECT_EQ(name(arrow::timestamp(arrow::TimeUnit::NANO)), "TIMESTAMP_NS");
  EXPECT_EQ(name(arrow::timestamp(arrow::TimeUnit::MICRO, "UTC")), "TIMESTAMP WITH TIME ZONE");
  EXPECT_EQ(name(arrow::list(arrow::fixed_size_list(arrow::int32(), 3))), "INTEGER[3][]");
  EXPECT_EQ(name(arrow::map(arrow::utf8(), arrow::float64())), "MAP(VARCHAR, DOUBLE)");
  EXPECT_EQ(name(arrow::struct_({arrow::field("a b", arrow::int8())})), "STRUCT(\"a b\" TINYINT)");
}

}  // namespace
}  // namespace pondpilot::worker::documents

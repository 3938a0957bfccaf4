#include "worker/airport/filter.h"

#include <gtest/gtest.h>

#include <limits>
#include <map>

#include "worker/airport/airport_fixture.h"
#include "worker/airport/filter_json.h"

namespace pondpilot::worker::airport {
namespace {

engine::TableDetails Table(const std::string& kind) {
  engine::TableDetails table;
  table.kind = kind;
  table.row_ids = kind == "duckdb";
  for (const char* type :
       {"INTEGER", "VARCHAR", "DOUBLE", "BOOLEAN", "DATE", "TIMESTAMP", "DECIMAL", "UBIGINT"}) {
    auto& column = table.columns.emplace_back();
    column.name = std::string("c") + type;
    column.type = column.type_id = type;
    column.plain = true;
  }
  return table;
}
const json kNames = {"cINTEGER",   "cVARCHAR", "cDOUBLE",  "cBOOLEAN", "cDATE",
                     "cTIMESTAMP", "cDECIMAL", "cUBIGINT", "rowid",    "gone"};

Filter Read(const json& filter, const std::string& kind = "duckdb", bool view = false) {
  return ReadFilter(FiltersJson(json::array({filter}), kNames), Table(kind), view);
}
std::string Direct(const json& filter) {
  const Filter read = Read(filter);
  EXPECT_TRUE(read.here.empty()) << read.here;
  return read.direct;
}
json Equals(int column, const std::string& type, const json& value) {
  return CompareJson("COMPARE_EQUAL", ColumnJson(column, type), ConstantJson(type, value));
}

TEST(FilterTest, WhatIsCertainBecomesSql) {
  EXPECT_EQ(Direct(Equals(0, "INTEGER", -5)), R"(("cINTEGER" = CAST(-5 AS INTEGER)))");
  EXPECT_EQ(Direct(CompareJson("COMPARE_LESSTHAN", ConstantJson("INTEGER", 3), ColumnJson(0, "INTEGER"))),
            R"((CAST(3 AS INTEGER) < "cINTEGER"))");
  EXPECT_EQ(Direct(Equals(1, "VARCHAR", "o'hara")), R"((("cVARCHAR" COLLATE "binary") = 'o''hara'))");
  EXPECT_EQ(Direct(Equals(3, "BOOLEAN", true)), R"(("cBOOLEAN" = true))");
  EXPECT_EQ(Direct(Equals(4, "DATE", 19000)), R"(("cDATE" = system.main.make_date(19000)))");
  EXPECT_EQ(Direct(Equals(5, "TIMESTAMP", 1)), R"(("cTIMESTAMP" = system.main.make_timestamp(1)))");
  EXPECT_EQ(Direct(Equals(7, "UBIGINT", std::numeric_limits<uint64_t>::max())),
            R"(("cUBIGINT" = CAST(18446744073709551615 AS UBIGINT)))");
  // The client's row identifiers are others than the table's.
  EXPECT_EQ(Direct(Equals(8, "BIGINT", 7)), "");
  EXPECT_EQ(Direct(OperatorJson("OPERATOR_IS_NULL", {ColumnJson(0, "INTEGER")})), R"(("cINTEGER" IS NULL))");
  EXPECT_EQ(Direct(OperatorJson("COMPARE_IN", {ColumnJson(0, "INTEGER"), ConstantJson("INTEGER", 1),
                                               ConstantJson("INTEGER", 2)})),
            R"(("cINTEGER" IN (CAST(1 AS INTEGER), CAST(2 AS INTEGER))))");
  EXPECT_EQ(Direct(BetweenJson(ColumnJson(0, "INTEGER"), ConstantJson("INTEGER", 1),
                               ConstantJson("INTEGER", 2), true, false)),
            R"(("cINTEGER" >= CAST(1 AS INTEGER) AND "cINTEGER" < CAST(2 AS INTEGER)))");
  EXPECT_EQ(Direct(JoinJson("CONJUNCTION_OR", {Equals(0, "INTEGER", 1),
                                               OperatorJson("OPERATOR_NOT", {Equals(3, "BOOLEAN", false)})})),
            R"((("cINTEGER" = CAST(1 AS INTEGER)) OR (NOT ("cBOOLEAN" = false))))");
}

TEST(FilterTest, WhatIsNotIsLeftOut) {
  const json function = {
      {"expression_class", "BOUND_FUNCTION"}, {"type", "BOUND_FUNCTION"}, {"name", "lower"}};
  const json cast = {
      {"expression_class", "BOUND_CAST"}, {"type", "CAST"}, {"child", ColumnJson(0, "INTEGER")}};
  json null_constant = ConstantJson("INTEGER", nullptr);
  null_constant["value"]["is_null"] = true;
  json deep_column = ColumnJson(0, "INTEGER");
  deep_column["depth"] = 1;
  const std::vector<json> uncertain = {
      function,
      cast,
      nullptr,
      5,
      "text",
      json::array(),
      json::object(),
      CompareJson("COMPARE_EQUAL", function, ConstantJson("VARCHAR", "x")),
      CompareJson("COMPARE_EQUAL", cast, ConstantJson("INTEGER", 1)),
      CompareJson("COMPARE_EQUAL", ColumnJson(0, "INTEGER"), ColumnJson(0, "INTEGER")),
      CompareJson("COMPARE_EQUAL", ColumnJson(0, "INTEGER"), null_constant),
      CompareJson("COMPARE_EQUAL", deep_column, ConstantJson("INTEGER", 1)),
      CompareJson("COMPARE_SOMEHOW", ColumnJson(0, "INTEGER"), ConstantJson("INTEGER", 1)),
      Equals(0, "BIGINT", 1),     // the client takes the column for another type
      Equals(6, "DECIMAL", 125),  // 125 or 1.25?
      Equals(9, "INTEGER", 1),    // a column that is gone
      Equals(99, "INTEGER", 1),
      Equals(-1, "INTEGER", 1),
      Equals(0, "INTEGER", 2147483648),
      Equals(0, "INTEGER", 1.5),
      Equals(0, "INTEGER", "1"),
      Equals(7, "UBIGINT", -1),
      Equals(3, "BOOLEAN", 1),
      Equals(4, "DATE", 2147483647),
      Equals(5, "TIMESTAMP", std::numeric_limits<int64_t>::max()),
      Equals(1, "VARCHAR", std::string("a\0b", 3)),
      Equals(1, "VARCHAR", {{"base64", "YQ=="}}),
      OperatorJson("OPERATOR_IS_NULL", {}),
      OperatorJson("COMPARE_IN", {ColumnJson(0, "INTEGER")}),
      OperatorJson("OPERATOR_COALESCE", {ColumnJson(0, "INTEGER")}),
      JoinJson("CONJUNCTION_XOR", {Equals(0, "INTEGER", 1)}),
      JoinJson("CONJUNCTION_OR", {}),
      JoinJson("CONJUNCTION_OR", {Equals(0, "INTEGER", 1), function}),
      OperatorJson("OPERATOR_NOT", {JoinJson("CONJUNCTION_AND", {Equals(0, "INTEGER", 1), function})}),
  };
  for (const json& filter : uncertain) EXPECT_TRUE(Read(filter).empty()) << filter.dump();
  for (const char* text :
       {"", "{", "[]", "null", R"({"filters": 1})", R"({"filters": [], "column_binding_names_by_index": {}})",
        "{\"filters\": [NaN]}", "\xff"})
    EXPECT_TRUE(ReadFilter(text, Table("duckdb"), false).empty()) << text;
}

TEST(FilterTest, OfAConjunctionWhatIsCertainStays) {
  const json unknown = {{"expression_class", "BOUND_FUNCTION"}};
  EXPECT_EQ(Direct(JoinJson("CONJUNCTION_AND", {unknown, Equals(3, "BOOLEAN", true), unknown})),
            R"(("cBOOLEAN" = true))");
  const std::string two = FiltersJson({unknown, Equals(3, "BOOLEAN", true), Equals(0, "INTEGER", 1)}, kNames);
  EXPECT_EQ(ReadFilter(two, Table("duckdb"), false).direct,
            R"(("cBOOLEAN" = true) AND ("cINTEGER" = CAST(1 AS INTEGER)))");
}

TEST(FilterTest, AttachedDatabasesDecideOnlyWhatTheyDecideAlike) {
  const json text = Equals(1, "VARCHAR", "a");
  const json number = Equals(0, "INTEGER", 1);
  const json flag = Equals(3, "BOOLEAN", true);
  EXPECT_TRUE(Read(text, "postgres").direct.empty());
  EXPECT_FALSE(Read(text, "postgres").here.empty());
  EXPECT_FALSE(Read(number, "postgres").direct.empty());
  EXPECT_FALSE(Read(flag, "postgres").direct.empty());
  EXPECT_FALSE(Read(number, "mysql").direct.empty());
  EXPECT_TRUE(Read(flag, "mysql").direct.empty());
  EXPECT_TRUE(Read(number, "sqlite").direct.empty());
  EXPECT_FALSE(Read(number, "sqlite").here.empty());
  EXPECT_TRUE(Read(JoinJson("CONJUNCTION_OR", {number, text}), "postgres").direct.empty());
  // A view's columns may come from anywhere.
  EXPECT_TRUE(Read(number, "duckdb", true).direct.empty());
  EXPECT_FALSE(Read(number, "duckdb", true).here.empty());
}

TEST(FilterTest, DepthIsBounded) {
  json filter = Equals(0, "INTEGER", 1);
  for (int i = 0; i < 200; ++i) filter = OperatorJson("OPERATOR_NOT", {filter});
  EXPECT_TRUE(Read(filter).empty());
  std::string brackets(1'000'000, '[');
  EXPECT_TRUE(ReadFilter(brackets, Table("duckdb"), false).empty());
  brackets.append(1'000'000, ']');
  EXPECT_TRUE(ReadFilter(brackets, Table("duckdb"), false).empty());
}

// What is left of a scan must be what the client itself would leave of all rows.
class FilteredScanTest : public AirportTest {
 protected:
  void SetUp() override {
    AirportTest::SetUp();
    Do("CREATE TABLE t AS SELECT CASE WHEN i % 7 > 0 THEN (i - 50)::INTEGER END AS i, CASE WHEN i % 5 > 0 "
       "THEN chr(60 + (i % 40)::INTEGER) || 'é' END AS s, "
       "CASE WHEN i % 3 > 0 THEN (CASE WHEN i = 20 THEN 'nan' WHEN i = 22 THEN 'inf' ELSE (i / 8.0)::VARCHAR "
       "END)::DOUBLE END AS d, i % 2 = 0 AS b, "
       "CASE WHEN i % 11 > 0 THEN DATE '1969-12-20' + i::INTEGER END AS day, TIMESTAMP '1969-12-31 "
       "23:59:59.5' + to_milliseconds(i * 17) AS ts, "
       "(i * 2)::UTINYINT AS u, (i / 7.0)::FLOAT AS f FROM range(100) x(i)");
  }
  int64_t Rows(const json& filter) {
    const auto rows = Scan(
        PathTo("t"), {{"json_filters", FiltersJson(json::array({filter}),
                                                   {"i", "s", "d", "b", "day", "ts", "u", "f", "rowid"})}});
    EXPECT_TRUE(rows.ok()) << filter.dump() << rows.status().ToString();
    return rows.ok() && *rows != nullptr ? (*rows)->num_rows() : 0;
  }
};

TEST_F(FilteredScanTest, AUsersMacrosDecideNothing) {
  for (const char* macro : {"random() AS -1", "make_timestamp(x) AS NULL", "make_date(x) AS NULL",
                            "add(a, b) AS 0", "\"+\"(a, b) AS 0", "\"-\"(a, b) AS 0", "subtract(a, b) AS 0"})
    Do("CREATE MACRO " + std::string(macro));
  Do("CREATE VIEW v AS SELECT * FROM t");
  const json names = {"i", "s", "d", "b", "day", "ts", "u", "f"};
  for (const char* table : {"t", "v"}) {
    const auto rows = [&](int column, const std::string& type, const json& value) {
      const json filter =
          CompareJson("COMPARE_NOTEQUAL", ColumnJson(column, type), ConstantJson(type, value));
      const auto scan = Scan(PathTo(table), {{"json_filters", FiltersJson(json::array({filter}), names)},
                                             {"column_ids", {0, 4, 5}}});
      EXPECT_TRUE(scan.ok()) << scan.status().ToString();
      return scan.ok() && *scan != nullptr ? (*scan)->num_rows() : 0;
    };
    EXPECT_EQ(rows(4, "DATE", 99'999), 90) << table;
    EXPECT_EQ(rows(5, "TIMESTAMP", 1), 100) << table;
    EXPECT_EQ(rows(0, "INTEGER", 1'000'000), 85) << table;
  }
  const auto ids = RowIdsOf("t");
  ASSERT_EQ(ids.size(), 100u);
  EXPECT_NE(ids[0], ids[1]);
  ASSERT_TRUE(Exchange("delete", "t", Batch({"rowid"}, {{ids[0]}})).ok());
  EXPECT_EQ(Value("SELECT count(*) FROM t"), "99");
}

TEST_F(FilteredScanTest, LeavesTheSameRows) {
  struct Column {
    const char* name;
    const char* type;
    std::vector<std::pair<json, std::string>> values;  // with their SQL
  };
  const std::vector<Column> columns = {
      {"i", "INTEGER", {{0, "0"}, {-50, "-50"}, {2147483647, "2147483647"}}},
      {"s",
       "VARCHAR",
       {{"Aé", "'Aé'"}, {"", "''"}, {"a", "'a'"}, {"'; DROP TABLE t; --", "'''; DROP TABLE t; --'"}}},
      {"d", "DOUBLE", {{0.125, "0.125"}, {1e300, "1e300"}, {3, "3"}}},
      {"b", "BOOLEAN", {{true, "true"}}},
      {"day", "DATE", {{0, "DATE '1970-01-01'"}, {-5, "DATE '1969-12-27'"}}},
      {"ts", "TIMESTAMP", {{0, "TIMESTAMP '1970-01-01'"}, {-500000, "TIMESTAMP '1969-12-31 23:59:59.5'"}}},
      {"u", "UTINYINT", {{255, "255::UTINYINT"}, {30, "30::UTINYINT"}}},
      {"f", "FLOAT", {{static_cast<double>(1.0F / 7.0F), "(1 / 7.0)::FLOAT"}}}};
  const std::vector<std::pair<const char*, const char*>> operators = {
      {"COMPARE_EQUAL", "="},
      {"COMPARE_NOTEQUAL", "<>"},
      {"COMPARE_LESSTHAN", "<"},
      {"COMPARE_GREATERTHAN", ">"},
      {"COMPARE_LESSTHANOREQUALTO", "<="},
      {"COMPARE_GREATERTHANOREQUALTO", ">="},
      {"COMPARE_DISTINCT_FROM", "IS DISTINCT FROM"},
      {"COMPARE_NOT_DISTINCT_FROM", "IS NOT DISTINCT FROM"}};
  int compared = 0;
  // The setting is one of all connections: what is expected is found out before it is made.
  std::map<std::string, std::string> expected;
  const auto same = [&](const json& filter, const std::string& sql) {
    if (!expected.contains(sql)) expected[sql] = Value("SELECT count(*) FROM t WHERE " + sql);
    EXPECT_EQ(std::to_string(Rows(filter)), expected[sql]) << sql;
    ++compared;
  };
  for (const bool nocase : {false, true}) {
    // The door's own connection: what a user sets there must not change what rows there are.
    if (nocase) {
      ASSERT_TRUE(
          Scan(*fl::FlightDescriptor::Command("SET default_collation = 'nocase'").SerializeToString()).ok());
    }
    for (size_t c = 0; c < columns.size(); ++c) {
      const Column& column = columns[c];
      const json ref = ColumnJson(static_cast<int>(c), column.type);
      const std::string name = column.name;
      same(OperatorJson("OPERATOR_IS_NULL", {ref}), name + " IS NULL");
      same(OperatorJson("OPERATOR_IS_NOT_NULL", {ref}), name + " IS NOT NULL");
      std::vector<json> list = {ref};
      std::string sql_list;
      for (const auto& [value, sql] : column.values) {
        const json constant = ConstantJson(column.type, value);
        for (const auto& [op, symbol] : operators) {
          same(CompareJson(op, ref, constant), name + " " + symbol + " " + sql);
          same(CompareJson(op, constant, ref), sql + " " + symbol + " " + name);
          same(OperatorJson("OPERATOR_NOT", {CompareJson(op, ref, constant)}),
               "NOT (" + name + " " + symbol + " " + sql + ")");
        }
        list.push_back(constant);
        sql_list += (sql_list.empty() ? "" : ", ") + sql;
      }
      same(OperatorJson("COMPARE_IN", list), name + " IN (" + sql_list + ")");
      same(OperatorJson("COMPARE_NOT_IN", list), name + " NOT IN (" + sql_list + ")");
    }
    same(JoinJson("CONJUNCTION_OR", {Equals(0, "INTEGER", 1), Equals(1, "VARCHAR", "Aé")}),
         "i = 1 OR s = 'Aé'");
    same(BetweenJson(ColumnJson(0, "INTEGER"), ConstantJson("INTEGER", -3), ConstantJson("INTEGER", 9), false,
                     true),
         "i > -3 AND i <= 9");
  }
  EXPECT_GT(compared, 800);
}

}  // namespace
}  // namespace pondpilot::worker::airport

// Keys and types over Flight SQL.
#include <arrow/io/memory.h>
#include <arrow/ipc/api.h>
#include <gmock/gmock.h>

#include "worker/flight/flight_fixture.h"

namespace pondpilot::worker::flight {
namespace {

using fl::sql::SqlSchema;
using fl::sql::TableRef;
using testing::ElementsAre;

class KeysTest : public FlightTest {
 protected:
  void SetUp() override {
    FlightTest::SetUp();
    ASSERT_TRUE(Sql("CREATE TABLE parent(x INT, y INT, z VARCHAR, PRIMARY KEY (y, x)); "
                    "CREATE TABLE single(id BIGINT PRIMARY KEY); "
                    "CREATE TABLE child(a INT, b INT, s BIGINT REFERENCES single(id), "
                    "FOREIGN KEY (b, a) REFERENCES parent(y, x))")
                    .ok());
  }
  void TearDown() override {
    ASSERT_TRUE(Sql("DROP TABLE child; DROP TABLE single; DROP TABLE parent").ok());
  }
  fl::FlightCallOptions options_ = Loopback::AsProxy();
};

TEST_F(KeysTest, PrimaryKeysInTheirOrder) {
  const auto keys = Answer(sql_.GetPrimaryKeys(options_, {"memory", "main", "parent"}));
  ASSERT_TRUE(keys.ok()) << keys.status().ToString();
  EXPECT_TRUE((*keys)->schema()->Equals(*SqlSchema::GetPrimaryKeysSchema(), true));
  EXPECT_THAT(Column(*keys, "column_name"), ElementsAre("y", "x"));
  EXPECT_THAT(Column(*keys, "key_sequence"), ElementsAre("1", "2"));
  const auto single = Answer(sql_.GetPrimaryKeys(options_, {std::nullopt, std::nullopt, "single"}));
  ASSERT_TRUE(single.ok()) << single.status().ToString();
  EXPECT_THAT(Column(*single, "column_name"), ElementsAre("id"));
  for (const char* none : {"child", "par%", "no_such_table", "' OR 1=1 --"}) {
    const auto nothing = Answer(sql_.GetPrimaryKeys(options_, {std::nullopt, std::nullopt, none}));
    ASSERT_TRUE(nothing.ok()) << nothing.status().ToString();
    EXPECT_EQ((*nothing)->num_rows(), 0) << none;
  }
}

TEST_F(KeysTest, ColumnsOfTablesSayWhetherTheyTakeNulls) {
  ASSERT_TRUE(Sql("CREATE TABLE strict(a INT NOT NULL, b INT, c INT)").ok());
  const auto nullable = [&](const std::string& table) {
    std::string found;
    const auto tables = Answer(sql_.GetTables(options_, nullptr, nullptr, &table, true, nullptr));
    EXPECT_TRUE(tables.ok()) << tables.status().ToString();
    const auto bytes = std::static_pointer_cast<arrow::BinaryScalar>(
        *(*tables)->GetColumnByName("table_schema")->GetScalar(0));
    arrow::io::BufferReader reader(bytes->value);
    arrow::ipc::DictionaryMemo memo;
    const auto schema = arrow::ipc::ReadSchema(&reader, &memo);
    EXPECT_TRUE(schema.ok()) << schema.status().ToString();
    for (const auto& field : (*schema)->fields()) found += field->name() + (field->nullable() ? "? " : " ");
    return found;
  };
  EXPECT_EQ(nullable("strict"), "a b? c? ");
  EXPECT_EQ(nullable("parent"), "x y z? ");
  EXPECT_EQ(nullable("single"), "id ");
  ASSERT_TRUE(Sql("DROP TABLE strict").ok());
}

TEST_F(KeysTest, ForeignKeysFromBothSides) {
  const auto imported = Answer(sql_.GetImportedKeys(options_, {std::nullopt, std::nullopt, "child"}));
  ASSERT_TRUE(imported.ok()) << imported.status().ToString();
  EXPECT_TRUE((*imported)->schema()->Equals(*SqlSchema::GetImportedKeysSchema(), true));
  EXPECT_EQ((*imported)->num_rows(), 3);
  const auto exported = Answer(sql_.GetExportedKeys(options_, {std::nullopt, "main", "parent"}));
  ASSERT_TRUE(exported.ok()) << exported.status().ToString();
  EXPECT_TRUE((*exported)->schema()->Equals(*SqlSchema::GetExportedKeysSchema(), true));
  EXPECT_THAT(Column(*exported, "fk_table_name"), ElementsAre("child", "child"));
  EXPECT_THAT(Column(*exported, "fk_column_name"), ElementsAre("b", "a"));
  EXPECT_THAT(Column(*exported, "pk_column_name"), ElementsAre("y", "x"));
  const auto cross = Answer(sql_.GetCrossReference(options_, {std::nullopt, std::nullopt, "single"},
                                                   {std::nullopt, std::nullopt, "child"}));
  ASSERT_TRUE(cross.ok()) << cross.status().ToString();
  EXPECT_TRUE((*cross)->schema()->Equals(*SqlSchema::GetCrossReferenceSchema(), true));
  EXPECT_THAT(Column(*cross, "fk_column_name"), ElementsAre("s"));
}

TEST_F(KeysTest, TypesAsJdbcAndOdbcNumberThem) {
  const auto all = Answer(sql_.GetXdbcTypeInfo(options_));
  ASSERT_TRUE(all.ok()) << all.status().ToString();
  EXPECT_TRUE((*all)->schema()->Equals(*SqlSchema::GetXdbcTypeInfoSchema(), true));
  EXPECT_GT((*all)->num_rows(), 15);
  const auto integers = Answer(sql_.GetXdbcTypeInfo(options_, 4));
  ASSERT_TRUE(integers.ok()) << integers.status().ToString();
  EXPECT_THAT(Column(*integers, "type_name"), ElementsAre("INTEGER", "UINTEGER"));
  const auto none = Answer(sql_.GetXdbcTypeInfo(options_, 12345));
  ASSERT_TRUE(none.ok()) << none.status().ToString();
  EXPECT_EQ((*none)->num_rows(), 0);
}

TEST_F(KeysTest, ColumnsSayTheirTypes) {
  ASSERT_TRUE(Sql("CREATE TABLE typed(d DECIMAL(9,2), t TIMESTAMPTZ, s VARCHAR)").ok());
  const std::string name = "typed";
  const auto tables = Answer(sql_.GetTables(options_, nullptr, nullptr, &name, true, nullptr));
  ASSERT_TRUE(tables.ok()) << tables.status().ToString();
  ASSERT_EQ((*tables)->num_rows(), 1);
  const auto bytes = std::static_pointer_cast<arrow::BinaryScalar>(
      *(*tables)->GetColumnByName("table_schema")->GetScalar(0));
  arrow::io::BufferReader buffer(bytes->value);
  arrow::ipc::DictionaryMemo memo;
  const auto schema = arrow::ipc::ReadSchema(&buffer, &memo);
  ASSERT_TRUE(schema.ok()) << schema.status().ToString();
  const auto of = [&](int column, const char* key) {
    return (*schema)->field(column)->metadata()->Get(std::string("ARROW:FLIGHT:SQL:") + key).ValueOr("none");
  };
  EXPECT_EQ(of(0, "TYPE_NAME"), "DECIMAL(9,2)");
  EXPECT_EQ(of(0, "PRECISION"), "9");
  EXPECT_EQ(of(0, "SCALE"), "2");
  EXPECT_EQ(of(1, "TYPE_NAME"), "TIMESTAMP WITH TIME ZONE");
  EXPECT_EQ(of(2, "PRECISION"), "none");
  ASSERT_TRUE(Sql("DROP TABLE typed").ok());
}

}  // namespace
}  // namespace pondpilot::worker::flight

#include "worker/airport/names.h"

#include <gtest/gtest.h>

namespace pondpilot::worker::airport {
namespace {

std::vector<std::string> Names(const std::vector<std::pair<std::string, std::string>>& schemas, bool all) {
  std::vector<std::string> names;
  for (const SchemaName& one : Advertise(schemas, all))
    names.push_back(one.advertised + "=" + one.catalog + "/" + one.schema);
  return names;
}
using Texts = std::vector<std::string>;

TEST(NamesTest, ACatalogOfAllHasTheDatabasesNamesInFront) {
  EXPECT_EQ(Names({{"memory", "main"}, {"mydb", "public"}}, true),
            (Texts{"memory.main=memory/main", "mydb.public=mydb/public"}));
}

TEST(NamesTest, MainHasANameThatCanBeReached) {
  EXPECT_EQ(Names({{"shop", "main"}}, false), (Texts{"main_=shop/main"}));
  EXPECT_EQ(Names({{"m", "main"}, {"m", "Main_"}, {"m", "main__"}}, false),
            (Texts{"Main_=m/Main_", "main__=m/main__", "main___=m/main"}));
}

TEST(NamesTest, NoTwoAreAlike) {
  EXPECT_EQ(Names({{"a", "b.c"}, {"a.b", "c"}, {"A", "B.C"}}, true),
            (Texts{"a.b.c=a/b.c", "a.b.c_=a.b/c", "A.B.C__=A/B.C"}));
}

TEST(NamesTest, ANewSchemaGoesWhereItsNameSays) {
  EXPECT_EQ(PlaceFor("s", "mydb", {})->catalog, "mydb");
  EXPECT_EQ(PlaceFor("s", "mydb", {})->schema, "s");
  EXPECT_EQ(PlaceFor("mydb.s", "", {"memory", "mydb"})->schema, "s");
  EXPECT_EQ(PlaceFor("a.b.s", "", {"a", "a.b"})->catalog, "a.b");
  EXPECT_FALSE(PlaceFor("s", "", {"memory"}).has_value());
  EXPECT_FALSE(PlaceFor("memory.", "", {"memory"}).has_value());
  EXPECT_FALSE(PlaceFor("other.s", "", {"memory"}).has_value());
}

}  // namespace
}  // namespace pondpilot::worker::airport

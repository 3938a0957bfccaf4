#include "proxy/sql/sql_request.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace pondpilot::proxy::sql {
namespace {

namespace proto = pondpilot::sql::v1;
using testing::HasSubstr;

http::Request Post(const std::string& body, const std::string& type = "application/json",
                   const std::string& accept = "") {
  http::Request request;
  request.method = "POST";
  request.path = "/sql";
  request.body = body;
  if (!type.empty()) request.headers.set("Content-Type", type);
  if (!accept.empty()) request.headers.set("Accept", accept);
  return request;
}

proto::RunRequest Parsed(const http::Request& request) {
  auto parsed = ParseRunRequest(request);
  EXPECT_TRUE(parsed) << parsed.error().detail;
  return parsed ? *parsed : proto::RunRequest();
}
std::string Refusal(const http::Request& request) {
  const auto parsed = ParseRunRequest(request);
  if (parsed) return "accepted";
  return std::to_string(parsed.error().status) + " " + parsed.error().code + ": " + parsed.error().detail;
}
std::string Refusal(const std::string& body) { return Refusal(Post(body)); }

TEST(SqlRequestTest, TheLeast) {
  const auto request = Parsed(Post(R"({"sql": "SELECT 42"})"));
  EXPECT_EQ(request.sql(), "SELECT 42");
  EXPECT_EQ(request.format(), proto::FORMAT_JSON);
  EXPECT_EQ(request.shape(), proto::SHAPE_OBJECTS);
  EXPECT_EQ(request.coding(), proto::CODING_IDENTITY);
  EXPECT_EQ(request.timeout_ms(), 0u);
  EXPECT_FALSE(request.all_numbers());
}

TEST(SqlRequestTest, Everything) {
  auto http = Post(R"({"sql": "SELECT $a", "parameters": {"a": 1}, "shape": "arrays", "numbers": "all",
                       "timeout_seconds": 1.5, "session": "s-1"})",
                   "application/json; charset=utf-8", "application/x-ndjson");
  http.headers.set("Accept-Encoding", "gzip");
  const auto request = Parsed(http);
  EXPECT_EQ(request.format(), proto::FORMAT_NDJSON);
  EXPECT_EQ(request.shape(), proto::SHAPE_ARRAYS);
  EXPECT_EQ(request.coding(), proto::CODING_GZIP);
  EXPECT_EQ(request.timeout_ms(), 1500u);
  EXPECT_EQ(request.session(), "s-1");
  EXPECT_TRUE(request.all_numbers());
  ASSERT_EQ(request.parameters_size(), 1);
  EXPECT_EQ(request.parameters(0).name(), "a");
  EXPECT_EQ(request.parameters(0).value().integer(), 1);
}

TEST(SqlRequestTest, ParametersAreTypedByJson) {
  const auto request = Parsed(
      Post(R"({"sql": "x", "parameters": [null, true, -1, 18446744073709551615, 1.5, "t", [1, null]]})"));
  ASSERT_EQ(request.parameters_size(), 7);
  EXPECT_EQ(request.parameters(0).value().kind_case(), proto::Value::KIND_NOT_SET);
  EXPECT_TRUE(request.parameters(1).value().boolean());
  EXPECT_EQ(request.parameters(2).value().integer(), -1);
  EXPECT_EQ(request.parameters(3).value().natural(), UINT64_MAX);
  EXPECT_EQ(request.parameters(4).value().number(), 1.5);
  EXPECT_EQ(request.parameters(5).value().text(), "t");
  EXPECT_EQ(request.parameters(6).value().list().values_size(), 2);
}

TEST(SqlRequestTest, SqlAlone) {
  EXPECT_EQ(Parsed(Post("SELECT 42", "application/sql")).sql(), "SELECT 42");
  EXPECT_EQ(Parsed(Post("SELECT 42", "text/plain; charset=utf-8", "text/csv")).format(), proto::FORMAT_CSV);
}

TEST(SqlRequestTest, Refusals) {
  EXPECT_THAT(Refusal(Post("SELECT 42", "")), HasSubstr("415 unsupported_media_type"));
  EXPECT_THAT(Refusal(Post("a=b", "application/x-www-form-urlencoded")), HasSubstr("415"));
  EXPECT_THAT(Refusal(Post(R"({"sql": "x"})", "application/json", "image/png")),
              HasSubstr("406 not_acceptable"));
  EXPECT_THAT(Refusal(""), HasSubstr("400 invalid_request: The body is empty"));
  EXPECT_THAT(Refusal(R"({"sql": ")"), HasSubstr("not JSON"));
  EXPECT_THAT(Refusal(R"({"sqll": "x"})"), HasSubstr("Was \"sql\" meant?"));
  EXPECT_THAT(Refusal(R"({"sql": 1})"), HasSubstr("\"sql\" is missing"));
  EXPECT_THAT(Refusal(R"({"sql": "  "})"), HasSubstr("empty"));
  EXPECT_THAT(Refusal(Post("\xFF", "application/sql")), HasSubstr("UTF-8"));
  EXPECT_THAT(Refusal(R"({"sql": "x", "parameters": 1})"), HasSubstr("must be a list"));
  EXPECT_THAT(Refusal(R"({"sql": "x", "parameters": [{"a": 1}]})"),
              HasSubstr("The parameter 1 is an object"));
  EXPECT_THAT(Refusal(R"({"sql": "x", "parameters": {"b": [[1]]}})"), HasSubstr("The parameter \"b\""));
  EXPECT_THAT(Refusal(R"({"sql": "x", "parameters": {"": 1}})"), HasSubstr("without a name"));
  EXPECT_THAT(Refusal(R"({"sql": "x", "shape": "cube"})"), HasSubstr("\"shape\""));
  EXPECT_THAT(Refusal(R"({"sql": "x", "numbers": true})"), HasSubstr("\"numbers\""));
  EXPECT_THAT(Refusal(Post(R"({"sql": "x", "shape": "columns"})", "application/json", "text/csv")),
              HasSubstr("asks for text/csv"));
  for (const char* timeout : {"0", "0.999", "-1", "1e300", "\"1\"", "604801"}) {
    EXPECT_THAT(Refusal(std::string(R"({"sql": "x", "timeout_seconds": )") + timeout + "}"),
                HasSubstr("\"timeout_seconds\""))
        << timeout;
  }
  for (const char* session : {"\"\"", "\"a b\"", "1"}) {
    EXPECT_THAT(Refusal(std::string(R"({"sql": "x", "session": )") + session + "}"),
                HasSubstr("\"session\""));
  }
  std::string many = R"({"sql": "x", "parameters": [)";
  for (int i = 0; i < 10'000; ++i) many += "1,";
  EXPECT_THAT(Refusal(many + "1]}"), HasSubstr("more than 10000"));
}

TEST(SqlRequestTest, Catalogs) {
  http::Request request;
  EXPECT_TRUE(ParseCatalogRequest(request)->database().empty());
  request.query = "database=my%20db";
  EXPECT_EQ(ParseCatalogRequest(request)->database(), "my db");
  for (const char* query :
       {"database=", "database=a&database=b", "schema=x", "database=%ff", "database=%zz"}) {
    request.query = query;
    EXPECT_FALSE(ParseCatalogRequest(request)) << query;
  }
}

}  // namespace
}  // namespace pondpilot::proxy::sql

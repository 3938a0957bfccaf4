#include <arrow/api.h>
#include <arrow/flight/api.h>
#include <arrow/flight/sql/client.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sqlite3.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "worker/flight/loopback.h"

namespace pondpilot::worker::flight {
namespace {

namespace fl = arrow::flight;
using testing::HasSubstr;

// A database whose server has gone since it was attached: here a SQLite file that is one no longer.
TEST(Catalogs, ADatabaseThatIsDownCostsItsOwnPartOnly) {
  std::string folder = (std::filesystem::temp_directory_path() / "pondpilot-catalogs-XXXXXX").string();
  ASSERT_NE(::mkdtemp(folder.data()), nullptr);
  std::vector<engine::Attachment> attachments;
  for (const char* alias : {"good", "broken"}) {
    const std::string path = folder + "/" + alias + ".db";
    sqlite3* file = nullptr;
    ASSERT_EQ(sqlite3_open(path.c_str(), &file), SQLITE_OK);
    ASSERT_EQ(sqlite3_exec(file, "CREATE TABLE customers(id INTEGER)", nullptr, nullptr, nullptr), SQLITE_OK);
    sqlite3_close(file);
    engine::Attachment attachment;
    attachment.alias = alias;
    attachment.kind = engine::Attachment::Kind::kSqlite;
    attachment.sqlite_path = path;
    attachments.push_back(attachment);
  }
  auto opened = engine::Engine::Open({512ull << 20, 2, folder});
  ASSERT_TRUE(opened) << opened.error().message;
  const auto states = (*opened)->AttachAndLockDown(attachments, {});
  ASSERT_TRUE(states) << states.error().message << states.error().detail;
  for (const auto& state : *states) ASSERT_TRUE(state.available) << state.alias << ": " << state.reason;
  std::ofstream(folder + "/broken.db", std::ios::trunc) << std::string(8192, 'x');
  {
    Loopback server(**opened);
    server.service().StartServing();
    const std::shared_ptr<fl::FlightClient> client = server.Connect();
    fl::sql::FlightSqlClient sql(client);
    const auto options = Loopback::AsProxy();
    const auto read = [&](const arrow::Result<std::unique_ptr<fl::FlightInfo>>& info)
        -> arrow::Result<std::shared_ptr<arrow::Table>> {
      ARROW_RETURN_NOT_OK(info.status());
      ARROW_ASSIGN_OR_RAISE(auto reader, client->DoGet(options, (*info)->endpoints()[0].ticket));
      return reader->ToTable();
    };
    // With their columns, and without those of the broken one.
    const auto tables = read(sql.GetTables(options, nullptr, nullptr, nullptr, true, nullptr));
    ASSERT_TRUE(tables.ok()) << tables.status().ToString();
    EXPECT_EQ((*tables)->num_rows(), 1) << (*tables)->ToString();
    EXPECT_THAT((*tables)->ToString(), HasSubstr("good"));
    // Alone, its silence is an error.
    const std::string broken = "broken";
    const auto nothing = read(sql.GetTables(options, &broken, nullptr, nullptr, false, nullptr));
    EXPECT_FALSE(nothing.ok()) << (*nothing)->ToString();
    EXPECT_THAT(nothing.status().message(), HasSubstr("does not answer"));
    const auto schemas = read(sql.GetDbSchemas(options, nullptr, nullptr));
    ASSERT_TRUE(schemas.ok()) << schemas.status().ToString();
    EXPECT_THAT((*schemas)->ToString(), HasSubstr("good"));
    EXPECT_TRUE(client->GetFlightInfo(options, fl::FlightDescriptor::Command("FROM good.customers")).ok());
  }
  opened->reset();
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace pondpilot::worker::flight

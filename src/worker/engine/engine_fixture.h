#pragma once

#include <arrow/api.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "worker/engine/engine.h"

// For tests: an engine in a folder of its own and a connection to it.
namespace pondpilot::worker::engine {

inline std::string MakeFolder() {
  std::string path = (std::filesystem::temp_directory_path() / "engine-test-XXXXXX").string();
  return ::mkdtemp(path.data());
}

class EngineTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = MakeFolder();
    auto engine = Engine::Open({512ull << 20, 2, folder_});
    ASSERT_TRUE(engine.has_value()) << engine.error().message << engine.error().detail;
    engine_ = std::move(*engine);
  }
  void TearDown() override {
    connection_.reset();
    engine_.reset();
    std::filesystem::remove_all(folder_);
  }

  void Lock(const std::vector<Attachment>& attachments = {}) {
    const auto states = engine_->AttachAndLockDown(attachments, {});
    ASSERT_TRUE(states.has_value()) << states.error().message << states.error().detail;
    auto connection = engine_->Connect();
    ASSERT_TRUE(connection.has_value());
    connection_ = std::move(*connection);
  }

  base::Result<std::shared_ptr<arrow::Table>> Query(const std::string& sql) {
    auto stream = connection_->Execute(sql);
    if (!stream) return std::unexpected(stream.error());
    std::vector<std::shared_ptr<arrow::RecordBatch>> batches;
    for (;;) {
      auto batch = (*stream)->Next();
      if (!batch) return std::unexpected(batch.error());
      if (!*batch) break;
      EXPECT_TRUE((*batch)->schema()->Equals(*(*stream)->schema()));
      EXPECT_TRUE((*batch)->ValidateFull().ok());
      batches.push_back(*batch);
    }
    return arrow::Table::FromRecordBatches((*stream)->schema(), batches).ValueOrDie();
  }

  std::string Cell(const std::string& sql) {
    const auto table = Query(sql);
    if (!table) return "error: " + table.error().message;
    if ((*table)->num_rows() == 0) return "no rows";
    return (*table)->column(0)->GetScalar(0).ValueOrDie()->ToString();
  }

  base::Error ErrorOf(const std::string& sql) {
    const auto table = Query(sql);
    EXPECT_FALSE(table.has_value()) << sql;
    return table ? base::Error{} : table.error();
  }

  std::string folder_;
  std::unique_ptr<Engine> engine_;
  std::unique_ptr<Connection> connection_;
};

}  // namespace pondpilot::worker::engine

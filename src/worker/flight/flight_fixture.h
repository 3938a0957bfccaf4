#pragma once

#include <arrow/api.h>
#include <arrow/flight/api.h>
#include <arrow/flight/sql/client.h>
#include <arrow/flight/sql/server.h>
#include <google/protobuf/any.pb.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "worker/flight/locked_engine.h"
#include "worker/flight/loopback.h"

// For tests: the worker's Flight server over a real connection, on a real engine.
namespace pondpilot::worker::flight {

namespace fl = arrow::flight;

class FlightTest : public testing::Test {
 protected:
  static void SetUpTestSuite() { engine_ = std::make_unique<LockedEngine>(); }
  static void TearDownTestSuite() { engine_.reset(); }

  void SetUp() override { server_.service().StartServing(); }

  using Rows = arrow::Result<std::shared_ptr<arrow::Table>>;

  Rows Read(const fl::FlightInfo& info, const fl::FlightCallOptions& options) {
    EXPECT_EQ(info.endpoints().size(), 1u);
    EXPECT_TRUE(info.endpoints()[0].locations.empty());
    EXPECT_EQ(info.total_records(), -1);
    EXPECT_EQ(info.total_bytes(), -1);
    arrow::ipc::DictionaryMemo memo;
    ARROW_ASSIGN_OR_RAISE(const auto promised, info.GetSchema(&memo));
    ARROW_ASSIGN_OR_RAISE(auto reader, client_->DoGet(options, info.endpoints()[0].ticket));
    ARROW_ASSIGN_OR_RAISE(auto table, reader->ToTable());
    EXPECT_TRUE(table->schema()->Equals(*promised, true)) << promised->ToString();
    return table;
  }
  Rows Raw(const std::string& sql, const std::string& connection = "a") {
    const auto options = Loopback::AsProxy(connection);
    ARROW_ASSIGN_OR_RAISE(const auto info,
                          client_->GetFlightInfo(options, fl::FlightDescriptor::Command(sql)));
    return Read(*info, options);
  }
  Rows Sql(const std::string& sql, const std::string& connection = "a") {
    const auto options = Loopback::AsProxy(connection);
    ARROW_ASSIGN_OR_RAISE(const auto info, sql_.Execute(options, sql));
    return Read(*info, options);
  }
  // The one value of a result, as text; the error's text when there is one.
  static std::string Value(const Rows& rows) {
    if (!rows.ok()) return rows.status().ToString();
    if ((*rows)->num_rows() != 1 || (*rows)->num_columns() != 1) return (*rows)->ToString();
    return (*(*rows)->column(0)->GetScalar(0))->ToString();
  }
  static std::vector<std::string> Column(const std::shared_ptr<arrow::Table>& table,
                                         const std::string& name) {
    std::vector<std::string> values;
    const auto column = table->GetColumnByName(name);
    for (int64_t i = 0; i < column->length(); ++i) values.push_back((*column->GetScalar(i))->ToString());
    return values;
  }
  // Reads the answer of a Flight SQL question.
  Rows Answer(const arrow::Result<std::unique_ptr<fl::FlightInfo>>& info) {
    ARROW_RETURN_NOT_OK(info.status());
    return Read(**info, Loopback::AsProxy());
  }
  static std::string Any(const std::string& type, const std::string& value = "") {
    google::protobuf::Any any;
    any.set_type_url("type.googleapis.com/arrow.flight.protocol.sql." + type);
    any.set_value(value);
    return any.SerializeAsString();
  }
  arrow::Status InfoOf(const fl::FlightDescriptor& descriptor) {
    return client_->GetFlightInfo(Loopback::AsProxy(), descriptor).status();
  }

  inline static std::unique_ptr<LockedEngine> engine_;
  Loopback server_{**engine_};
  std::shared_ptr<fl::FlightClient> client_ = server_.Connect();
  fl::sql::FlightSqlClient sql_{client_};
};

inline fl::FlightStatusCode CodeOf(const arrow::Status& status) {
  const auto detail = fl::FlightStatusDetail::UnwrapStatus(status);
  return detail ? detail->code() : fl::FlightStatusCode::Failed;
}

}  // namespace pondpilot::worker::flight

#pragma once

#include <arrow/api.h>
#include <arrow/flight/api.h>
#include <arrow/io/memory.h>
#include <arrow/ipc/api.h>
#include <arrow/util/compression.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "worker/airport/airport_door.h"
#include "worker/airport/headers.h"
#include "worker/airport/message.h"
#include "worker/flight/locked_engine.h"
#include "worker/flight/loopback.h"

// For tests: an airport client's calls to a worker's Flight server, on a real engine.
namespace pondpilot::worker::airport {

namespace fl = arrow::flight;

// Columns of whole numbers.
inline std::shared_ptr<arrow::RecordBatch> Batch(const std::vector<std::string>& names,
                                                 const std::vector<std::vector<int64_t>>& columns) {
  arrow::FieldVector fields;
  arrow::ArrayVector arrays;
  for (size_t i = 0; i < names.size(); ++i) {
    arrow::Int64Builder builder;
    EXPECT_TRUE(builder.AppendValues(columns[i]).ok());
    fields.push_back(arrow::field(names[i], arrow::int64()));
    arrays.push_back(*builder.Finish());
  }
  return arrow::RecordBatch::Make(arrow::schema(fields), static_cast<int64_t>(columns[0].size()), arrays);
}

class AirportTest : public testing::Test {
 protected:
  using Headers = std::vector<std::pair<std::string, std::string>>;

  void SetUp() override {
    server_.service().AddDoor(door_);
    server_.service().StartServing();
  }
  void TearDown() override { server_.Stop(); }

  fl::FlightCallOptions Options(const Headers& more = {}, const std::string& connection = "a") {
    auto options = flight::Loopback::AsProxy(connection);
    options.headers.emplace_back(kAgentHeader, "airport/20250723");
    for (const auto& header : more) options.headers.push_back(header);
    return options;
  }
  arrow::Result<std::vector<std::string>> Act(const std::string& action, const Message& request,
                                              const Headers& headers = {}) {
    return ActWith(action, Pack(request), headers);
  }
  arrow::Result<std::vector<std::string>> ActWith(const std::string& action, const std::string& body,
                                                  const Headers& headers = {}) {
    ARROW_ASSIGN_OR_RAISE(auto results,
                          client_->DoAction(Options(headers), {action, arrow::Buffer::FromString(body)}));
    std::vector<std::string> bodies;
    for (;;) {
      ARROW_ASSIGN_OR_RAISE(auto result, results->Next());
      if (result == nullptr) return bodies;
      bodies.push_back(result->body->ToString());
    }
  }
  // The one result of an action, as a message.
  Message Told(const std::string& action, const Message& request, const Headers& headers = {}) {
    const auto bodies = Act(action, request, headers);
    EXPECT_TRUE(bodies.ok()) << action << ": " << bodies.status().ToString();
    if (!bodies.ok() || bodies->size() != 1) return {};
    return Unpack((*bodies)[0]).value_or(Message());
  }
  // SQL as Flight SQL's clients send it: over another connection, and past this door.
  arrow::Result<std::shared_ptr<arrow::Table>> Sql(const std::string& sql) {
    const auto options = flight::Loopback::AsProxy("sql");
    ARROW_ASSIGN_OR_RAISE(const auto info,
                          client_->GetFlightInfo(options, fl::FlightDescriptor::Command(sql)));
    ARROW_ASSIGN_OR_RAISE(auto reader, client_->DoGet(options, info->endpoints()[0].ticket));
    return reader->ToTable();
  }
  void Do(const std::string& sql) {
    const auto done = Sql(sql);
    ASSERT_TRUE(done.ok()) << sql << ": " << done.status().ToString();
  }
  std::string Value(const std::string& sql) {
    const auto rows = Sql(sql);
    return rows.ok() ? (*(*rows)->column(0)->GetScalar(0))->ToString() : rows.status().ToString();
  }

  static Message Inflate(const std::string& bytes) {
    const Message pair = Unpack(bytes).value_or(Message());
    const auto length = pair.at(0).get<size_t>();
    const auto& packed = pair.at(1).get_binary();
    std::string out(length, '\0');
    const auto codec = *arrow::util::Codec::Create(arrow::Compression::ZSTD);
    const auto done =
        codec->Decompress(static_cast<int64_t>(packed.size()), packed.data(),
                          static_cast<int64_t>(out.size()), reinterpret_cast<uint8_t*>(out.data()));
    EXPECT_TRUE(done.ok() && static_cast<size_t>(*done) == length);
    return Unpack(out).value_or(Message());
  }
  static std::string BytesOf(const Message& value) {
    const auto& bytes = value.get_binary();
    return {bytes.begin(), bytes.end()};
  }
  // The table's info as list_schemas tells it; nullptr when it is not listed.
  std::unique_ptr<fl::FlightInfo> Listed(const std::string& catalog, const std::string& schema,
                                         const std::string& table) {
    const auto bodies = Act("list_schemas", {{"catalog_name", catalog}});
    EXPECT_TRUE(bodies.ok()) << bodies.status().ToString();
    if (!bodies.ok()) return nullptr;
    for (const Message& one : Inflate((*bodies)[0]).at("schemas")) {
      if (one.at("name") != schema) continue;
      for (const Message& bytes : Inflate(BytesOf(one.at("contents").at("serialized")))) {
        auto info = *fl::FlightInfo::Deserialize(BytesOf(bytes));
        if (Unpack(info->app_metadata())->at("name") == table) return info;
      }
    }
    return nullptr;
  }
  static std::string PathTo(const std::string& table, const std::string& schema = "main") {
    return *fl::FlightDescriptor::Path({"memory", schema, table}).SerializeToString();
  }
  arrow::Result<std::vector<fl::FlightEndpoint>> Endpoints(const std::string& descriptor,
                                                           const Message& parameters = {},
                                                           const Headers& headers = {}) {
    ARROW_ASSIGN_OR_RAISE(
        const auto bodies,
        Act("endpoints", {{"descriptor", Binary(descriptor)}, {"parameters", parameters}}, headers));
    std::vector<fl::FlightEndpoint> endpoints;
    for (const Message& bytes : *Unpack(bodies.at(0))) {
      ARROW_ASSIGN_OR_RAISE(auto endpoint, fl::FlightEndpoint::Deserialize(BytesOf(bytes)));
      EXPECT_EQ(endpoint.locations, std::vector<fl::Location>{fl::Location::ReuseConnection()});
      endpoints.push_back(std::move(endpoint));
    }
    return endpoints;
  }
  arrow::Result<std::shared_ptr<arrow::Table>> Read(const fl::Ticket& ticket, const Headers& headers = {}) {
    ARROW_ASSIGN_OR_RAISE(auto reader, client_->DoGet(Options(headers), ticket));
    return reader->ToTable();
  }
  // All rows, from one endpoint after the other; nullptr for none at all.
  arrow::Result<std::shared_ptr<arrow::Table>> Scan(const std::string& descriptor,
                                                    const Message& parameters = {},
                                                    const Headers& headers = {}) {
    ARROW_ASSIGN_OR_RAISE(const auto endpoints, Endpoints(descriptor, parameters, headers));
    std::vector<std::shared_ptr<arrow::Table>> tables;
    for (const auto& endpoint : endpoints) {
      ARROW_ASSIGN_OR_RAISE(tables.emplace_back(), Read(endpoint.ticket, headers));
    }
    if (tables.empty()) return nullptr;
    return arrow::ConcatenateTables(tables);
  }
  // The identifiers of a table's rows, as they lie.
  std::vector<int64_t> RowIdsOf(const std::string& table) {
    std::vector<int64_t> ids;
    const auto rows = Scan(PathTo(table), {{"column_ids", {UINT64_MAX}}});
    EXPECT_TRUE(rows.ok()) << rows.status().ToString();
    if (!rows.ok() || *rows == nullptr) return ids;
    for (const auto& chunk : (*rows)->GetColumnByName("rowid")->chunks()) {
      const auto& column = static_cast<const arrow::Int64Array&>(*chunk);
      ids.insert(ids.end(), column.raw_values(), column.raw_values() + column.length());
    }
    return ids;
  }
  // Sends the batch and ends; the metadata of the last message, and the batches that came back.
  arrow::Result<Message> Exchange(const std::string& operation, const std::string& table,
                                  const std::shared_ptr<arrow::RecordBatch>& batch, bool answers = false,
                                  std::vector<std::shared_ptr<arrow::RecordBatch>>* back = nullptr) {
    const Headers headers = {{kOperationHeader, operation}, {kReturnHeader, answers ? "1" : "0"}};
    ARROW_ASSIGN_OR_RAISE(
        auto call,
        client_->DoExchange(Options(headers), fl::FlightDescriptor::Path({"memory", "main", table})));
    ARROW_RETURN_NOT_OK(call.writer->Begin(batch->schema()));
    if (const auto schema = call.reader->GetSchema(); !schema.ok()) {
      (void)call.writer->Close();
      return schema.status();
    }
    (void)call.writer->WriteRecordBatch(*batch);  // why it fails is said by the reader
    (void)call.writer->DoneWriting();
    Message last;
    for (;;) {
      auto next = call.reader->Next();
      if (!next.ok()) {
        (void)call.writer->Close();
        return next.status();
      }
      const fl::FlightStreamChunk chunk = std::move(*next);
      if (chunk.data == nullptr && chunk.app_metadata == nullptr) break;
      if (chunk.app_metadata != nullptr) last = Unpack(chunk.app_metadata->ToString()).value_or(Message());
      if (chunk.data != nullptr && back != nullptr) back->push_back(chunk.data);
    }
    ARROW_RETURN_NOT_OK(call.writer->Close());
    return last;
  }

  flight::LockedEngine engine_;
  flight::Loopback server_{*engine_};
  AirportDoor door_{server_.runner()};
  std::shared_ptr<fl::FlightClient> client_ = server_.Connect();
};

}  // namespace pondpilot::worker::airport

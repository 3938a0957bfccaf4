#include "quack/messages.h"

#include <bit>
#include <cstring>

namespace pondpilot::quack {
namespace {

using base::ErrorCode;
using base::Fail;
using base::Result;

// 2^64-1: a query id for none, and the end of a result in version 1.
constexpr uint64_t kNone = ~uint64_t{0};
constexpr size_t kMaxNameBytes = 4096;
// Where an element of a list of chunks has its chunk.
constexpr uint16_t kListedChunk = 300;

std::unexpected<base::Error> Damaged(std::string_view what) {
  return Fail(ErrorCode::kInvalidArgument, "The Quack message (" + std::string(what) +
                                               ") can't be read. Is the client a DuckDB of version 1.5 or "
                                               "2.0?");
}

ResultId ReadResultId(Reader& reader) {
  ResultId id;
  id.upper = reader.Signed();
  id.lower = reader.Unsigned();
  return id;
}

void WriteResultId(Writer& writer, const ResultId& id) {
  writer.Signed(id.upper);
  writer.Unsigned(id.lower);
}

std::string_view OptionalText(Reader& reader, uint16_t field) {
  return reader.TakeField(field) ? reader.Text() : std::string_view();
}

uint64_t OptionalNumber(Reader& reader, uint16_t field) {
  return reader.TakeField(field) ? reader.Unsigned() : 0;
}

void WriteHeader(Writer& writer, Type type, std::string_view connection_id = {}) {
  writer.Field(1);
  writer.Byte(static_cast<uint8_t>(type));
  if (!connection_id.empty()) {
    writer.Field(2);
    writer.Text(connection_id);
  }
  writer.Field(3);
  writer.Unsigned(kNone);
  writer.End();
}

bool Ended(Reader& reader) {
  reader.TakeEnd();
  return !reader.failed() && reader.AtEnd();
}

}  // namespace

Result<Header> ParseHeader(std::string_view message, std::string_view& body) {
  Reader reader(message);
  Header header;
  if (!reader.TakeField(1)) return Damaged("its header");
  const uint8_t type = reader.Byte();
  switch (static_cast<Type>(type)) {
    case Type::kConnectionRequest:
    case Type::kPrepareRequest:
    case Type::kFetchRequest:
    case Type::kAppendRequest:
    case Type::kDisconnect:
    case Type::kCancel:
    case Type::kHeartbeat:
      break;
    default:
      return Fail(ErrorCode::kUnimplemented,
                  "Quack messages of type " + std::to_string(type) + " are not served.");
  }
  header.type = static_cast<Type>(type);
  header.connection_id = OptionalText(reader, 2);
  if (reader.TakeField(3)) (void)reader.Unsigned();
  reader.TakeEnd();
  const bool has_id = header.connection_id.size() == kIdBytes;
  if (reader.failed() || (!has_id && !header.connection_id.empty())) return Damaged("its header");
  if (!has_id && header.type != Type::kConnectionRequest) return Damaged("its connection id");
  body = reader.Rest();
  return header;
}

Result<ConnectionRequest> ParseConnectionRequest(std::string_view body) {
  Reader reader(body);
  ConnectionRequest request;
  request.token = OptionalText(reader, 1);
  request.client_version = OptionalText(reader, 2);
  (void)OptionalText(reader, 3);  // platform
  request.least_version = OptionalNumber(reader, 4);
  request.most_version = OptionalNumber(reader, 5);
  (void)OptionalText(reader, 6);  // the client's id
  request.heartbeat_seconds = OptionalNumber(reader, 7);
  if (reader.failed()) return Damaged("CONNECTION_REQUEST");
  // What later versions add is theirs.
  return request;
}

std::optional<Dialect> Choose(const ConnectionRequest& request) {
  for (const Dialect dialect : {Dialect::kV3, Dialect::kV1}) {
    const auto version = static_cast<uint64_t>(dialect);
    if (request.least_version <= version && version <= request.most_version) return dialect;
  }
  return std::nullopt;
}

Result<PrepareRequest> ParsePrepareRequest(Dialect dialect, std::string_view body) {
  Reader reader(body);
  PrepareRequest request;
  request.sql = OptionalText(reader, 1);
  if (dialect == Dialect::kV3) {
    if (reader.TakeField(2)) request.result = ReadResultId(reader);
    // Beside a statement that reads the client's rows; 0 in all that were seen.
    if (reader.TakeField(3)) (void)reader.Unsigned();
  }
  if (!Ended(reader)) return Damaged("PREPARE_REQUEST");
  return request;
}

Result<FetchRequest> ParseFetchRequest(Dialect dialect, std::string_view body) {
  Reader reader(body);
  FetchRequest request;
  if (reader.TakeField(1)) request.result = ReadResultId(reader);
  if (dialect == Dialect::kV3) {
    request.batch = OptionalNumber(reader, 2);
    request.acknowledged = OptionalNumber(reader, 3);
  }
  if (!Ended(reader)) return Damaged("FETCH_REQUEST");
  return request;
}

Result<AppendRequest> ParseAppendRequest(std::string_view body) {
  Reader reader(body);
  AppendRequest request;
  request.schema = OptionalText(reader, 1);
  request.table = OptionalText(reader, 2);
  // A pointer that is there, to an object with the chunk.
  if (!reader.TakeField(3) || !reader.Bool() || !reader.TakeField(kListedChunk))
    return Damaged("APPEND_REQUEST");
  request.chunk = reader.Rest();
  constexpr std::string_view kEnds = "\xFF\xFF\xFF\xFF";  // of that object and of the message
  if (reader.failed() || !request.chunk.ends_with(kEnds) || request.table.empty() ||
      request.table.size() > kMaxNameBytes || request.schema.size() > kMaxNameBytes) {
    return Damaged("APPEND_REQUEST");
  }
  request.chunk.remove_suffix(kEnds.size());
  return request;
}

Result<StreamedRows> ParseStreamedRows(std::string_view body) {
  Reader reader(body);
  StreamedRows rows;
  rows.stream = OptionalText(reader, 1);
  rows.chunks = OptionalNumber(reader, 2);
  if (reader.TakeField(3)) rows.last_batch = reader.Unsigned();
  rows.batch = OptionalNumber(reader, 4);
  reader.TakeEnd();
  if (reader.failed() || rows.stream.empty() || rows.stream.size() > kMaxNameBytes)
    return Damaged("SEND_DATA_REQUEST");
  rows.rows = reader.Rest();
  return rows;
}

Result<ResultId> ParseCancel(std::string_view body) {
  Reader reader(body);
  ResultId id;
  if (reader.TakeField(1)) id = ReadResultId(reader);
  if (!Ended(reader)) return Damaged("CANCEL_REQUEST");
  return id;
}

std::string ConnectionResponse(Dialect dialect, std::string_view connection_id, std::string_view version,
                               uint64_t lease_seconds) {
  std::string out;
  Writer writer(out);
  WriteHeader(writer, Type::kConnectionResponse, connection_id);
  writer.Field(1);
  writer.Text(version);
  writer.Field(2);
  writer.Text("linux");
  writer.Field(3);
  writer.Unsigned(static_cast<uint64_t>(dialect));
  if (dialect == Dialect::kV3) {
    writer.Field(4);
    writer.Unsigned(lease_seconds);
  }
  writer.End();
  return out;
}

std::string Success() {
  std::string out;
  Writer writer(out);
  WriteHeader(writer, Type::kSuccess);
  writer.End();
  return out;
}

std::string AppendResponse() {
  std::string out;
  Writer writer(out);
  WriteHeader(writer, Type::kAppendResponse);
  writer.Field(1);
  writer.Unsigned(kNone);
  writer.End();
  return out;
}

std::string ErrorResponse(Dialect dialect, std::string_view message) {
  constexpr std::string_view kMark = " Error: ";
  constexpr size_t kLongestClass = 40;
  std::string_view kind = "Invalid Input";
  const size_t mark = message.find(kMark);
  if (mark != std::string_view::npos && mark > 0 && mark <= kLongestClass &&
      message.substr(0, mark).find_first_of("\n:.\"") == std::string_view::npos) {
    kind = message.substr(0, mark);
    if (dialect == Dialect::kV3) message.remove_prefix(mark + kMark.size());
  }
  std::string out;
  Writer writer(out);
  WriteHeader(writer, Type::kError);
  writer.Field(1);
  writer.Text(message);
  if (dialect == Dialect::kV3) {
    writer.Field(2);
    writer.Text(kind);
  }
  writer.End();
  return out;
}

std::string PrepareResponseHead(const std::vector<Column>& columns, bool more, uint64_t listed_chunks) {
  std::string out;
  Writer writer(out);
  WriteHeader(writer, Type::kPrepareResponse);
  writer.Field(1);
  writer.Unsigned(columns.size());
  for (const Column& column : columns) writer.Bytes(column.type);
  writer.Field(2);
  writer.Unsigned(columns.size());
  for (const Column& column : columns) writer.Text(column.name);
  if (more) {
    writer.Field(3);
    writer.Byte(1);
  }
  if (listed_chunks > 0) {
    writer.Field(4);
    writer.Unsigned(listed_chunks);
  }
  return out;
}

std::string WaitingPrepareResponse(const ResultId& result) {
  std::string out;
  Writer writer(out);
  WriteHeader(writer, Type::kPrepareResponse);
  writer.Field(3);
  writer.Byte(1);
  return out + PrepareResponseTail(result);
}

std::string PrepareResponseTail(const ResultId& result) {
  std::string out;
  Writer writer(out);
  writer.Field(5);
  WriteResultId(writer, result);
  writer.End();
  return out;
}

std::string FetchResponseHead(Dialect dialect, uint64_t chunks, uint64_t batch) {
  std::string out;
  Writer writer(out);
  WriteHeader(writer, Type::kFetchResponse);
  writer.Field(1);
  writer.Unsigned(chunks);
  if (dialect == Dialect::kV3) {
    writer.Field(3);
    writer.Unsigned(batch);
    writer.End();
  }
  return out;
}

std::string FetchResponseTail(Dialect dialect, uint64_t batch) {
  std::string out;
  if (dialect == Dialect::kV3) return out;
  Writer writer(out);
  writer.Field(2);
  writer.Unsigned(batch);
  writer.End();
  return out;
}

std::string FetchEnd(Dialect dialect, uint64_t last_batch) {
  std::string out;
  Writer writer(out);
  WriteHeader(writer, Type::kFetchResponse);
  writer.Field(2);
  writer.Unsigned(dialect == Dialect::kV3 ? last_batch : kNone);
  writer.End();
  return out;
}

std::string CountChunk(int64_t count) {
  constexpr uint8_t kBigint = 14;
  static_assert(std::endian::native == std::endian::little);
  std::string bytes(sizeof(count), '\0');
  std::memcpy(bytes.data(), &count, sizeof(count));
  std::string out;
  Writer writer(out);
  writer.Field(100);  // rows
  writer.Unsigned(1);
  writer.Field(101);  // types
  writer.Unsigned(1);
  writer.Field(100);
  writer.Byte(kBigint);
  writer.End();
  writer.Field(102);  // columns
  writer.Unsigned(1);
  writer.Field(100);  // all valid
  writer.Byte(0);
  writer.Field(102);
  writer.Text(bytes);
  writer.End();
  writer.End();
  return out;
}

}  // namespace pondpilot::quack

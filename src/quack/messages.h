#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "quack/wire.h"

namespace pondpilot::quack {

// Messages of DuckDB's Quack protocol, as its versions 1 (DuckDB 1.5) and 3 (DuckDB 2.0) have them. One
// message is the body of one HTTP request or answer: a header and a body, each an object.
enum class Dialect : uint8_t { kV1 = 1, kV3 = 3 };

enum class Type : uint8_t {
  kConnectionRequest = 1,
  kConnectionResponse = 2,
  kPrepareRequest = 3,
  kPrepareResponse = 4,
  kFetchRequest = 7,
  kFetchResponse = 8,
  kAppendRequest = 9,  // in version 3: rows of a stream
  kSuccess = 10,
  kDisconnect = 11,
  kCancel = 12,
  kAppendResponse = 14,
  kHeartbeat = 16,
  kError = 100,
};

// Does a message of a client's want something done for a statement, and not only to end things or to say that
// the client lives?
constexpr bool WantsWork(Type type) {
  return type == Type::kPrepareRequest || type == Type::kFetchRequest || type == Type::kAppendRequest;
}

// Where the connection's id stands in a client's message, which has always this length.
inline constexpr size_t kIdOffset = 6;
inline constexpr size_t kIdBytes = 32;

// Names a result; the client chooses it in version 3, the server in version 1. All zero: none.
struct ResultId {
  int64_t upper = 0;
  uint64_t lower = 0;
  auto operator<=>(const ResultId&) const = default;
};

// The failures that these functions return are kInvalidArgument.

struct Header {
  Type type = Type::kError;
  std::string_view connection_id;  // kIdBytes, or empty
};
// Reads a client's header; `body` is what follows it. Views into `message`.
base::Result<Header> ParseHeader(std::string_view message, std::string_view& body);

struct ConnectionRequest {
  std::string token;
  std::string client_version;
  uint64_t least_version = 0;
  uint64_t most_version = 0;
  uint64_t heartbeat_seconds = 0;  // version 3
};
base::Result<ConnectionRequest> ParseConnectionRequest(std::string_view body);
// The newest dialect of ours that a client speaks.
std::optional<Dialect> Choose(const ConnectionRequest& request);

struct PrepareRequest {
  std::string_view sql;
  ResultId result;  // version 3
};
base::Result<PrepareRequest> ParsePrepareRequest(Dialect dialect, std::string_view body);

struct FetchRequest {
  ResultId result;
  uint64_t batch = 0;         // version 3, from 1
  uint64_t acknowledged = 0;  // version 3: batches up to this one have arrived
};
base::Result<FetchRequest> ParseFetchRequest(Dialect dialect, std::string_view body);

struct AppendRequest {
  std::string_view schema;  // may be empty
  std::string_view table;
  std::string_view chunk;
};
base::Result<AppendRequest> ParseAppendRequest(std::string_view body);

// Rows for a statement that reads a client's stream.
struct StreamedRows {
  std::string_view stream;
  uint64_t chunks = 0;
  uint64_t batch = 0;                  // from 1; 0: in any order
  std::optional<uint64_t> last_batch;  // the stream ends with this one
  std::string_view rows;               // so many chunks, one behind the other
};
base::Result<StreamedRows> ParseStreamedRows(std::string_view body);

base::Result<ResultId> ParseCancel(std::string_view body);

// What a server says of itself, and for how many seconds a client may be silent (version 3).
std::string ConnectionResponse(Dialect dialect, std::string_view connection_id, std::string_view version,
                               uint64_t lease_seconds);
std::string Success();
std::string AppendResponse();
// DuckDB's messages begin with their class ("Catalog Error: …"), which version 3 has a field for.
std::string ErrorResponse(Dialect dialect, std::string_view message);

// A result's columns. A type is an object of DuckDB's.
struct Column {
  std::string name;
  std::string type;
};

// What stands around a chunk that is an element of a list: version 1 has them always, version 3 in answers to
// PREPARE.
inline constexpr std::string_view kListedChunkHead("\x01\x2c\x01", 3);
inline constexpr std::string_view kListedChunkTail("\xff\xff", 2);

// Answers with rows are written in two parts, with the chunks between them.
std::string PrepareResponseHead(const std::vector<Column>& columns, bool more, uint64_t listed_chunks);
// For a statement that waits for a client's stream: nothing is known yet.
std::string WaitingPrepareResponse(const ResultId& result);
std::string PrepareResponseTail(const ResultId& result);
std::string FetchResponseHead(Dialect dialect, uint64_t chunks, uint64_t batch);
std::string FetchResponseTail(Dialect dialect, uint64_t batch);
// `last_batch`: the number of the last batch that had rows.
std::string FetchEnd(Dialect dialect, uint64_t last_batch);

// A chunk of one row with one BIGINT.
std::string CountChunk(int64_t count);

}  // namespace pondpilot::quack

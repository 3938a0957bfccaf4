#pragma once

#include <grpcpp/client_context.h>
#include <grpcpp/server_context.h>

#include <map>
#include <string>
#include <string_view>

namespace pondpilot::proxy::grpc {

using MetadataView = std::multimap<::grpc::string_ref, ::grpc::string_ref>;

// The value of `key` (lower case), or empty when it is absent. When it is sent more than once the call is
// ambiguous:
// `*repeated` is set.
std::string_view SingleValue(const MetadataView& metadata, const char* key, bool* repeated);

// All values of `key` (lower case), apart by commas: a header that may come several times is one list.
std::string JoinedValues(const MetadataView& metadata, const char* key);

// May the header go on from client to worker? Not what gRPC makes itself, not the caller's credentials, and
// nothing under the proxy's own prefix.
bool PassesToWorker(std::string_view key);

// May the header go on from worker to client?
bool PassesToClient(std::string_view key);

// The request id that the client sent when it is fit for a log line (1 to 64 letters, digits, '-', '_' or
// '.'), else a new one.
std::string RequestId(const MetadataView& metadata);

}  // namespace pondpilot::proxy::grpc

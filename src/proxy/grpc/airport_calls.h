#pragma once

#include <grpcpp/support/byte_buffer.h>

#include "proxy/grpc/metadata.h"
#include "proxy/grpc/method_table.h"

namespace pondpilot::proxy::grpc {

// Is it an action of DuckDB's airport extension, as its headers say? Others are not looked into.
bool IsAirportAction(const Method& method, const MetadataView& metadata);

// Is the Action message one of those that the extension sends by itself beside each statement: about the
// transaction, the catalog's version, a column's properties? They don't count against the caller's rate
// limit; `endpoints`, which runs something, does, and so does `flight_info`: to describe a PIVOT is to run
// it.
bool AccompaniesStatement(const ::grpc::ByteBuffer& action);

}  // namespace pondpilot::proxy::grpc

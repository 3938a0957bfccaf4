#pragma once

#include <arrow/flight/types.h>
#include <arrow/result.h>

#include <memory>
#include <string>

#include "worker/airport/message.h"
#include "worker/engine/engine.h"

namespace pondpilot::worker::airport {

// The name that a row identifier's column has; it is the last one.
inline constexpr char kRowId[] = "rowid";

// The columns of a table or view as airport has them: with comments and defaults, and behind them the row
// identifiers of a table that has them. nullptr for a view over something that is gone.
std::shared_ptr<arrow::Schema> SchemaOf(const engine::CatalogEntry& entry);

// Its descriptor: the path of its names as they are here.
arrow::flight::FlightDescriptor DescriptorOf(const engine::CatalogEntry& entry);
// The names in a descriptor; Invalid when it is none of ours.
arrow::Result<engine::TableName> TableOf(const arrow::flight::FlightDescriptor& descriptor);

// What airport knows of a table, as the client calls its catalog and schema. Not for one without a schema.
arrow::Result<arrow::flight::FlightInfo> InfoOf(const engine::CatalogEntry& entry, const std::string& catalog,
                                                const std::string& schema);

// What a catalog's version depends on of a table: not the number of its rows.
std::string Fingerprint(const engine::CatalogEntry& entry);

// {sha256, url, serialized} of a schema with these infos.
arrow::Result<Message> ContentsOf(const std::vector<arrow::flight::FlightInfo>& infos);

// [length, zstd] of a message.
arrow::Result<std::string> Compress(const Message& message);

}  // namespace pondpilot::worker::airport

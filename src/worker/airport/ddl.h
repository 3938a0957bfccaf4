#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "worker/airport/message.h"
#include "worker/engine/engine.h"

namespace pondpilot::worker::airport {

// The actions that change what there is, but for those that make or drop a schema.
bool IsTableAction(std::string_view action);
std::span<const std::string_view> TableActions();

// The names of an action's object, as the client calls them. Actions differ in how they call the fields.
struct ClientName {
  std::string catalog;
  std::string schema;
  std::string name;
};
base::Result<ClientName> ClientNameIn(const Message& request);

// The columns that a request describes as an Arrow schema: names, and their types as SQL.
struct Columns {
  std::vector<std::string> names;
  std::vector<std::string> types;
};

// Where a request has that schema, serialised as by IPC; nullptr for actions without one.
const char* SchemaFieldOf(std::string_view action);

// The statement for an action on a table, and what the table is called when it has run; the name is empty
// when the table is gone.
struct Alteration {
  std::string sql;
  std::string name;
};
base::Result<Alteration> AlterationOf(std::string_view action, const Message& request,
                                      const engine::TableName& table, const Columns& columns);

}  // namespace pondpilot::worker::airport

#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "worker/session/statement_runner.h"

namespace pondpilot::worker::quack {

// DuckDB 1.5 lists the tables of all databases of a server as if they were of one, and reads them by their
// bare names; the PondPilot app lists those of the server's current database only. So the tables of an
// attached database are shown to them as views. Those of its default schema stand in a schema that has the
// database's name: "alias.pg.orders" is read with "FROM pg.orders", which means the same here. Those of
// another stand in one whose name has both parts, "alias."pg.sales".deals"; reading them is told here from
// all other statements by the one form that the client has for it. Tables that 1.5 has no words for are left
// out, as are databases that don't answer.
//
// What to run for a statement of such a client, when it is one of these; nullopt for all others.
base::Result<std::optional<std::string>> ForOldClient(session::StatementRunner& runner,
                                                      const session::Caller& caller, std::string_view sql);

}  // namespace pondpilot::worker::quack

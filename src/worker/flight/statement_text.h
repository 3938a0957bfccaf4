#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace pondpilot::worker::flight {

// What can be seen of an SQL text without parsing it: DuckDB's lexical rules for blanks, comments, quotes and
// dollar quotes are followed, nothing else is understood.
struct StatementText {
  // Statements that hold more than blanks and comments.
  size_t statements = 0;
  // The first word of the first statement, in lower case; "(" when it begins with one.
  std::string first_word;
  // The first statement, without its semicolon and what follows.
  std::string_view first;
  // A parameter (?, $1, $name) stands somewhere in the text.
  bool has_parameters = false;
};

// `sql` must outlive the result.
StatementText LookAt(std::string_view sql);

// May the first word begin a query, which can stand as a subquery? `with` begins queries and changes alike.
bool MayBeQuery(const StatementText& text);

}  // namespace pondpilot::worker::flight

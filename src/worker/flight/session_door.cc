#include "worker/flight/session_door.h"

#include <arrow/array.h>
#include <arrow/record_batch.h>
#include <arrow/scalar.h>

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <variant>

#include "contract/names.h"
#include "worker/flight/caller.h"
#include "worker/flight/sql_text.h"
#include "worker/flight/status.h"

namespace pondpilot::worker::flight {
namespace {

namespace fl = arrow::flight;
using fl::SetSessionOptionErrorValue;

constexpr size_t kMaxOptions = 100;

// As a literal of SQL; nullopt for a list, which no setting here takes.
std::optional<std::string> LiteralOf(const fl::SessionOptionValue& value) {
  if (const auto* text = std::get_if<std::string>(&value)) return Literal(*text);
  if (const auto* flag = std::get_if<bool>(&value)) return *flag ? "true" : "false";
  if (const auto* number = std::get_if<int64_t>(&value)) return std::to_string(*number);
  if (const auto* number = std::get_if<double>(&value)) return std::to_string(*number);
  return std::nullopt;
}

bool IsSettingName(const std::string& name) {
  return !name.empty() && name.size() <= 100 && std::ranges::all_of(name, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
  });
}

// The statement that sets an option; nullopt when no value of this kind can be set.
std::optional<std::string> StatementFor(const std::string& name, const fl::SessionOptionValue& value) {
  const auto* text = std::get_if<std::string>(&value);
  if (name == "catalog") return text ? std::optional("USE " + Quoted(*text)) : std::nullopt;
  if (name == "schema") return text ? std::optional("SET schema = " + Literal(Quoted(*text))) : std::nullopt;
  if (std::holds_alternative<std::monostate>(value)) return "RESET " + Quoted(name);
  const auto literal = LiteralOf(value);
  return literal ? std::optional("SET " + Quoted(name) + " = " + *literal) : std::nullopt;
}

// Is there a setting of this name at all, whether or not it may be set?
bool IsSetting(QueryDoor& queries, const SessionDoor::Context& context, const std::string& name) {
  const auto found = queries.Execute(
      JoiningCallerOf(context),
      {"SELECT 1 FROM duckdb_settings() WHERE lower(name) = lower(" + Literal(name) + ")", "", nullptr});
  if (!found.ok()) return true;
  const auto batch = (*found)->Next();
  return !batch || (*batch != nullptr && (*batch)->num_rows() > 0);
}

}  // namespace

arrow::Result<fl::SetSessionOptionsResult> SessionDoor::Set(const Context& context,
                                                            const fl::SetSessionOptionsRequest& request) {
  if (request.session_options.size() > kMaxOptions) {
    return arrow::Status::Invalid("There are ", request.session_options.size(), " options; ", kMaxOptions,
                                  " can be set at once.");
  }
  fl::SetSessionOptionsResult result;
  // In the order of their names: "catalog" comes before "schema".
  for (const auto& [name, value] : request.session_options) {
    if (!IsSettingName(name)) {
      result.errors[name] = {SetSessionOptionErrorValue::kInvalidName};
      continue;
    }
    const auto statement = StatementFor(name, value);
    if (!statement) {
      result.errors[name] = {SetSessionOptionErrorValue::kInvalidValue};
      continue;
    }
    const auto set = queries_.Execute(JoiningCallerOf(context), {*statement, "", nullptr});
    if (set.ok()) continue;
    const auto detail = fl::FlightStatusDetail::UnwrapStatus(set.status());
    const bool forbidden = detail && detail->code() == fl::FlightStatusCode::Unauthorized;
    // What concerns the call or the worker is no property of the option.
    if (!forbidden && !set.status().IsInvalid() && !set.status().IsKeyError()) return set.status();
    const bool names_a_place = name == "catalog" || name == "schema";
    if (!names_a_place && !IsSetting(queries_, context, name)) {
      result.errors[name] = {SetSessionOptionErrorValue::kInvalidName};
    } else {
      result.errors[name] = {forbidden ? SetSessionOptionErrorValue::kError
                                       : SetSessionOptionErrorValue::kInvalidValue};
    }
  }
  return result;
}

arrow::Result<fl::GetSessionOptionsResult> SessionDoor::Get(const Context& context) {
  ARROW_ASSIGN_OR_RAISE(
      auto stream,
      queries_.Execute(
          JoiningCallerOf(context),
          {"SELECT 'catalog', current_catalog() UNION ALL SELECT 'schema', current_schema() UNION "
           "ALL SELECT name, value FROM duckdb_settings() WHERE value IS NOT NULL AND "
           "list_contains(current_setting('allowed_configs'), name)",
           "", nullptr}));
  fl::GetSessionOptionsResult result;
  for (;;) {
    auto batch = stream->Next();
    if (!batch) return ToArrowStatus(batch.error());
    if (!*batch) return result;
    for (int64_t row = 0; row < (*batch)->num_rows(); ++row) {
      ARROW_ASSIGN_OR_RAISE(const auto name, (*batch)->column(0)->GetScalar(row));
      ARROW_ASSIGN_OR_RAISE(const auto value, (*batch)->column(1)->GetScalar(row));
      result.session_options.emplace(name->ToString(), value->ToString());
    }
  }
}

fl::CloseSessionResult SessionDoor::Close(const Context& context) {
  queries_.runner().CloseSession(SessionOf(context));
  context.AddHeader("set-cookie", std::string(contract::kSessionCookie) + "=" +
                                      contract::kSessionCookieAttributes + "; Max-Age=0");
  return fl::CloseSessionResult{fl::CloseSessionStatus::kClosed};
}

}  // namespace pondpilot::worker::flight

#include "proxy/sql/sql_request.h"

#include <algorithm>
#include <boost/url/params_view.hpp>
#include <boost/url/parse_query.hpp>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "base/text.h"
#include "proxy/http/json_body.h"
#include "proxy/http/negotiation.h"

namespace pondpilot::proxy::sql {
namespace {

namespace proto = pondpilot::sql::v1;
using nlohmann::json;

constexpr size_t kMaxParameters = 10'000;

struct FormatName {
  proto::Format format;
  std::string media_type;
  std::string content_type;
};

// In the order in which they are offered.
const std::vector<FormatName>& Formats() {
  static const std::vector<FormatName> kFormats = {
      {proto::FORMAT_JSON, "application/json", "application/json"},
      {proto::FORMAT_NDJSON, "application/x-ndjson", "application/x-ndjson"},
      {proto::FORMAT_CSV, "text/csv", "text/csv; charset=utf-8; header=present"},
      {proto::FORMAT_ARROW_STREAM, "application/vnd.apache.arrow.stream",
       "application/vnd.apache.arrow.stream"}};
  return kFormats;
}

std::vector<std::string> MediaTypes() {
  std::vector<std::string> types;
  for (const FormatName& format : Formats()) types.push_back(format.media_type);
  return types;
}

proto::Coding CodingFor(const http::Request& request) {
  const auto chosen = http::ChooseCoding(request.Header("Accept-Encoding"), {"zstd", "gzip"});
  if (!chosen) return proto::CODING_IDENTITY;
  return *chosen == 0 ? proto::CODING_ZSTD : proto::CODING_GZIP;
}

std::unexpected<http::Problem> Invalid(std::string message) {
  return std::unexpected(http::ToProblem({base::ErrorCode::kInvalidArgument, std::move(message), "", {}}));
}

http::Problem NotAcceptable() {
  std::string types;
  for (const std::string& type : MediaTypes()) types += (types.empty() ? "" : ", ") + type;
  return {406,
          "not_acceptable",
          "None of the wanted formats is available",
          "The Accept header names no format that results have. They are: " + types + ".",
          {}};
}

// A value of JSON; false for what a parameter can't be. `depth` of lists around it.
bool ToValue(const json& from, int depth, proto::Value* to) {
  switch (from.type()) {
    case json::value_t::null:
      return true;
    case json::value_t::boolean:
      to->set_boolean(from.get<bool>());
      return true;
    case json::value_t::number_integer:
      to->set_integer(from.get<int64_t>());
      return true;
    case json::value_t::number_unsigned:
      if (from.get<uint64_t>() <= uint64_t{INT64_MAX}) {
        to->set_integer(from.get<int64_t>());
      } else {
        to->set_natural(from.get<uint64_t>());
      }
      return true;
    case json::value_t::number_float:
      to->set_number(from.get<double>());
      return true;
    case json::value_t::string:
      to->set_text(from.get<std::string>());
      return true;
    case json::value_t::array: {
      if (depth > 0) return false;
      proto::List* list = to->mutable_list();
      return std::ranges::all_of(
          from, [&](const json& element) { return ToValue(element, depth + 1, list->add_values()); });
    }
    default:
      return false;
  }
}

std::expected<void, http::Problem> AddParameter(const std::string& name, const std::string& shown,
                                                const json& value, proto::RunRequest& out) {
  if (static_cast<size_t>(out.parameters_size()) == kMaxParameters) {
    return Invalid("\"parameters\" has more than " + std::to_string(kMaxParameters) + " values.");
  }
  proto::Parameter* parameter = out.add_parameters();
  parameter->set_name(name);
  if (ToValue(value, 0, parameter->mutable_value())) return {};
  return Invalid(
      "The parameter " + shown +
      " is an object or a list of lists. A parameter is null, true or false, a number, a text or a list of "
      "those; send anything else as text and cast it, as in $1::JSON.");
}

std::expected<void, http::Problem> ParseParameters(const json& parameters, proto::RunRequest& out) {
  if (!parameters.is_array() && !parameters.is_object()) {
    return Invalid("\"parameters\" must be a list, for ? and $1, or an object, for $name.");
  }
  if (parameters.is_array()) {
    for (const json& value : parameters) {
      auto added = AddParameter("", std::to_string(out.parameters_size() + 1), value, out);
      if (!added) return added;
    }
    return {};
  }
  for (const auto& [name, value] : parameters.items()) {
    if (name.empty()) return Invalid("\"parameters\" has a parameter without a name.");
    auto added = AddParameter(name, name.size() <= 64 ? "\"" + name + "\"" : "of a long name", value, out);
    if (!added) return added;
  }
  return {};
}

std::expected<void, http::Problem> ParseShape(const json& shape, proto::RunRequest& out) {
  if (shape == "objects") {
    out.set_shape(proto::SHAPE_OBJECTS);
  } else if (shape == "arrays") {
    out.set_shape(proto::SHAPE_ARRAYS);
  } else if (shape == "columns") {
    out.set_shape(proto::SHAPE_COLUMNS);
  } else {
    return Invalid("\"shape\" must be \"objects\", \"arrays\" or \"columns\".");
  }
  const bool fits = out.shape() == proto::SHAPE_OBJECTS || out.format() == proto::FORMAT_JSON ||
                    (out.format() == proto::FORMAT_NDJSON && out.shape() == proto::SHAPE_ARRAYS);
  if (fits) return {};
  return Invalid("The shape " + shape.dump() + " is one of JSON's, but the Accept header asks for " +
                 http::MediaTypeOf(ContentTypeOf(out.format())) + ".");
}

// A name as it may stand in a log: letters, digits, '-', '_', '.'.
bool IsSessionName(const std::string& name) {
  return !name.empty() && name.size() <= kMaxSessionBytes && http::RequestIdFor(name) == name;
}

std::expected<void, http::Problem> ParseFields(const json& object, proto::RunRequest& out) {
  const auto sql = object.find("sql");
  if (sql == object.end() || !sql->is_string())
    return Invalid("\"sql\" is missing; send the statement as a text.");
  out.set_sql(sql->get<std::string>());
  // null is what many clients send for "not set".
  const auto given = [&](const char* name) -> const json* {
    const auto found = object.find(name);
    return found == object.end() || found->is_null() ? nullptr : &*found;
  };
  if (const json* parameters = given("parameters")) {
    if (auto parsed = ParseParameters(*parameters, out); !parsed) return parsed;
  }
  if (const json* shape = given("shape")) {
    if (auto parsed = ParseShape(*shape, out); !parsed) return parsed;
  }
  if (const json* numbers = given("numbers")) {
    if (*numbers != "safe" && *numbers != "all") return Invalid("\"numbers\" must be \"safe\" or \"all\".");
    out.set_all_numbers(*numbers == "all");
  }
  if (const json* timeout = given("timeout_seconds")) {
    if (!timeout->is_number() ||
        !(timeout->get<double>() >= 1 && timeout->get<double>() <= kMaxTimeoutSeconds)) {
      return Invalid("\"timeout_seconds\" must be a number from 1 to " +
                     std::to_string(static_cast<int64_t>(kMaxTimeoutSeconds)) + ".");
    }
    out.set_timeout_ms(static_cast<uint64_t>(timeout->get<double>() * 1000));
  }
  if (const json* session = given("session")) {
    if (!session->is_string() || !IsSessionName(session->get_ref<const std::string&>())) {
      return Invalid("\"session\" must be a name of 1 to " + std::to_string(kMaxSessionBytes) +
                     " letters, digits, \"-\", \"_\" and \".\".");
    }
    out.set_session(session->get<std::string>());
  }
  return {};
}

}  // namespace

std::string ContentTypeOf(proto::Format format) {
  const auto found = std::ranges::find(Formats(), format, &FormatName::format);
  return found == Formats().end() ? "application/octet-stream" : found->content_type;
}

std::string ContentCodingOf(proto::Coding coding) {
  if (coding == proto::CODING_GZIP) return "gzip";
  return coding == proto::CODING_ZSTD ? "zstd" : "";
}

std::expected<proto::RunRequest, http::Problem> ParseRunRequest(const http::Request& request) {
  proto::RunRequest out;
  const auto format = http::ChooseMediaType(request.Header("Accept"), MediaTypes());
  if (!format) return std::unexpected(NotAcceptable());
  out.set_format(Formats()[*format].format);
  out.set_coding(CodingFor(request));
  const std::string type = http::MediaTypeOf(request.Header("Content-Type"));
  if (type == "application/sql" || type == "text/plain") {
    out.set_sql(request.body);
  } else if (type == "application/json") {
    const auto object = http::ParseJsonObject(
        request.body, {"sql", "parameters", "shape", "numbers", "timeout_seconds", "session"});
    if (!object) return std::unexpected(http::ToProblem(object.error()));
    if (auto parsed = ParseFields(*object, out); !parsed) return std::unexpected(parsed.error());
  } else {
    return std::unexpected(http::Problem{
        415,
        "unsupported_media_type",
        "The body's media type is not supported",
        "Send a JSON object with \"sql\" as application/json, or SQL alone as application/sql or text/plain.",
        {}});
  }
  if (base::Trim(out.sql()).empty()) return Invalid("The SQL text is empty.");
  // It travels as UTF-8 from here on.
  if (!base::IsUtf8(out.sql())) return Invalid("The SQL text is not UTF-8.");
  return out;
}

std::expected<proto::CatalogRequest, http::Problem> ParseCatalogRequest(const http::Request& request) {
  proto::CatalogRequest out;
  out.set_coding(CodingFor(request));
  if (!http::ChooseMediaType(request.Header("Accept"), {"application/json"})) {
    return std::unexpected(http::Problem{406,
                                         "not_acceptable",
                                         "None of the wanted formats is available",
                                         "The catalog is application/json.",
                                         {}});
  }
  const auto parsed = boost::urls::parse_query(request.query);
  if (!parsed) return Invalid("The query of the URL can't be read.");
  for (const auto& parameter : boost::urls::params_view(*parsed)) {
    if (parameter.key != "database" || !out.database().empty() || parameter.value.empty() ||
        !base::IsUtf8(parameter.value)) {
      return Invalid("The query of the URL may have one parameter: database, with the name of one.");
    }
    out.set_database(parameter.value);
  }
  return out;
}

}  // namespace pondpilot::proxy::sql

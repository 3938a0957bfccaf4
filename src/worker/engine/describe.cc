// What can be told of a text before it runs.
#include <arrow/type.h>

#include <algorithm>
#include <optional>

#include "worker/engine/arrow_schema.h"
#include "worker/engine/connection.h"

namespace pondpilot::worker::engine {
namespace {

using base::ErrorCode;
using base::Fail;
using base::Result;
using duckdb::ParsedExpression;

// Gives the parameters that `names` lists the type of a text, at every depth.
void CastParameters(duckdb::unique_ptr<ParsedExpression>& expression, const duckdb::identifier_set_t& names) {
  if (expression->GetExpressionClass() == duckdb::ExpressionClass::PARAMETER) {
    if (!names.contains(expression->Cast<duckdb::ParameterExpression>().Identifier())) return;
    auto alias = expression->GetAlias();
    expression =
        duckdb::make_uniq<duckdb::CastExpression>(duckdb::LogicalType::VARCHAR, std::move(expression));
    expression->SetAlias(std::move(alias));
    return;
  }
  duckdb::ParsedExpressionIterator::EnumerateChildren(
      *expression, [&](duckdb::unique_ptr<ParsedExpression>& child) { CastParameters(child, names); });
}

// The signature of a query some of whose parameters have no type: DuckDB says nothing of its columns then. As
// texts, which clients are told to send for such parameters, they have one. nullopt when that is wrong.
std::optional<duckdb::StatementSignature> BindWithTexts(duckdb::ClientContext& context,
                                                        duckdb::unique_ptr<duckdb::SQLStatement> statement,
                                                        const duckdb::identifier_set_t& names) {
  if (statement->type != duckdb::StatementType::SELECT_STATEMENT) return std::nullopt;
  auto& node = *statement->Cast<duckdb::SelectStatement>().node;
  if (node.type == duckdb::QueryNodeType::SELECT_NODE) {
    for (auto& column : node.Cast<duckdb::SelectNode>().select_list) {
      if (column->GetAlias().empty() && column->GetExpressionClass() != duckdb::ExpressionClass::STAR)
        column->SetAlias(column->GetName());
    }
  }
  duckdb::ParsedExpressionIterator::EnumerateQueryNodeChildren(
      node, [&](duckdb::unique_ptr<ParsedExpression>& child) { CastParameters(child, names); });
  try {
    return context.BindStatement(std::move(statement));
  } catch (const std::exception&) {
    return std::nullopt;
  }
}

// JDBC's driver sends times and timestamps as milliseconds, whatever the unit that it was told: 12:00 became
// 00:00:43. So milliseconds it is told. The values that are bound may have any unit.
std::shared_ptr<arrow::Schema> InMilliseconds(const arrow::Schema& parameters) {
  arrow::FieldVector fields = parameters.fields();
  for (auto& field : fields) {
    if (field->type()->id() == arrow::Type::TIME64) {
      field = field->WithType(arrow::time32(arrow::TimeUnit::MILLI));
    } else if (field->type()->id() == arrow::Type::TIMESTAMP) {
      const auto& zone = static_cast<const arrow::TimestampType&>(*field->type()).timezone();
      field = field->WithType(arrow::timestamp(arrow::TimeUnit::MILLI, zone));
    }
  }
  return arrow::schema(std::move(fields));
}

}  // namespace

Result<Description> DuckDbConnection::Describe(std::string_view sql, Types types) {
  return Call<Description>(sql, [&]() -> Result<Description> {
    auto statements = Parse(sql);
    if (!statements) return std::unexpected(statements.error());
    Description description{nullptr, arrow::schema({})};
    description.has_transaction_statement = std::ranges::any_of(*statements, [](const auto& statement) {
      return statement->type == duckdb::StatementType::TRANSACTION_STATEMENT;
    });
    if (statements->size() > 1) {
      // A later one may need what an earlier one makes: none can be planned.
      for (const auto& statement : *statements) {
        if (statement->named_param_map.empty()) continue;
        return Fail(ErrorCode::kInvalidArgument,
                    "A text of several statements can't have parameters. Send its statements one by one.");
      }
      return description;
    }
    auto& context = *connection_->context;
    const bool has_parameters = !statements->front()->named_param_map.empty();
    auto again = has_parameters ? statements->front()->Copy() : nullptr;
    auto signature = context.BindStatement(std::move(statements->front()));
    duckdb::identifier_set_t open;
    for (const auto& parameter : signature.parameters) {
      if (parameter.type.id() == duckdb::LogicalTypeId::UNKNOWN) open.insert(parameter.identifier);
    }
    if (!open.empty() && !signature.properties.bound_all_parameters) {
      if (auto texts = BindWithTexts(context, std::move(again), open)) {
        signature.types = std::move(texts->types);
        signature.names = std::move(texts->names);
      }
    }
    std::ranges::sort(signature.parameters, {}, &duckdb::StatementParameter::index);
    duckdb::vector<duckdb::LogicalType> parameter_types;
    duckdb::vector<duckdb::Identifier> names;
    for (const auto& parameter : signature.parameters) {
      names.push_back(parameter.identifier);
      // What is only ever NULL says nothing about what may be sent.
      parameter_types.push_back(parameter.type.id() == duckdb::LogicalTypeId::SQLNULL
                                    ? duckdb::LogicalType::VARCHAR
                                    : parameter.type);
    }
    auto parameters = OutgoingSchema(context, std::move(parameter_types), names);
    if (!parameters) return std::unexpected(parameters.error());
    description.parameters = InMilliseconds(**parameters);
    if (signature.metadata_deferred) {
      if (has_parameters) {
        return Fail(ErrorCode::kUnimplemented,
                    "This statement can't have parameters: DuckDB runs it in several steps. Write the values "
                    "into the text.");
      }
      return DescribeInSteps(sql, std::move(description), types);
    }
    if (signature.properties.return_type != duckdb::StatementReturnType::QUERY_RESULT) return description;
    auto rows = DescribedSchema(context, signature.types, signature.names, types);
    if (!rows) return std::unexpected(rows.error());
    description.rows = std::move(*rows);
    return description;
  });
}

// PIVOT and the like have to look at data to know their columns. As a subquery such a text can only be a
// query, and LIMIT 0 keeps it from computing more than that. The line break ends a comment.
Result<Description> DuckDbConnection::DescribeInSteps(std::string_view sql, Description description,
                                                      Types types) {
  std::string inner(sql);
  while (!inner.empty() && (inner.back() == ';' || inner.back() == ' ' || inner.back() == '\n'))
    inner.pop_back();
  auto statements = connection_->ExtractStatements("SELECT * FROM (" + inner + "\n) LIMIT 0");
  if (statements.size() != 1) return description;
  auto stream = RunOne(std::move(statements.front()), true, types);
  if (!stream) return std::unexpected(stream.error());
  description.rows = (*stream)->schema();
  return description;
}

}  // namespace pondpilot::worker::engine

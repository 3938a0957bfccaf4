#include "base/text.h"
#include "worker/engine/connection.h"

namespace pondpilot::worker::engine {
namespace {

using base::ErrorCode;
using base::Fail;
using base::Result;

// The FROM of an INSERT … SELECT that reads the client's rows and nothing else; nullptr for another
// statement.
duckdb::unique_ptr<duckdb::TableRef>* ChunksIn(duckdb::SQLStatement& statement) {
  if (statement.type != duckdb::StatementType::INSERT_STATEMENT) return nullptr;
  auto& select = statement.Cast<duckdb::InsertStatement>().node->select_statement;
  if (!select || !select->node || select->node->type != duckdb::QueryNodeType::SELECT_NODE) return nullptr;
  auto& from = select->node->Cast<duckdb::SelectNode>().from_table;
  if (!from || from->type != duckdb::TableReferenceType::TABLE_FUNCTION) return nullptr;
  const auto& call = from->Cast<duckdb::TableFunctionRef>().function;
  if (!call || call->GetExpressionClass() != duckdb::ExpressionClass::FUNCTION) return nullptr;
  const auto name = call->Cast<duckdb::FunctionExpression>().FunctionName().GetIdentifierName();
  return base::EqualsIgnoreCase(name, kChunksFunction) ? &from : nullptr;
}

duckdb::shared_ptr<duckdb::ColumnDataCollection> Read(duckdb::ClientContext& context,
                                                      const std::vector<std::string_view>& chunks) {
  duckdb::shared_ptr<duckdb::ColumnDataCollection> rows;
  for (const std::string_view bytes : chunks) {
    // The stream only reads what it is given.
    duckdb::MemoryStream stream(reinterpret_cast<duckdb::data_ptr_t>(const_cast<char*>(bytes.data())),
                                bytes.size());
    duckdb::BinaryDeserializer deserializer(stream);
    duckdb::DataChunk chunk;
    deserializer.Begin();
    chunk.Deserialize(deserializer);
    deserializer.End();
    if (!rows) {
      rows = duckdb::make_shared_ptr<duckdb::ColumnDataCollection>(context, chunk.GetTypes());
    } else if (rows->Types() != chunk.GetTypes()) {
      throw duckdb::InvalidInputException("The rows that the client has sent have different columns.");
    }
    // Some clients send more rows at once than a chunk of DuckDB's own has.
    for (duckdb::idx_t from = 0; from < chunk.size(); from += STANDARD_VECTOR_SIZE) {
      const duckdb::idx_t count = std::min<duckdb::idx_t>(STANDARD_VECTOR_SIZE, chunk.size() - from);
      if (count == chunk.size()) {
        rows->Append(chunk);
        break;
      }
      duckdb::DataChunk part;
      part.Initialize(duckdb::Allocator::DefaultAllocator(), chunk.GetTypes());
      duckdb::SelectionVector selection(from, count);
      part.Slice(chunk, selection, count);
      rows->Append(part);
    }
  }
  return rows;
}

}  // namespace

Result<int64_t> DuckDbConnection::InsertChunks(std::string_view sql,
                                               const std::vector<std::string_view>& chunks) {
  return Call<int64_t>(sql, [&]() -> Result<int64_t> {
    auto statement = ParseOne(sql);
    if (!statement) return std::unexpected(statement.error());
    auto* const from = ChunksIn(**statement);
    if (from == nullptr) {
      return Fail(
          ErrorCode::kInvalidArgument,
          std::string(kChunksFunction) +
              " can only be what an INSERT … SELECT reads: a Quack client makes such statements itself.");
    }
    auto rows = Read(*connection_->context, chunks);
    if (!rows || rows->Count() == 0) return 0;
    duckdb::vector<duckdb::Identifier> names;
    for (size_t i = 0; i < rows->ColumnCount(); ++i) names.emplace_back("col" + std::to_string(i));
    auto in_place = duckdb::make_uniq<duckdb::ColumnDataRef>(std::move(rows), std::move(names));
    // DuckDB wants a name for what it expands a star of.
    in_place->alias = (*from)->alias.empty() ? duckdb::Identifier(kChunksFunction) : (*from)->alias;
    *from = std::move(in_place);
    auto stream = RunOne(std::move(*statement), true);
    if (!stream) return std::unexpected(stream.error());
    if (interrupted_.load()) return Fail(ErrorCode::kCancelled, "The statement was cancelled.");
    return CountOf(**stream);
  });
}

}  // namespace pondpilot::worker::engine

#include "worker/engine/chunk_format.h"

#include <utility>

namespace pondpilot::worker::engine {
namespace {

// A unit that has so much is large enough, however few chunks it has. Larger ones were seen to cost more in
// fresh memory than they save in messages.
constexpr size_t kUnitBytes = 1 << 20;

class StringSink final : public duckdb::WriteStream {
 public:
  explicit StringSink(std::string& out) : out_(out) {}
  void WriteData(duckdb::const_data_ptr_t buffer, duckdb::idx_t write_size) override {
    out_.append(reinterpret_cast<const char*>(buffer), write_size);
  }

 private:
  std::string& out_;
};

struct Unit final : duckdb::ResultUnit {
  explicit Unit(ChunkBatch made) : ResultUnit(made.rows, made.bytes.size()), batch(std::move(made)) {}
  ChunkBatch batch;
};

struct Local final : duckdb::ResultFormatLocalState {
  ChunkBatch batch;
  size_t last_bytes = 0;  // of the unit before: what the next may need
};

// For DuckDB 1.5, which lacks some of the types of 2.0.
duckdb::LogicalType KnownType(const duckdb::LogicalType& type) {
  return duckdb::TypeVisitor::VisitReplace(type, [](const duckdb::LogicalType& one) {
    return one.id() == duckdb::LogicalTypeId::TIMESTAMP_TZ_NS
               ? duckdb::LogicalType(duckdb::LogicalTypeId::TIMESTAMP_TZ)
               : one;
  });
}

}  // namespace

WrittenChunksState::WrittenChunksState(const duckdb::ResultFormatContext& context, ChunkVersion version) {
  const bool old = version == ChunkVersion::k1_5;
  options_.storage_compatibility = duckdb::StorageCompatibility::FromString(old ? "v1.5.0" : "v2.0.0");
  for (size_t i = 0; i < context.types.size(); ++i) {
    types_.push_back(old ? KnownType(context.types[i]) : context.types[i]);
    casts_ = casts_ || types_.back() != context.types[i];
    ChunkStream::Column column;
    column.name = context.names[i].GetIdentifierName();
    StringSink sink(column.type);
    duckdb::BinarySerializer serializer(sink, options_);
    serializer.Begin();
    types_.back().Serialize(serializer);
    serializer.End();
    columns_.push_back(std::move(column));
  }
}

duckdb::unique_ptr<duckdb::ResultFormatGlobalState> WrittenChunks::InitGlobal(
    const duckdb::ResultFormatContext& context) {
  return duckdb::make_uniq<WrittenChunksState>(context, version_);
}

duckdb::unique_ptr<duckdb::ResultFormatLocalState> WrittenChunks::InitLocal(
    duckdb::ResultFormatGlobalState&) {
  return duckdb::make_uniq<Local>();
}

void WrittenChunks::AppendToUnit(duckdb::ResultFormatGlobalState& global,
                                 duckdb::ResultFormatLocalState& local, duckdb::DataChunk& chunk) {
  const auto& state = global.Cast<WrittenChunksState>();
  ChunkBatch& batch = local.Cast<Local>().batch;
  if (chunk.size() == 0) return;
  if (batch.bytes.empty()) batch.bytes.reserve(local.Cast<Local>().last_bytes * 9 / 8);
  StringSink sink(batch.bytes);
  duckdb::BinarySerializer serializer(sink, state.options());
  serializer.Begin();
  if (state.casts()) {
    duckdb::DataChunk known;
    known.Initialize(duckdb::Allocator::DefaultAllocator(), state.types());
    for (duckdb::idx_t i = 0; i < chunk.ColumnCount(); ++i) {
      if (chunk.data[i].GetType() == state.types()[i]) {
        known.data[i].Reference(chunk.data[i]);
      } else {
        duckdb::VectorOperations::DefaultCast(chunk.data[i], known.data[i], chunk.size());
      }
    }
    known.SetChildCardinality(chunk.size());
    known.Serialize(serializer);
  } else {
    chunk.Serialize(serializer);
  }
  serializer.End();
  batch.rows += chunk.size();
  batch.ends.push_back(batch.bytes.size());
}

bool WrittenChunks::IsUnitFinished(duckdb::ResultFormatLocalState& local) {
  const ChunkBatch& batch = local.Cast<Local>().batch;
  return batch.ends.size() >= unit_chunks_ || batch.bytes.size() >= kUnitBytes;
}

duckdb::unique_ptr<duckdb::ResultUnit> WrittenChunks::FinishUnit(duckdb::ResultFormatGlobalState&,
                                                                 duckdb::ResultFormatLocalState& local) {
  auto& state = local.Cast<Local>();
  if (state.batch.rows == 0) return nullptr;
  state.last_bytes = state.batch.bytes.size();
  return duckdb::make_uniq<Unit>(std::exchange(state.batch, {}));
}

duckdb::unique_ptr<ChunkBatch> WrittenChunks::UnpackUnit(duckdb::unique_ptr<duckdb::ResultUnit> unit) {
  if (!unit) return nullptr;
  return duckdb::make_uniq<ChunkBatch>(std::move(unit->Cast<Unit>().batch));
}

}  // namespace pondpilot::worker::engine

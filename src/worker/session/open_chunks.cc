#include "worker/session/open_chunks.h"

#include <utility>

namespace pondpilot::worker::session {

OpenChunks::OpenChunks(std::unique_ptr<engine::ChunkStream> inner, ConnectionLease lease, Activity& activity,
                       CallWatch& watch, std::shared_ptr<TimeLimit> limit)
    : activity_(activity), lease_(std::move(lease)), inner_(std::move(inner)), limit_(std::move(limit)) {
  activity_.StreamOpened();
  if (!inner_->HoldsConnection()) {
    GiveBack();
  } else if (limit_->exists()) {
    guard_.emplace(watch, [this] { return limit_->Check(); }, [this] { inner_->Cancel(); });
  }
}

OpenChunks::~OpenChunks() {
  guard_.reset();
  inner_.reset();  // before the lease: it ends the statement on the connection
  GiveBack();
  activity_.StreamClosed();
}

base::Result<std::optional<engine::ChunkBatch>> OpenChunks::Next() {
  auto batch = inner_->Next();
  if (!batch) batch.error() = limit_->Explain(std::move(batch.error()));
  if (lease_ && !inner_->HoldsConnection()) GiveBack();
  return batch;
}

void OpenChunks::GiveBack() {
  guard_.reset();
  lease_.reset();
}

}  // namespace pondpilot::worker::session

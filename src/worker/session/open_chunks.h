#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "worker/engine/engine.h"
#include "worker/session/activity.h"
#include "worker/session/call_watch.h"
#include "worker/session/session.h"
#include "worker/session/time_limit.h"

namespace pondpilot::worker::session {

// A result that is being read as chunks, with the connection it comes from, which is given back as soon as
// the result no longer needs it. Destroying it before its end stops the statement. One thread at a time,
// except Cancel.
class OpenChunks final : public engine::ChunkStream {
 public:
  // `activity` and `watch` must outlive the result; the watch ends the statement when its time is up, also
  // while nobody reads.
  OpenChunks(std::unique_ptr<engine::ChunkStream> inner, ConnectionLease lease, Activity& activity,
             CallWatch& watch, std::shared_ptr<TimeLimit> limit);
  ~OpenChunks() override;

  const std::vector<Column>& columns() const override { return inner_->columns(); }
  base::Result<std::optional<engine::ChunkBatch>> Next() override;
  bool HoldsConnection() const override { return lease_.has_value(); }
  void Cancel() override { inner_->Cancel(); }

 private:
  void GiveBack();

  Activity& activity_;
  std::optional<ConnectionLease> lease_;
  std::unique_ptr<engine::ChunkStream> inner_;
  std::shared_ptr<TimeLimit> limit_;
  std::optional<CallWatch::Guard> guard_;  // while the statement runs
};

}  // namespace pondpilot::worker::session

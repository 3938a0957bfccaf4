#include "proxy/operator_source.h"

namespace pondpilot::proxy {

std::vector<admin::WorkerRow> ProxyOperator::Workers() {
  std::vector<admin::WorkerRow> rows;
  for (const fleet::WorkerView& view : fleet_.Workers()) {
    admin::WorkerRow row;
    row.worker_id = view.worker_id;
    row.container_id = view.handle;
    row.user_id = view.user_id;
    row.state = ToString(view.state);
    row.profile = view.profile;
    row.age = view.age;
    row.idle = view.idle;
    row.calls = view.calls;
    row.running_statements = view.activity.running_statements;
    row.open_streams = view.activity.open_streams;
    row.open_transactions = view.activity.open_transactions;
    row.memory_bytes = view.activity.resident_bytes;
    row.peak_memory_bytes = view.activity.peak_resident_bytes;
    row.cpu = view.activity.cpu;
    rows.push_back(std::move(row));
  }
  return rows;
}

bool ProxyOperator::Drain(std::chrono::milliseconds grace) {
  if (draining_.exchange(true)) return false;
  end_(grace);
  return true;
}

}  // namespace pondpilot::proxy

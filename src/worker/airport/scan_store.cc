#include "worker/airport/scan_store.h"

#include <arrow/record_batch.h>

#include <algorithm>
#include <charconv>
#include <utility>

#include "worker/airport/message.h"
#include "worker/flight/status.h"

namespace pondpilot::worker::airport {

namespace fl = arrow::flight;

// One result, and how its readers fare.
class SharedResult {
 public:
  SharedResult(std::shared_ptr<session::OpenResult> result, std::optional<uint64_t> rows)
      : result_(std::move(result)), rows_(rows) {}

  struct Part {
    std::shared_ptr<arrow::RecordBatch> batch;  // nullptr at the end
    std::optional<double> progress;
  };

  // An error is every reader's.
  base::Result<Part> Next() {
    const std::lock_guard lock(reading_);
    if (error_) return std::unexpected(*error_);
    if (ended_) return Part{};
    auto batch = result_->Next();
    if (!batch) {
      error_ = batch.error();
      LetGo();
      return std::unexpected(*error_);
    }
    if (*batch == nullptr) {
      ended_ = true;
      LetGo();
      return Part{};
    }
    sent_ += static_cast<uint64_t>((*batch)->num_rows());
    Part part{std::move(*batch), std::nullopt};
    if (rows_) {
      const double all = static_cast<double>(std::max<uint64_t>(*rows_, 1));
      part.progress = std::min(static_cast<double>(sent_) / all, 1.0);
    }
    return part;
  }

  // From any thread, while another reads.
  void Cancel() {
    const std::lock_guard lock(holding_);
    if (result_) result_->Cancel();
  }

  // A reader has left with rows that it may not have delivered.
  void Break() {
    Cancel();
    const std::lock_guard lock(reading_);
    if (ended_ || error_) return;
    error_ = base::Error{base::ErrorCode::kCancelled, "Another reader of this result has left.", "", {}};
    LetGo();
  }

 private:
  // Its connection is free from then on, although there may be tickets that were not used. With `reading_`
  // held.
  void LetGo() {
    const std::lock_guard lock(holding_);
    result_.reset();
  }

  std::mutex reading_;
  std::mutex holding_;  // guards the pointer; taken after `reading_`
  std::shared_ptr<session::OpenResult> result_;
  const std::optional<uint64_t> rows_;
  uint64_t sent_ = 0;
  bool ended_ = false;
  std::optional<base::Error> error_;
};

namespace {

// No serialised protobuf message begins like this.
constexpr std::string_view kPrefix = "pondpilot:scan:";

std::string TicketOf(const std::string& handle, size_t index) {
  return std::string(kPrefix) + handle + ":" + std::to_string(index);
}

struct TicketName {
  std::string handle;
  size_t index = 0;
};

std::optional<TicketName> NameOf(std::string_view ticket) {
  if (!ticket.starts_with(kPrefix)) return std::nullopt;
  ticket.remove_prefix(kPrefix.size());
  const size_t colon = ticket.rfind(':');
  if (colon == std::string_view::npos) return std::nullopt;
  TicketName name{std::string(ticket.substr(0, colon)), 0};
  const std::string_view digits = ticket.substr(colon + 1);
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), name.index);
  if (error != std::errc() || end != digits.data() + digits.size() || name.index >= ScanStore::kMaxTickets)
    return std::nullopt;
  return name;
}

// What one ticket gives, as batches. Keeps the progress that belongs to the last one.
class PartReader final : public arrow::RecordBatchReader {
 public:
  PartReader(std::shared_ptr<SharedResult> result, std::shared_ptr<arrow::Schema> schema)
      : result_(std::move(result)), schema_(std::move(schema)) {}
  ~PartReader() override {
    if (!ended_) result_->Break();
  }
  PartReader(const PartReader&) = delete;
  PartReader& operator=(const PartReader&) = delete;

  std::shared_ptr<arrow::Schema> schema() const override { return schema_; }
  arrow::Status ReadNext(std::shared_ptr<arrow::RecordBatch>* batch) override {
    auto part = result_->Next();
    if (!part) return flight::ToArrowStatus(part.error());
    ended_ = part->batch == nullptr;
    progress_ = part->progress;
    *batch = ended_ ? nullptr
                    : arrow::RecordBatch::Make(schema_, part->batch->num_rows(), part->batch->column_data());
    return arrow::Status::OK();
  }

  const std::optional<double>& progress() const { return progress_; }
  SharedResult& result() { return *result_; }

 private:
  std::shared_ptr<SharedResult> result_;
  std::shared_ptr<arrow::Schema> schema_;
  std::optional<double> progress_;
  bool ended_ = false;
};

class PartStream final : public fl::FlightDataStream {
 public:
  PartStream(std::shared_ptr<PartReader> reader, session::CallWatch& watch,
             const fl::ServerCallContext& context)
      : reader_(std::move(reader)),
        batches_(reader_),
        guard_(
            watch, [&context] { return context.is_cancelled(); }, [this] { reader_->result().Cancel(); }) {}

  std::shared_ptr<arrow::Schema> schema() override { return batches_.schema(); }
  arrow::Result<fl::FlightPayload> GetSchemaPayload() override { return batches_.GetSchemaPayload(); }
  arrow::Result<fl::FlightPayload> Next() override {
    ARROW_ASSIGN_OR_RAISE(auto payload, batches_.Next());
    if (payload.ipc_message.metadata != nullptr && reader_->progress()) {
      payload.app_metadata = arrow::Buffer::FromString(Pack(Message{{"progress", *reader_->progress()}}));
    }
    return payload;
  }

 private:
  std::shared_ptr<PartReader> reader_;
  fl::RecordBatchStream batches_;
  session::CallWatch::Guard guard_;
};

arrow::Status NoScan() {
  return arrow::Status::KeyError(
      "There is no scan under this ticket: it was read already, was not read in time, or was stopped. Run "
      "the "
      "statement again.");
}

}  // namespace

bool ScanStore::IsTicket(std::string_view ticket) { return ticket.starts_with(kPrefix); }

void ScanStore::Sweep() {
  const auto old = clock_.Now() - kLife;
  std::erase_if(scans_, [&](const Scan& scan) { return scan.unused == 0 || scan.last_used < old; });
  while (scans_.size() >= kMaxScans) scans_.pop_front();
}

std::vector<std::string> ScanStore::Put(std::shared_ptr<session::OpenResult> result, Shape shape,
                                        size_t count) {
  count = std::clamp<size_t>(count, 1, kMaxTickets);
  Scan scan;
  scan.handle = tickets_.Put(std::move(result));
  scan.shape = std::move(shape);
  scan.unused = (1U << count) - 1;
  scan.last_used = clock_.Now();
  std::vector<std::string> tickets;
  for (size_t i = 0; i < count; ++i) tickets.push_back(TicketOf(scan.handle, i));
  const std::lock_guard lock(mutex_);
  Sweep();
  scans_.push_back(std::move(scan));
  return tickets;
}

arrow::Result<std::unique_ptr<fl::FlightDataStream>> ScanStore::Open(const fl::ServerCallContext& context,
                                                                     const std::string& ticket) {
  const auto name = NameOf(ticket);
  if (!name) return NoScan();
  std::shared_ptr<SharedResult> result;
  std::shared_ptr<arrow::Schema> schema;
  {
    const std::lock_guard lock(mutex_);
    const auto scan = std::ranges::find(scans_, name->handle, &Scan::handle);
    const uint32_t bit = 1U << name->index;
    if (scan == scans_.end() || (scan->unused & bit) == 0) return NoScan();
    if (scan->result == nullptr) {
      auto taken = tickets_.Take(scan->handle);
      if (!taken) {
        scans_.erase(scan);
        return NoScan();
      }
      scan->result = std::make_shared<SharedResult>(std::move(*taken), scan->shape.rows);
    }
    scan->unused &= ~bit;
    scan->last_used = clock_.Now();
    result = scan->result;
    schema = scan->shape.schema;
    // Its readers keep it.
    if (scan->unused == 0) scans_.erase(scan);
  }
  auto reader = std::make_shared<PartReader>(std::move(result), std::move(schema));
  return std::make_unique<PartStream>(std::move(reader), watch_, context);
}

}  // namespace pondpilot::worker::airport

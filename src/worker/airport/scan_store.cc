#include "worker/airport/scan_store.h"

#include <arrow/record_batch.h>

#include <algorithm>
#include <charconv>
#include <functional>
#include <utility>

#include "worker/airport/message.h"
#include "worker/flight/status.h"

namespace pondpilot::worker::airport {

namespace fl = arrow::flight;

// One result, and those who read it. Which of them there are changes under the store's mutex alone.
class SharedResult {
 public:
  explicit SharedResult(std::optional<uint64_t> rows) : rows_(rows) {}

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

  // A reader comes; `last`: no other will. The result for the first one, nullptr for those that find it here.
  void Enter(std::shared_ptr<session::OpenResult> result, bool last) {
    const std::lock_guard lock(holding_);
    if (result) result_ = std::move(result);
    ++readers_;
    last_ = last;
    deserted_.reset();
  }

  // A reader goes, whose client had gone already (NoteGone) or not. When it was the only one, gives what is
  // left of the result, for those who may come yet; nullptr when others read on, or nothing is left.
  std::shared_ptr<session::OpenResult> Leave(bool gone) {
    const std::lock_guard lock(holding_);
    --readers_;
    if (gone) --gone_;
    return readers_ == 0 ? std::move(result_) : nullptr;
  }

  // A reader's client has gone, said again and again until the reader leaves; it may be waiting for rows. The
  // statement is stopped when nobody else reads and nobody else can come, or has come for kGrace.
  void NoteGone(bool first, base::Clock::Steady now) {
    const std::lock_guard lock(holding_);
    if (first) ++gone_;
    if (gone_ < readers_ || !result_) return;
    if (!deserted_) deserted_ = now;
    if (last_ || now - *deserted_ >= kGrace) result_->Cancel();
  }

 private:
  // Clients with a LIMIT leave one ticket and take the next in no order.
  static constexpr std::chrono::seconds kGrace{5};

  // Its connection is free from then on, although there may be tickets that were not used. With `reading_`
  // held.
  void LetGo() {
    std::shared_ptr<session::OpenResult>
        ended;  // goes outside the lock: it waits for the watch, which takes it
    const std::lock_guard lock(holding_);
    ended = std::move(result_);
  }

  std::mutex reading_;
  std::mutex holding_;  // guards what follows; taken after `reading_`
  // Whoever reads has come under `holding_`, and holds `reading_`.
  std::shared_ptr<session::OpenResult> result_;
  size_t readers_ = 0;
  size_t gone_ = 0;                              // of them
  bool last_ = false;                            // nobody else can come
  std::optional<base::Clock::Steady> deserted_;  // all have gone since

  const std::optional<uint64_t> rows_;  // guarded by `reading_`, as what follows
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
  // `left`: runs when it goes, with whether its client had gone.
  PartReader(std::shared_ptr<SharedResult> result, std::shared_ptr<arrow::Schema> schema,
             std::function<void(bool gone)> left)
      : result_(std::move(result)), schema_(std::move(schema)), left_(std::move(left)) {}
  ~PartReader() override { left_(gone_); }
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

  // On the watch's thread, which has ended with it when the reader goes.
  void NoteGone(base::Clock::Steady now) { result_->NoteGone(!std::exchange(gone_, true), now); }

 private:
  std::shared_ptr<SharedResult> result_;
  std::shared_ptr<arrow::Schema> schema_;
  const std::function<void(bool gone)> left_;
  std::optional<double> progress_;
  bool ended_ = false;
  bool gone_ = false;
};

class PartStream final : public fl::FlightDataStream {
 public:
  PartStream(std::shared_ptr<PartReader> reader, session::CallWatch& watch, const base::Clock& clock,
             const fl::ServerCallContext& context)
      : reader_(std::move(reader)),
        batches_(reader_),
        guard_(
            watch, [&context] { return context.is_cancelled(); },
            [this, &clock] { reader_->NoteGone(clock.Now()); }) {}

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
  scan.handle = scan.waiting = tickets_.Put(std::move(result));
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
    std::shared_ptr<session::OpenResult> waiting;
    if (!scan->waiting.empty()) {
      auto taken = tickets_.Take(scan->waiting);
      if (!taken) {
        scans_.erase(scan);
        return NoScan();
      }
      waiting = std::move(*taken);
      scan->waiting.clear();
    }
    if (scan->result == nullptr) scan->result = std::make_shared<SharedResult>(scan->shape.rows);
    scan->unused &= ~bit;
    scan->last_used = clock_.Now();
    scan->result->Enter(std::move(waiting), scan->unused == 0);
    result = scan->result;
    schema = scan->shape.schema;
    // Its readers keep it.
    if (scan->unused == 0) scans_.erase(scan);
  }
  auto reader = std::make_shared<PartReader>(
      result, std::move(schema),
      [this, result, handle = name->handle](bool gone) { Leave(handle, *result, gone); });
  return std::make_unique<PartStream>(std::move(reader), watch_, clock_, context);
}

void ScanStore::Leave(const std::string& handle, SharedResult& result, bool gone) {
  std::shared_ptr<session::OpenResult> rest;  // of what nobody can read any more; ends outside the lock
  const std::lock_guard lock(mutex_);
  rest = result.Leave(gone);
  if (rest == nullptr) return;
  const auto scan = std::ranges::find(scans_, handle, &Scan::handle);
  if (scan != scans_.end()) scan->waiting = tickets_.Put(std::move(rest));
}

}  // namespace pondpilot::worker::airport

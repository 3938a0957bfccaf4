#include "proxy/grpc/early_results.h"

#include <google/protobuf/io/coded_stream.h>

#include <cstdint>
#include <utility>

#include "contract/control.pb.h"
#include "contract/names.h"
#include "proxy/grpc/reply_buffer.h"

namespace pondpilot::proxy::grpc {
namespace {

static_assert(contract::kMaxEarlyResultMessages <= ReplyBuffer::kSmallMessages,
              "they wait there, all at once");
static_assert(EarlyResults::kMaxResultBytes * 2 < ReplyBuffer::kSmallBytes);

// A user id has no zero byte (a token with one is refused), so that two users' keys can't be alike.
std::string KeyOf(const std::string& user_id, std::string_view ticket) {
  std::string key = user_id;
  key += '\0';
  key += ticket;
  return key;
}

// The bytes of a Ticket message that has nothing but its one field; nullopt for anything else.
std::optional<std::string> TicketOf(const ::grpc::ByteBuffer& request) {
  // More than our workers' tickets ever have.
  constexpr size_t kMaxBytes = 1024;
  constexpr uint32_t kTicketField = (1 << 3) | 2;
  if (request.Length() > kMaxBytes) return std::nullopt;
  ::grpc::Slice slice;
  if (!request.TrySingleSlice(&slice).ok() && !request.DumpToSingleSlice(&slice).ok()) return std::nullopt;
  google::protobuf::io::CodedInputStream in(slice.begin(), static_cast<int>(slice.size()));
  uint32_t size = 0;
  std::string ticket;
  if (in.ReadTag() != kTicketField || !in.ReadVarint32(&size)) return std::nullopt;
  if (std::cmp_not_equal(size, static_cast<int>(slice.size()) - in.CurrentPosition())) return std::nullopt;
  if (!in.ReadString(&ticket, static_cast<int>(size))) return std::nullopt;
  return ticket;
}

}  // namespace

EarlyResults::Place::Place(Place&& other) noexcept
    : store_(std::exchange(other.store_, nullptr)), user_id_(std::move(other.user_id_)) {}

EarlyResults::Place& EarlyResults::Place::operator=(Place&& other) noexcept {
  std::swap(store_, other.store_);
  std::swap(user_id_, other.user_id_);
  return *this;
}

EarlyResults::Place::~Place() {
  if (store_ == nullptr) return;
  const std::lock_guard lock(store_->mutex_);
  store_->GiveBack(user_id_);
}

EarlyResults::Place EarlyResults::Reserve(const std::string& user_id) {
  const std::lock_guard lock(mutex_);
  DropExpired();
  if (all_places_ >= kMaxInAll) return {};
  size_t& places = places_[user_id];
  if (places >= kMaxOfUser) return {};
  ++places;
  ++all_places_;
  return {this, user_id};
}

bool EarlyResults::Keep(Place place, std::string_view trailer) {
  control::v1::EarlyResult result;
  if (trailer.size() > 2 * kMaxResultBytes ||
      !result.ParseFromArray(trailer.data(), static_cast<int>(trailer.size())) || result.ticket().empty() ||
      result.messages().empty() || result.messages_size() > contract::kMaxEarlyResultMessages) {
    return false;
  }
  Entry entry{KeyOf(place.user_id_, result.ticket()), place.user_id_, clock_.Now() + kLife, {}};
  for (const std::string& message : result.messages()) {
    const ::grpc::Slice slice(message);
    entry.messages.emplace_back(&slice, 1);
  }
  const std::lock_guard lock(mutex_);
  const std::string key = entry.key;
  entries_.push_back(std::move(entry));
  if (!by_key_.emplace(key, std::prev(entries_.end())).second) {
    entries_.pop_back();
    return false;
  }
  place.store_ = nullptr;  // the entry has it now
  return true;
}

std::optional<std::vector<::grpc::ByteBuffer>> EarlyResults::Take(const std::string& user_id,
                                                                  const ::grpc::ByteBuffer& request) {
  const auto ticket = TicketOf(request);
  if (!ticket) return std::nullopt;
  const std::lock_guard lock(mutex_);
  DropExpired();
  const auto found = by_key_.find(KeyOf(user_id, *ticket));
  if (found == by_key_.end()) return std::nullopt;
  auto messages = std::move(found->second->messages);
  entries_.erase(found->second);
  by_key_.erase(found);
  GiveBack(user_id);
  return messages;
}

size_t EarlyResults::size() const {
  const std::lock_guard lock(mutex_);
  return all_places_;
}

void EarlyResults::DropExpired() {
  while (!entries_.empty() && entries_.front().expires_at <= clock_.Now()) {
    by_key_.erase(entries_.front().key);
    GiveBack(entries_.front().user_id);
    entries_.pop_front();
  }
}

void EarlyResults::GiveBack(const std::string& user_id) {
  --all_places_;
  const auto found = places_.find(user_id);
  if (--found->second == 0) places_.erase(found);
}

}  // namespace pondpilot::proxy::grpc

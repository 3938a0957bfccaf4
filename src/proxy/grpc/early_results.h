#pragma once

#include <grpcpp/support/byte_buffer.h>

#include <chrono>
#include <cstddef>
#include <list>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/clock.h"

namespace pondpilot::proxy::grpc {

// Small results that came with their GetFlightInfo, until their DoGet asks for them: that call then costs no
// way to the worker. Bounded in number, bytes and time. A result is its user's alone and is given once.
// Thread-safe.
class EarlyResults {
 public:
  // A place for one result, kept free until it is used or destroyed. Move-only; must not outlive the store.
  class Place {
   public:
    Place() = default;
    Place(Place&& other) noexcept;
    Place& operator=(Place&& other) noexcept;
    ~Place();
    explicit operator bool() const { return store_ != nullptr; }

   private:
    friend class EarlyResults;
    Place(EarlyResults* store, std::string user_id) : store_(store), user_id_(std::move(user_id)) {}

    EarlyResults* store_ = nullptr;
    std::string user_id_;
  };

  // `clock` must outlive the store.
  explicit EarlyResults(const base::Clock& clock) : clock_(clock) {}

  // False when the user, or all users together, have as many results here as there may be: then the worker
  // must keep this one.
  Place Reserve(const std::string& user_id);

  // Keeps what a worker has sent in the trailer (EarlyResult of contract/control.proto). False when it is
  // none.
  bool Keep(Place place, std::string_view trailer);

  // The messages of the result under the ticket that a DoGet request holds (Ticket of Flight.proto of Arrow
  // 25); nullopt when there is none, which the worker must then answer.
  std::optional<std::vector<::grpc::ByteBuffer>> Take(const std::string& user_id,
                                                      const ::grpc::ByteBuffer& request);

  // Taken and reserved places.
  size_t size() const;

  static constexpr size_t kMaxResultBytes = 4096;
  static constexpr size_t kMaxOfUser = 64;
  static constexpr size_t kMaxInAll = 4096;
  // As long as a worker's tickets.
  static constexpr std::chrono::seconds kLife{60};

 private:
  struct Entry {
    std::string key;
    std::string user_id;
    base::Clock::Steady expires_at;
    std::vector<::grpc::ByteBuffer> messages;
  };

  void DropExpired();
  void GiveBack(const std::string& user_id);

  const base::Clock& clock_;
  mutable std::mutex mutex_;
  std::list<Entry> entries_;  // oldest in front
  std::unordered_map<std::string, std::list<Entry>::iterator> by_key_;
  std::unordered_map<std::string, size_t> places_;  // taken and reserved, by user
  size_t all_places_ = 0;
};

}  // namespace pondpilot::proxy::grpc

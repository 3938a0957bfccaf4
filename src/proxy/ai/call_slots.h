#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <string>

namespace pondpilot::proxy::ai {

// Bounds how many calls to providers run at the same time, for each user and together. On one thread.
class CallSlots {
 public:
  static constexpr size_t kTotal = 256;
  static constexpr size_t kPerUser = 16;

  // A place that is given back when it is destroyed.
  using Slot = std::shared_ptr<void>;

  bool full() const { return counts_->total >= kTotal; }
  // Null when there is no place for this user, or at all.
  Slot Take(const std::string& user) {
    if (full() || counts_->of_user[user] >= kPerUser) return nullptr;
    ++counts_->total;
    ++counts_->of_user[user];
    return {this, [counts = counts_, user](void*) {
              --counts->total;
              if (--counts->of_user[user] == 0) counts->of_user.erase(user);
            }};
  }

 private:
  struct Counts {
    size_t total = 0;
    std::map<std::string, size_t> of_user;  // those above 0
  };
  const std::shared_ptr<Counts> counts_ = std::make_shared<Counts>();
};

}  // namespace pondpilot::proxy::ai

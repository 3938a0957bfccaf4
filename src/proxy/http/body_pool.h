#pragma once

#include <cstdint>
#include <memory>
#include <utility>

namespace pondpilot::proxy::http {

// What large bodies of requests may take together, in bytes. On one thread.
class BodyPool {
 public:
  explicit BodyPool(uint64_t limit) : limit_(limit) {}

  // One body's share: what has arrived of it. What is only announced takes no memory.
  class Share {
   public:
    explicit Share(std::shared_ptr<BodyPool> pool) : pool_(std::move(pool)) {}
    Share(Share&& other) noexcept : pool_(std::move(other.pool_)), bytes_(std::exchange(other.bytes_, 0)) {}
    Share& operator=(Share&&) = delete;
    ~Share() {
      if (pool_) pool_->taken_ -= bytes_;
    }

    // False when all together have more than the pool's limit now.
    bool GrowTo(uint64_t bytes) {
      pool_->taken_ += bytes - bytes_;
      bytes_ = bytes;
      return pool_->taken_ <= pool_->limit_;
    }

   private:
    std::shared_ptr<BodyPool> pool_;
    uint64_t bytes_ = 0;
  };

 private:
  const uint64_t limit_;
  uint64_t taken_ = 0;
};

}  // namespace pondpilot::proxy::http

#pragma once

#include <grpcpp/support/byte_buffer.h>

#include <array>
#include <cstddef>

namespace pondpilot::proxy::grpc {

// The worker's messages between their read and their write. Large ones are bounded in number, which is the
// back-pressure; a few small ones more may wait, so that what came together goes on together.
class ReplyBuffer {
 public:
  static constexpr size_t kLargeMessages = 4;
  static constexpr size_t kSmallMessages = 8;
  static constexpr size_t kSmallBytes = 64 << 10;  // in all

  bool full() const { return size_ == kSmallMessages || (size_ >= kLargeMessages && bytes_ > kSmallBytes); }
  bool empty() const { return size_ == 0; }
  size_t size() const { return size_; }
  size_t bytes() const { return bytes_; }

  // Not when full. Takes the content.
  void Push(::grpc::ByteBuffer&& message) {
    bytes_ += message.Length();
    messages_[(first_ + size_) % messages_.size()].Swap(&message);
    ++size_;
  }

  // Not when empty.
  ::grpc::ByteBuffer& front() { return messages_[first_]; }
  void Pop() {
    bytes_ -= messages_[first_].Length();
    messages_[first_].Clear();
    first_ = (first_ + 1) % messages_.size();
    --size_;
  }

 private:
  std::array<::grpc::ByteBuffer, kSmallMessages> messages_;
  size_t first_ = 0;
  size_t size_ = 0;
  size_t bytes_ = 0;
};

}  // namespace pondpilot::proxy::grpc

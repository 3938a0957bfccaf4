#pragma once

#include <string>
#include <string_view>

namespace pondpilot::base {

// A password, token or key. It can't be streamed or formatted, and its memory is overwritten when it goes.
// Reveal() is the one way to the text; each use of it should be a place where the secret is meant to go.
class Secret {
 public:
  Secret() = default;
  explicit Secret(std::string text) : text_(std::move(text)) {}
  Secret(const Secret&) = default;
  Secret& operator=(const Secret& other);
  Secret(Secret&& other) noexcept;
  Secret& operator=(Secret&& other) noexcept;
  ~Secret();

  const std::string& Reveal() const { return text_; }
  bool empty() const { return text_.empty(); }
  size_t size() const { return text_.size(); }

 private:
  void Wipe();

  std::string text_;
};

// Compares in time that depends on the lengths only.
bool ConstantTimeEquals(std::string_view a, std::string_view b);

// `bytes` random bytes from the operating system, as lower-case hex. Aborts when there is no randomness.
std::string RandomHex(size_t bytes);

// In a child that has been forked and runs no program of its own: its random bytes are others than its
// parent's and its siblings' from now on. Aborts when there is no randomness.
void ReseedRandom();

// Loads OpenSSL's algorithms, half a megabyte of tables, now instead of with the first use, and makes no
// random state: for a process that forks others which will need them.
void LoadCryptography();

// SHA-256 of `data`, as 64 lower-case hex digits.
std::string Sha256Hex(std::string_view data);

// HMAC-SHA-256 of `data` under `key`, as 64 lower-case hex digits.
std::string HmacSha256Hex(const Secret& key, std::string_view data);

}  // namespace pondpilot::base

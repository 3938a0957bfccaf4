#include "base/secret.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <unistd.h>

#include <array>
#include <cstdlib>

#include "base/hex.h"

namespace pondpilot::base {

Secret& Secret::operator=(const Secret& other) {
  if (this != &other) {
    Wipe();
    text_ = other.text_;
  }
  return *this;
}

Secret::Secret(Secret&& other) noexcept : text_(std::move(other.text_)) { other.Wipe(); }

Secret& Secret::operator=(Secret&& other) noexcept {
  if (this != &other) {
    Wipe();
    text_ = std::move(other.text_);
    other.Wipe();
  }
  return *this;
}

Secret::~Secret() { Wipe(); }

void Secret::Wipe() {
  // The whole capacity: a shorter text may have been assigned over a longer one.
  text_.resize(text_.capacity());
  OPENSSL_cleanse(text_.data(), text_.size());
  text_.clear();
}

bool ConstantTimeEquals(std::string_view a, std::string_view b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

std::string RandomHex(size_t bytes) {
  std::string raw(bytes, '\0');
  if (RAND_bytes(reinterpret_cast<unsigned char*>(raw.data()), static_cast<int>(bytes)) != 1) {
    std::abort();  // Nothing that needs an unguessable value may go on without one.
  }
  return ToHex(raw);
}

void ReseedRandom() {
  // OpenSSL tells a child by its process id, which may be its parent's and its siblings' in namespaces of
  // their own. RAND_poll() would only look whether there is a generator.
  std::array<unsigned char, 48> fresh{};
  if (::getentropy(fresh.data(), fresh.size()) != 0) std::abort();
  RAND_seed(fresh.data(), static_cast<int>(fresh.size()));
  OPENSSL_cleanse(fresh.data(), fresh.size());
  if (RAND_status() != 1) std::abort();
}

std::string Sha256Hex(std::string_view data) {
  std::array<unsigned char, 32> digest{};
  unsigned int size = 0;
  if (EVP_Digest(data.data(), data.size(), digest.data(), &size, EVP_sha256(), nullptr) != 1) std::abort();
  return ToHex({reinterpret_cast<const char*>(digest.data()), size});
}

std::string HmacSha256Hex(const Secret& key, std::string_view data) {
  std::array<unsigned char, 32> digest{};
  unsigned int size = 0;
  if (HMAC(EVP_sha256(), key.Reveal().data(), static_cast<int>(key.size()),
           reinterpret_cast<const unsigned char*>(data.data()), data.size(), digest.data(),
           &size) == nullptr) {
    std::abort();
  }
  return ToHex({reinterpret_cast<const char*>(digest.data()), size});
}

}  // namespace pondpilot::base

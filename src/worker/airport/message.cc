#include "worker/airport/message.h"

#include <cstddef>
#include <iterator>

namespace pondpilot::worker::airport {
namespace {

using base::ErrorCode;
using base::Fail;
using base::Result;
using nlohmann::json;

std::unexpected<base::Error> Malformed(const std::string& what) {
  return Fail(ErrorCode::kInvalidArgument, "The action's body is no message of airport's: " + what + ".");
}

// Where the reader is in a message, as it says what it has read.
class Examiner final : public nlohmann::json_sax<json> {
 public:
  // Is the next byte the first of a map's key?
  bool at_key() const { return at_key_; }
  void PassKey() { at_key_ = false; }

  bool null() override { return Value(); }
  bool boolean(bool) override { return Value(); }
  bool number_integer(number_integer_t) override { return Value(); }
  bool number_unsigned(number_unsigned_t) override { return Value(); }
  bool number_float(number_float_t, const string_t&) override { return Value(); }
  bool string(string_t&) override { return Value(); }
  bool binary(binary_t&) override { return Value(); }
  bool start_object(size_t size) override { return Open(true, size); }
  bool key(string_t& text) override { return text.size() <= kMaxKeyBytes; }
  bool end_object() override { return Close(); }
  bool start_array(size_t size) override { return Open(false, size); }
  bool end_array() override { return Close(); }
  bool parse_error(size_t, const std::string&, const nlohmann::detail::exception&) override { return false; }

 private:
  struct Level {
    bool is_map = false;
    size_t left = 0;  // values still to come
  };

  bool Open(bool is_map, size_t size) {
    if (levels_.size() >= static_cast<size_t>(kMaxDepth) || ++values_ > kMaxValues) return false;
    if (is_map && size > kMaxKeys) return false;
    levels_.push_back({is_map, size});
    at_key_ = is_map && size > 0;
    return true;
  }
  bool Close() {
    levels_.pop_back();
    return Ended();
  }
  bool Value() { return ++values_ <= kMaxValues && Ended(); }
  bool Ended() {
    at_key_ = false;
    if (levels_.empty()) return true;
    Level& level = levels_.back();
    if (level.left > 0) --level.left;
    at_key_ = level.is_map && level.left > 0;
    return true;
  }

  std::vector<Level> levels_;
  size_t values_ = 0;
  bool at_key_ = false;
};

// The bytes of a message as the library reads them, which takes only str for a map's key: where a key begins
// as bin, the same length as str is put in its place.
class KeysAsText {
 public:
  using iterator_category = std::input_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char*;
  using reference = char;

  KeysAsText(char* at, Examiner& examiner) : at_(at), examiner_(&examiner) {}

  char operator*() const {
    if (examiner_->at_key()) {
      examiner_->PassKey();
      // bin 8, 16, 32 and str 8, 16, 32
      const auto first = static_cast<unsigned char>(*at_);
      if (first >= 0xC4 && first <= 0xC6) *at_ = static_cast<char>(first - 0xC4 + 0xD9);
    }
    return *at_;
  }
  KeysAsText& operator++() {
    ++at_;
    return *this;
  }
  KeysAsText operator++(int) {
    KeysAsText before = *this;
    ++at_;
    return before;
  }
  bool operator==(const KeysAsText& other) const { return at_ == other.at_; }

 private:
  char* at_;
  Examiner* examiner_;
};

std::optional<std::string> TextOf(const Message& value) {
  if (value.is_string()) return value.get<std::string>();
  if (!value.is_binary()) return std::nullopt;
  const auto& bytes = value.get_binary();
  return std::string(bytes.begin(), bytes.end());
}

const Message* Find(const Message& map, std::initializer_list<const char*> names) {
  if (!map.is_object()) return nullptr;
  for (const char* name : names) {
    const auto found = map.find(name);
    if (found != map.end() && !found->is_null()) return &*found;
  }
  return nullptr;
}

}  // namespace

Result<Message> Unpack(std::string_view bytes) {
  std::string copy(bytes);
  Examiner examiner;
  // The first pass keeps nothing, so that it may meet anything.
  const bool sound =
      json::sax_parse(KeysAsText(copy.data(), examiner), KeysAsText(copy.data() + copy.size(), examiner),
                      &examiner, json::input_format_t::msgpack);
  if (!sound) return Malformed("it can't be read as msgpack, or is nested too deeply or too large");
  Message message = Message::from_msgpack(copy, true, false);
  if (message.is_discarded()) return Malformed("it can't be read as msgpack");
  return message;
}

std::string Pack(const Message& message) {
  std::string bytes;
  Message::to_msgpack(message, nlohmann::detail::output_adapter<char>(bytes));
  return bytes;
}

Message Binary(std::string_view bytes) {
  return Message::binary(std::vector<uint8_t>(bytes.begin(), bytes.end()));
}

Result<std::string> TextAt(const Message& map, std::initializer_list<const char*> names) {
  const Message* value = Find(map, names);
  if (value == nullptr) return Malformed(std::string("it has no \"") + *names.begin() + "\"");
  auto text = TextOf(*value);
  if (!text) return Malformed(std::string("\"") + *names.begin() + "\" is no text");
  return std::move(*text);
}

Result<std::string> TextOr(const Message& map, std::initializer_list<const char*> names) {
  if (Find(map, names) == nullptr) return std::string();
  return TextAt(map, names);
}

Result<bool> FlagAt(const Message& map, const char* name) {
  const Message* value = Find(map, {name});
  if (value == nullptr) return false;
  if (!value->is_boolean()) return Malformed(std::string("\"") + name + "\" is neither true nor false");
  return value->get<bool>();
}

Result<std::optional<std::vector<uint64_t>>> NumbersAt(const Message& map, const char* name) {
  const Message* value = Find(map, {name});
  if (value == nullptr) return std::nullopt;
  std::vector<uint64_t> numbers;
  bool sound = value->is_array();
  for (size_t i = 0; sound && i < value->size(); ++i) {
    sound = (*value)[i].is_number_unsigned();
    if (sound) numbers.push_back((*value)[i].get<uint64_t>());
  }
  if (!sound) return Malformed(std::string("\"") + name + "\" is no list of numbers");
  return numbers;
}

Result<std::vector<std::string>> TextsAt(const Message& map, const char* name) {
  const Message* value = Find(map, {name});
  std::vector<std::string> texts;
  if (value == nullptr) return texts;
  if (!value->is_array()) return Malformed(std::string("\"") + name + "\" is no list");
  for (const Message& item : *value) {
    auto text = TextOf(item);
    if (!text) return Malformed(std::string("\"") + name + "\" holds something else than texts");
    texts.push_back(std::move(*text));
  }
  return texts;
}

}  // namespace pondpilot::worker::airport

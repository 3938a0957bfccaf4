#include "jail/jailer/wire.h"

#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>

namespace pondpilot::jail {
namespace {

// Between the parts of a report; reasons are sentences without it.
constexpr char kPart = '|';

bool IsLine(std::string_view text) {
  return std::ranges::none_of(text, [](char c) { return c == '\n' || c == '\0'; });
}

Message Parse(std::string_view text) {
  Message message;
  bool first = true;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (first) {
      message.verb = line;
      first = false;
      continue;
    }
    const size_t equals = line.find('=');
    if (equals == std::string_view::npos) continue;
    message.Add(std::string(line.substr(0, equals)), std::string(line.substr(equals + 1)));
  }
  return message;
}

// The error is an errno.
std::expected<std::string, int> Pack(const Message& message) {
  std::string text = message.verb;
  if (text.empty() || !IsLine(text)) return std::unexpected(EINVAL);
  for (const auto& [name, value] : message.fields) {
    if (!IsLine(name) || !IsLine(value)) return std::unexpected(EINVAL);
    text += "\n" + name + "=" + value;
  }
  if (text.size() > kMaxMessageBytes) return std::unexpected(EMSGSIZE);
  return text;
}

}  // namespace

bool CanBeSent(const Message& message) { return Pack(message).has_value(); }

const std::string* Message::Find(std::string_view name) const {
  const auto field = std::ranges::find(fields, name, &std::pair<std::string, std::string>::first);
  return field == fields.end() ? nullptr : &field->second;
}

std::vector<std::string> Message::All(std::string_view name) const {
  std::vector<std::string> values;
  for (const auto& [field, value] : fields) {
    if (field == name) values.push_back(value);
  }
  return values;
}

std::optional<uint64_t> Message::Number(std::string_view name) const {
  const std::string* text = Find(name);
  if (text == nullptr) return std::nullopt;
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), value);
  if (error != std::errc() || end != text->data() + text->size()) return std::nullopt;
  return value;
}

bool Send(int socket, const Message& message, int descriptor) {
  auto packed = Pack(message);
  if (!packed) {
    errno = packed.error();
    return false;
  }
  std::string& text = *packed;
  iovec data{text.data(), text.size()};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
  msghdr packet{};
  packet.msg_iov = &data;
  packet.msg_iovlen = 1;
  if (descriptor >= 0) {
    packet.msg_control = control.data();
    packet.msg_controllen = control.size();
    cmsghdr* header = CMSG_FIRSTHDR(&packet);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    std::memcpy(CMSG_DATA(header), &descriptor, sizeof(int));
  }
  ssize_t sent = -1;
  do {
    sent = ::sendmsg(socket, &packet, MSG_NOSIGNAL);
  } while (sent < 0 && errno == EINTR);
  return sent == static_cast<ssize_t>(text.size());
}

std::expected<Received, std::string> Receive(int socket) {
  std::string text(kMaxMessageBytes, '\0');
  iovec data{text.data(), text.size()};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
  msghdr packet{};
  packet.msg_iov = &data;
  packet.msg_iovlen = 1;
  packet.msg_control = control.data();
  packet.msg_controllen = control.size();
  ssize_t got = -1;
  do {
    got = ::recvmsg(socket, &packet, MSG_CMSG_CLOEXEC);
  } while (got < 0 && errno == EINTR);
  if (got <= 0) return std::unexpected(std::string());
  Received received;
  const cmsghdr* header = CMSG_FIRSTHDR(&packet);
  if (header != nullptr && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS &&
      header->cmsg_len == CMSG_LEN(sizeof(int))) {
    int descriptor = -1;
    std::memcpy(&descriptor, CMSG_DATA(header), sizeof(int));
    received.descriptor = base::Descriptor(descriptor);
  }
  if ((packet.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0)
    return std::unexpected("a message that is too long");
  received.message = Parse(std::string_view(text).substr(0, static_cast<size_t>(got)));
  return received;
}

std::string Encode(const Report& report) {
  std::string text;
  for (size_t i = 0; i < kLayerCount; ++i) {
    const Report::State& state = report[static_cast<Layer>(i)];
    std::string reason = state.reason;
    std::ranges::replace_if(reason, [](char c) { return c == kPart || c == '\n' || c == '\0'; }, ' ');
    text += (state.applied ? '+' : '-') + reason + kPart;
  }
  return text;
}

std::optional<Report> DecodeReport(std::string_view text) {
  Report report;
  for (size_t i = 0; i < kLayerCount; ++i) {
    const size_t end = text.find(kPart);
    if (end == std::string_view::npos || end == 0 || (text[0] != '+' && text[0] != '-')) return std::nullopt;
    report[static_cast<Layer>(i)] = {text[0] == '+', std::string(text.substr(1, end - 1))};
    text.remove_prefix(end + 1);
  }
  return text.empty() ? std::optional(report) : std::nullopt;
}

}  // namespace pondpilot::jail

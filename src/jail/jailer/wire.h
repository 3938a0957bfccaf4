#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/unix_socket.h"
#include "jail/layers.h"

// What the proxy and the jailer, which starts its workers, say to each other: one packet of a SOCK_SEQPACKET
// pair a message.
//
//   proxy → jailer                                           answer
//   hello [zygote]                                           report, program, [zygote]
//   launch id, token, memory, cores, [file …] + the socket   pid, start, user
//   adopt id, pid, start, user                               –
//   signal pid, start, number                                –
//   clear id                                                 –   (what a worker that is gone has left on
//                                                                disk)
//   jailer → proxy, by itself: exited pid, start, status, oom; zygote state, when it has been lost or is
//   there again ("ready", or why not)
//
// Each request has a number, `n`, which its answer bears; an answer is `ok`, or `error` with a message.
namespace pondpilot::jail {

struct Message {
  std::string verb;
  std::vector<std::pair<std::string, std::string>> fields;

  Message& Add(std::string name, std::string value) {
    fields.emplace_back(std::move(name), std::move(value));
    return *this;
  }
  Message& Add(std::string name, uint64_t value) { return Add(std::move(name), std::to_string(value)); }
  // The first of that name; nullptr when there is none.
  const std::string* Find(std::string_view name) const;
  std::vector<std::string> All(std::string_view name) const;
  // nullopt when it is missing or no such number.
  std::optional<uint64_t> Number(std::string_view name) const;
};

inline constexpr size_t kMaxMessageBytes = 64 << 10;

// Is it neither too large nor does it hold an end of a line?
bool CanBeSent(const Message& message);
// False, and why in errno: EINVAL for a field that holds the end of a line, EMSGSIZE for too much, else what
// sendmsg says (EPIPE: the peer is gone).
bool Send(int socket, const Message& message, int descriptor = -1);

struct Received {
  Message message;
  base::Descriptor descriptor;
};
// Waits for the next message. The error is empty when the peer has gone, else says what was wrong with it.
std::expected<Received, std::string> Receive(int socket);

// A report as one text and back; nullopt for what is no report.
std::string Encode(const Report& report);
std::optional<Report> DecodeReport(std::string_view text);

}  // namespace pondpilot::jail

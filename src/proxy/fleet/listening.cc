#include "proxy/fleet/listening.h"

#include <algorithm>
#include <boost/asio/cancel_after.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <charconv>
#include <string_view>

namespace pondpilot::proxy::fleet {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using std::chrono::milliseconds;

constexpr milliseconds kFirstPause(2);
constexpr milliseconds kLongestPause(50);
// The first packet to a new container may be lost; the kernel repeats it only after a second.
constexpr milliseconds kAttempt(250);
// So long only the socket is tried where there may be one.
constexpr milliseconds kSocketHead(300);

template <typename Protocol>
asio::awaitable<bool> Accepts(typename Protocol::endpoint endpoint, milliseconds timeout) {
  typename Protocol::socket socket(co_await asio::this_coro::executor);
  boost::system::error_code refused;
  co_await socket.async_connect(
      endpoint, asio::cancel_after(timeout, asio::redirect_error(asio::use_awaitable, refused)));
  co_return !refused;
}

asio::awaitable<Door> TryUntilListening(Doors doors, milliseconds timeout) {
  asio::steady_timer timer(co_await asio::this_coro::executor);
  const auto begin = std::chrono::steady_clock::now();
  const auto end = begin + timeout;
  milliseconds pause = kFirstPause;
  while (true) {
    const auto now = std::chrono::steady_clock::now();
    const auto left = std::chrono::ceil<milliseconds>(end - now);
    if (left.count() <= 0) co_return Door::kNone;
    const milliseconds attempt = std::min(left, kAttempt);
    if (!doors.socket.empty()) {
      const bool accepted = co_await Accepts<asio::local::stream_protocol>(doors.socket, attempt);
      if (accepted) co_return Door::kSocket;
    }
    // A worker that can make its socket listens nowhere else.
    if (doors.address && (doors.socket.empty() || now - begin >= kSocketHead)) {
      const bool accepted = co_await Accepts<tcp>(*doors.address, attempt);
      if (accepted) co_return Door::kAddress;
    }
    timer.expires_after(std::min(left, pause));
    co_await timer.async_wait(asio::use_awaitable);
    pause = std::min(pause * 3 / 2 + milliseconds(1), kLongestPause);
  }
}

}  // namespace

std::optional<tcp::endpoint> EndpointOf(const std::string& target) {
  std::string_view rest = target;
  bool sixth = false;
  if (rest.starts_with("ipv4:")) {
    rest.remove_prefix(5);
  } else if (rest.starts_with("ipv6:[")) {
    sixth = true;
    rest.remove_prefix(6);
  } else {
    return std::nullopt;
  }
  const std::string_view separator = sixth ? "]:" : ":";
  const size_t end = rest.find(separator);
  if (end == std::string_view::npos) return std::nullopt;
  boost::system::error_code malformed;
  const auto address = asio::ip::make_address(rest.substr(0, end), malformed);
  const std::string_view digits = rest.substr(end + separator.size());
  uint16_t port = 0;
  const auto parsed = std::from_chars(digits.data(), digits.data() + digits.size(), port);
  if (malformed || address.is_v6() != sixth || parsed.ec != std::errc() ||
      parsed.ptr != digits.data() + digits.size()) {
    return std::nullopt;
  }
  return tcp::endpoint(address, port);
}

asio::awaitable<Door> AwaitListening(Doors doors, milliseconds timeout) {
  // An attempt and the timer that ends it must not complete at once on two threads.
  const auto strand = asio::make_strand(co_await asio::this_coro::executor);
  co_return co_await asio::co_spawn(strand, TryUntilListening(std::move(doors), timeout),
                                    asio::use_awaitable);
}

}  // namespace pondpilot::proxy::fleet

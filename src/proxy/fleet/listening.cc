#include "proxy/fleet/listening.h"

#include <algorithm>
#include <boost/asio/cancel_after.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <charconv>
#include <string_view>
#include <utility>
#include <variant>

namespace pondpilot::proxy::fleet {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using std::chrono::milliseconds;

constexpr milliseconds kFirstPause(2);
constexpr milliseconds kLongestPause(50);
// The first packet to a new container may be lost; the kernel repeats it only after a second.
constexpr milliseconds kAttempt(250);
// So long only the socket is waited for where there is one.
constexpr milliseconds kSocketHead(300);

asio::awaitable<Door> TryAddress(tcp::endpoint endpoint, milliseconds timeout) {
  const auto executor = co_await asio::this_coro::executor;
  asio::steady_timer timer(executor);
  const auto end = std::chrono::steady_clock::now() + timeout;
  milliseconds pause = kFirstPause;
  while (true) {
    tcp::socket socket(executor);
    boost::system::error_code refused;
    const auto left = std::chrono::ceil<milliseconds>(end - std::chrono::steady_clock::now());
    if (left.count() <= 0) co_return Door::kNone;
    co_await socket.async_connect(
        endpoint,
        asio::cancel_after(std::min(left, kAttempt), asio::redirect_error(asio::use_awaitable, refused)));
    if (!refused) co_return Door::kAddress;
    timer.expires_after(std::min(left, pause));
    co_await timer.async_wait(asio::use_awaitable);
    pause = std::min(pause * 3 / 2 + milliseconds(1), kLongestPause);
  }
}

// The address comes second: a worker that takes its socket listens nowhere else.
asio::awaitable<Door> TryAddressLater(tcp::endpoint endpoint, milliseconds timeout) {
  asio::steady_timer timer(co_await asio::this_coro::executor, std::min(timeout, kSocketHead));
  co_await timer.async_wait(asio::use_awaitable);
  co_return co_await TryAddress(std::move(endpoint), timeout - std::min(timeout, kSocketHead));
}

asio::awaitable<Door> TrySocket(std::shared_ptr<launch::WorkerSocket> socket, milliseconds timeout) {
  const auto end = std::chrono::steady_clock::now() + timeout;
  if (co_await socket->HandOver(timeout)) co_return Door::kSocket;
  // Not usable: the address is waited for as long as it takes.
  asio::steady_timer timer(co_await asio::this_coro::executor, end);
  co_await timer.async_wait(asio::use_awaitable);
  co_return Door::kNone;
}

asio::awaitable<Door> Try(Doors doors, milliseconds timeout) {
  using namespace asio::experimental::awaitable_operators;
  if (!doors.socket && !doors.address) co_return Door::kNone;
  if (!doors.socket) co_return co_await TryAddress(*doors.address, timeout);
  if (!doors.address) co_return co_await TrySocket(std::move(doors.socket), timeout);
  auto first = TrySocket(std::move(doors.socket), timeout) || TryAddressLater(*doors.address, timeout);
  const std::variant<Door, Door> found = co_await std::move(first);
  co_return found.index() == 0 ? std::get<0>(found) : std::get<1>(found);
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
  co_return co_await asio::co_spawn(strand, Try(std::move(doors), timeout), asio::use_awaitable);
}

}  // namespace pondpilot::proxy::fleet

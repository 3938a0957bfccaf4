#include "proxy/http/answer_writer.h"

#include <boost/asio/error.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/http/chunk_encode.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/message.hpp>
#include <boost/beast/http/serializer.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>
#include <optional>
#include <utility>
#include <variant>

#include "telemetry/log.h"

namespace pondpilot::proxy::http {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace bhttp = boost::beast::http;
using namespace boost::asio::experimental::awaitable_operators;

namespace {

template <typename Message>
void SetHeaders(Message& message, const Response& response, const std::string& request_id, bool keep_alive) {
  message.set(bhttp::field::server, "pondpilot-proxy");
  message.set("X-Request-Id", request_id);
  message.set("X-Content-Type-Options", "nosniff");
  message.set(bhttp::field::cache_control, "no-store");
  if (!response.content_type.empty()) message.set(bhttp::field::content_type, response.content_type);
  for (const auto& [name, value] : response.headers) message.insert(name, value);
  message.keep_alive(keep_alive);
}

class StreamWriter final : public BodyWriter {
 public:
  // `left`: of how many bytes the body is; nullopt: it is written as chunks.
  StreamWriter(beast::tcp_stream& stream, std::chrono::milliseconds wait, std::optional<uint64_t> left,
               uint64_t& bytes)
      : stream_(stream), wait_(wait), left_(left), bytes_(bytes) {}

  asio::awaitable<bool> Write(std::string piece) override {
    const Buffers buffers{asio::buffer(piece)};
    const bool written = co_await Write(buffers);
    co_return written;
  }

  asio::awaitable<bool> Write(const Buffers& piece) override {
    const size_t size = asio::buffer_size(piece);
    if (failed_ || size == 0) co_return !failed_;
    // More than was said would be read as the next answer.
    failed_ = left_ && size > *left_;
    if (failed_) co_return false;
    boost::system::error_code error;
    stream_.expires_after(wait_);
    if (left_) {
      *left_ -= size;
      co_await asio::async_write(stream_, piece, asio::redirect_error(asio::use_awaitable, error));
    } else {
      co_await asio::async_write(stream_, bhttp::make_chunk(piece),
                                 asio::redirect_error(asio::use_awaitable, error));
    }
    failed_ = static_cast<bool>(error);
    if (!failed_) bytes_ += size;
    co_return !failed_;
  }

  void Cut() override { failed_ = true; }

  asio::awaitable<bool> End() {
    if (failed_ || left_) co_return !failed_ && *left_ == 0;
    boost::system::error_code error;
    stream_.expires_after(wait_);
    co_await asio::async_write(stream_, bhttp::make_chunk_last(),
                               asio::redirect_error(asio::use_awaitable, error));
    co_return !error;
  }

 private:
  beast::tcp_stream& stream_;
  std::chrono::milliseconds wait_;
  std::optional<uint64_t> left_;
  uint64_t& bytes_;
  bool failed_ = false;
};

// Writes as much as the kernel takes at once; would_block when something is left. The socket is in
// non-blocking mode.
boost::system::error_code WriteNow(asio::ip::tcp::socket& socket,
                                   bhttp::response_serializer<bhttp::string_body>& serializer) {
  boost::system::error_code error;
  while (!error && !(serializer.split() ? serializer.is_header_done() : serializer.is_done())) {
    size_t written = 0;
    serializer.next(error, [&](boost::system::error_code& failure, const auto& buffers) {
      written = socket.write_some(buffers, failure);
    });
    if (!error) serializer.consume(written);
  }
  return error;
}

// Runs a streamed answer's producer. False when it failed.
asio::awaitable<bool> Produce(const Response& response, BodyWriter& writer, const std::string& request_id) {
  std::string failure;
  try {
    co_await response.stream(writer);
    co_return true;
  } catch (const boost::system::system_error& thrown) {
    if (thrown.code() == asio::error::operation_aborted) co_return false;  // the client is gone
    failure = thrown.what();
  } catch (const std::exception& thrown) {
    failure = thrown.what();
  } catch (...) {
    failure = "something that is not a std::exception";
  }
  telemetry::Log(telemetry::Level::kError, "HTTP answer broke off",
                 {{"request_id", request_id}, {"error", failure}});
  co_return false;
}

}  // namespace

asio::awaitable<bool> AnswerWriter::Write(Response response, const AnswerForm& form) {
  body_bytes_ = 0;
  bool go_on = false;
  if (response.stream && form.version >= 11) {
    go_on = co_await WriteStream(response, form);
  } else {
    go_on = co_await WriteWhole(std::move(response), form);
  }
  co_return go_on;
}

asio::awaitable<bool> AnswerWriter::WriteWhole(Response response, const AnswerForm& form) {
  bhttp::response<bhttp::string_body> message(bhttp::status(response.status), form.version);
  SetHeaders(message, response, form.request_id, form.keep_alive && !response.stream);
  if (response.stream) {
    message.body() = "Streamed answers need HTTP/1.1.\n";
    message.result(bhttp::status::http_version_not_supported);
  } else if (form.head) {
    message.content_length(response.body.size());
  } else {
    body_bytes_ = response.body.size();
    message.body() = std::move(response.body);
  }
  if (!form.head && response.status != 204) message.prepare_payload();
  bhttp::response_serializer<bhttp::string_body> serializer(message);
  serializer.split(form.head);
  // Most answers are small and their clients read: there is nothing to wait for, nor a timer to set.
  boost::system::error_code error = WriteNow(stream_.socket(), serializer);
  if (error != asio::error::would_block) co_return !error && message.keep_alive();
  error = {};
  stream_.expires_after(wait_);
  if (form.head) {
    co_await bhttp::async_write_header(stream_, serializer, asio::redirect_error(asio::use_awaitable, error));
  } else {
    co_await bhttp::async_write(stream_, serializer, asio::redirect_error(asio::use_awaitable, error));
  }
  co_return !error && message.keep_alive();
}

asio::awaitable<bool> AnswerWriter::WriteStream(const Response& response, const AnswerForm& form) {
  bhttp::response<bhttp::empty_body> message(bhttp::status(response.status), 11);
  SetHeaders(message, response, form.request_id, form.keep_alive);
  if (response.stream_bytes) {
    message.content_length(*response.stream_bytes);
  } else {
    message.chunked(true);
  }
  boost::system::error_code error;
  stream_.expires_after(wait_);
  bhttp::response_serializer<bhttp::empty_body> serializer(message);
  co_await bhttp::async_write_header(stream_, serializer, asio::redirect_error(asio::use_awaitable, error));
  if (error) co_return false;
  if (form.head) co_return form.keep_alive;
  StreamWriter writer(stream_, wait_, response.stream_bytes, body_bytes_);
  stream_.expires_never();
  const auto produced = co_await (Produce(response, writer, form.request_id) || client_gone_());
  const bool* const whole = std::get_if<0>(&produced);
  // Without its last chunk, or all of its bytes, the client sees that the answer was cut.
  if (whole == nullptr || !*whole) co_return false;
  const bool ended = co_await writer.End();
  co_return ended&& form.keep_alive;
}

}  // namespace pondpilot::proxy::http

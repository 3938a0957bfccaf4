#include "proxy/commands.h"

#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>
#include <charconv>
#include <chrono>
#include <iostream>
#include <optional>

#include "base/clock.h"
#include "config/loader.h"
#include "config/reference.h"
#include "config/source_file.h"
#include "config/values.h"
#include "proxy/app.h"
#include "proxy/auth/token_issuer.h"

namespace pondpilot::proxy {
namespace {

constexpr size_t kMinSecretCharacters = 32;

int Complain(const std::string& text) {
  std::cerr << "pondpilot-proxy: " << text << "\n";
  return kExitConfiguration;
}

}  // namespace

int TokenCommand(const std::vector<std::string>& arguments,
                 const std::map<std::string, std::string>& environment) {
  std::string subject;
  std::string ttl = "1h";
  auth::Grants grants;
  for (size_t i = 0; i < arguments.size(); ++i) {
    if (arguments[i] == "--sub" && i + 1 < arguments.size()) {
      subject = arguments[++i];
    } else if (arguments[i] == "--ttl" && i + 1 < arguments.size()) {
      ttl = arguments[++i];
    } else if (arguments[i] == "--profile" && i + 1 < arguments.size()) {
      grants.profile = arguments[++i];
    } else if (arguments[i] == "--admin") {
      grants.admin = true;
    } else {
      return Complain("token: unknown argument " + arguments[i] +
                      "; usage: token --sub NAME [--ttl 1h] [--profile NAME] [--admin]");
    }
  }
  if (subject.empty()) return Complain("token: --sub NAME is missing");
  const auto life = config::ParseDuration(ttl);
  if (!life) return Complain("token: --ttl \"" + ttl + "\" is not a duration such as 30s, 15m or 1h");
  const auto secret = environment.find("JWT_SECRET");
  if (secret == environment.end() || secret->second.size() < kMinSecretCharacters) {
    return Complain("token: JWT_SECRET is not set or shorter than 32 characters; use the proxy's own");
  }
  const auth::TokenIssuer issuer(base::Secret(secret->second), base::Clock::System());
  const auto issued = issuer.Issue(subject, std::chrono::duration_cast<std::chrono::seconds>(*life), grants);
  if (!issued) return Complain("token: " + issued.error().message);
  std::cout << issued->token << "\n";
  return kExitOk;
}

int ConfigReferenceCommand() {
  std::cout << config::ConfigReference();
  return kExitOk;
}

int HealthcheckCommand(const std::map<std::string, std::string>& environment) {
  namespace asio = boost::asio;
  namespace beast = boost::beast;
  namespace bhttp = boost::beast::http;
  // The port as the running proxy reads it.
  uint16_t port = config::Config{}.server.port;
  if (const auto source = config::ReadSource(std::nullopt, environment)) {
    if (const auto loaded = config::Load(*source)) port = loaded->config.server.port;
  }
  asio::io_context io;
  beast::tcp_stream stream(io);
  stream.expires_after(std::chrono::seconds(2));
  bool healthy = false;
  bhttp::request<bhttp::empty_body> request(bhttp::verb::get, "/health", 11);
  request.set(bhttp::field::host, "localhost");
  beast::flat_buffer buffer;
  bhttp::response<bhttp::string_body> response;
  stream.async_connect({asio::ip::make_address("127.0.0.1"), port}, [&](const beast::error_code& connected) {
    if (connected) return;
    bhttp::async_write(stream, request, [&](const beast::error_code& written, size_t) {
      if (written) return;
      bhttp::async_read(stream, buffer, response, [&](const beast::error_code& read, size_t) {
        healthy = !read && response.result() == bhttp::status::ok;
      });
    });
  });
  io.run();
  if (healthy) return kExitOk;
  std::cerr << "pondpilot-proxy: GET /health on port " << port << " did not answer 200 within 2 s\n";
  return 1;
}

}  // namespace pondpilot::proxy

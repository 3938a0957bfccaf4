#include "proxy/ai/upstream.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/use_future.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <thread>

#include "proxy/ai/fake_provider.h"

namespace pondpilot::proxy::ai {
namespace {

namespace asio = boost::asio;

template <typename T>
T Wait(asio::awaitable<T> coroutine) {
  asio::io_context io;
  auto result = asio::co_spawn(io, std::move(coroutine), asio::use_future);
  io.run();
  return result.get();
}

asio::awaitable<base::Result<std::string>> Ask(UpstreamClient& client, std::string url) {
  auto reply = co_await client.Post({std::move(url), {}, "{}"});
  if (!reply) co_return std::unexpected(reply.error());
  co_return co_await ReadAll(**reply, 1000);
}

// A key and a certificate of its own signing for the host name `name`.
struct Identity {
  explicit Identity(const std::string& name)
      : key(EVP_EC_gen("P-256"), &EVP_PKEY_free), certificate(X509_new(), &X509_free) {
    X509* x509 = certificate.get();
    X509_set_version(x509, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(x509), 1);
    X509_gmtime_adj(X509_getm_notBefore(x509), -60);
    X509_gmtime_adj(X509_getm_notAfter(x509), 3600);
    X509_set_pubkey(x509, key.get());
    X509_NAME* subject = X509_NAME_new();
    X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, reinterpret_cast<const unsigned char*>("test"),
                               -1, -1, 0);
    X509_set_subject_name(x509, subject);
    X509_set_issuer_name(x509, subject);
    X509_NAME_free(subject);
    Extend(NID_basic_constraints, "critical,CA:TRUE");
    Extend(NID_subject_alt_name, "DNS:" + name);
    X509_sign(x509, key.get(), EVP_sha256());
  }
  void Extend(int nid, const std::string& value) {
    X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, nullptr, nid, value.c_str());
    X509_add_ext(certificate.get(), extension, -1);
    X509_EXTENSION_free(extension);
  }
  std::string Pem() const {
    const std::unique_ptr<BIO, decltype(&BIO_free)> bio(BIO_new(BIO_s_mem()), &BIO_free);
    PEM_write_bio_X509(bio.get(), certificate.get());
    char* data = nullptr;
    const long size = BIO_get_mem_data(bio.get(), &data);
    return {data, static_cast<size_t>(size)};
  }

  std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key;
  std::unique_ptr<X509, decltype(&X509_free)> certificate;
};

// Answers `calls` TLS connections with "secure".
class TlsServer {
 public:
  TlsServer(const Identity& identity, int calls) : acceptor_(io_, {asio::ip::make_address("127.0.0.1"), 0}) {
    SSL_CTX_use_certificate(context_.native_handle(), identity.certificate.get());
    SSL_CTX_use_PrivateKey(context_.native_handle(), identity.key.get());
    thread_ = std::thread([this, calls] { Serve(calls); });  // not before it has its certificate
  }
  ~TlsServer() { thread_.join(); }
  uint16_t port() const { return acceptor_.local_endpoint().port(); }

 private:
  void Serve(int calls) {
    for (; calls > 0; --calls) {
      asio::ssl::stream<asio::ip::tcp::socket> stream(io_, context_);
      boost::system::error_code error;
      acceptor_.accept(stream.next_layer(), error);
      if (!error) stream.handshake(asio::ssl::stream_base::server, error);
      boost::beast::flat_buffer buffer;
      boost::beast::http::request<boost::beast::http::string_body> request;
      if (!error) boost::beast::http::read(stream, buffer, request, error);
      const std::string answer = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecure";
      if (!error) asio::write(stream, asio::buffer(answer), error);
    }
  }

  asio::io_context io_;
  asio::ssl::context context_{asio::ssl::context::tls_server};
  asio::ip::tcp::acceptor acceptor_;
  std::thread thread_;
};

// Names the authorities that clients made from now on trust; empty: the system's.
void Trust(const std::string& file) {
  // NOLINTBEGIN(concurrency-mt-unsafe): no other thread runs yet
  if (file.empty()) {
    unsetenv("SSL_CERT_FILE");
  } else {
    setenv("SSL_CERT_FILE", file.c_str(), 1);
  }
  // NOLINTEND(concurrency-mt-unsafe)
}

TEST(UpstreamTlsTest, TheCertificateAndTheNameAreChecked) {
  const Identity good("localhost");
  const Identity other_name("elsewhere.example");
  const std::string file = ::testing::TempDir() + "/upstream_test_authorities.pem";
  std::ofstream(file) << good.Pem() << other_name.Pem();
  Trust(file);
  UpstreamClient trusting({}, base::Clock::System());
  Trust("");
  UpstreamClient strict({}, base::Clock::System());

  TlsServer server(good, 2);
  const std::string url = "https://localhost:" + std::to_string(server.port()) + "/";
  const auto answer = Wait(Ask(trusting, url));
  ASSERT_TRUE(answer.has_value()) << answer.error().detail;
  EXPECT_EQ(*answer, "secure");
  const auto untrusted = Wait(Ask(strict, url));
  ASSERT_FALSE(untrusted.has_value());
  EXPECT_EQ(untrusted.error().code, base::ErrorCode::kUnavailable);
  EXPECT_THAT(untrusted.error().detail, ::testing::HasSubstr("certificate verify failed"));

  TlsServer impostor(other_name, 1);
  const auto wrong_name = Wait(Ask(trusting, "https://localhost:" + std::to_string(impostor.port()) + "/"));
  ASSERT_FALSE(wrong_name.has_value());
  EXPECT_THAT(wrong_name.error().detail, ::testing::HasSubstr("certificate verify failed"));
}

TEST(UpstreamTest, PlainHttpWhereTheOperatorSaysSo) {
  FakeProvider provider([](const FakeProvider::Request& request, FakeProvider::Socket& socket) {
    FakeProvider::Answer(socket, "200 OK",
                         std::string(request.target()) + " " + std::string(request["Host"]));
  });
  UpstreamClient client({}, base::Clock::System());
  const auto answer = Wait(Ask(client, provider.url() + "/a/b?c=d"));
  ASSERT_TRUE(answer.has_value()) << answer.error().detail;
  EXPECT_EQ(*answer, "/a/b?c=d " + provider.url().substr(7));
}

TEST(UpstreamTest, BadAddressesAndTooMuchAreErrors) {
  UpstreamClient client({}, base::Clock::System());
  for (const char* url : {"", "ftp://x/", "nonsense", "http://"}) {
    EXPECT_FALSE(Wait(Ask(client, url)).has_value()) << url;
  }
  FakeProvider provider([](const FakeProvider::Request&, FakeProvider::Socket& socket) {
    FakeProvider::Answer(socket, "200 OK", std::string(1001, 'x'));
  });
  const auto answer = Wait(Ask(client, provider.url()));
  ASSERT_FALSE(answer.has_value());
  EXPECT_THAT(answer.error().message, ::testing::HasSubstr("too large"));
}

TEST(UpstreamTest, JoinsUrls) {
  EXPECT_EQ(JoinUrl("http://a/v1", "/x"), "http://a/v1/x");
  EXPECT_EQ(JoinUrl("http://a/v1/", "/x"), "http://a/v1/x");
}

}  // namespace
}  // namespace pondpilot::proxy::ai

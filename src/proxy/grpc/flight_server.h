#pragma once

#include <grpcpp/support/status.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/error.h"
#include "base/secret.h"
#include "proxy/auth/principal.h"
#include "proxy/auth/token_verifier.h"
#include "proxy/fleet/fleet.h"
#include "telemetry/span.h"

namespace pondpilot::proxy::grpc {

// Is told of each call that has ended. On relay threads.
class RelayObserver {
 public:
  virtual ~RelayObserver() = default;
  struct Bytes {
    uint64_t sent = 0;      // of messages that went to the client
    uint64_t received = 0;  // of messages that came from it
  };
  // `method` is one of Methods(), or empty.
  virtual void Ended(std::string_view method, ::grpc::StatusCode code, std::chrono::nanoseconds took,
                     Bytes bytes) = 0;
};

// What the relay needs from the rest of the proxy. All must outlive the server.
struct RelayServices {
  const auth::TokenVerifier* verifier = nullptr;
  // Takes one request from the caller's budget. Called on relay threads.
  std::function<base::Result<void>(const auth::Principal&)> admit;
  // Takes one call without a valid token from the budget of the address that it came from (gRPC's text for a
  // peer, and what the call's x-forwarded-for says). Called on relay threads.
  std::function<base::Result<void>(std::string_view peer, std::string_view forwarded_for)> admit_stranger =
      [](std::string_view, std::string_view) { return base::Result<void>(); };
  RelayObserver* observer = nullptr;    // nobody wants to know when it is null
  telemetry::Tracer* tracer = nullptr;  // no spans when it is null
  std::shared_ptr<fleet::Fleet> fleet;
  const base::Clock* clock = nullptr;
  // Signs session cookies; the same through restarts.
  base::Secret session_key;
  // Signs the identifiers that stand for tokens (auth::CallIdentifiers); the same through restarts.
  base::Secret identifier_key;
  // While it is true no new work is taken (kUnavailable); results of what has run may still be fetched.
  std::shared_ptr<const std::atomic<bool>> draining = std::make_shared<std::atomic<bool>>(false);
  // The longest that a call waits for its worker; may change while the server runs.
  std::shared_ptr<const std::atomic<std::chrono::milliseconds>> worker_wait =
      std::make_shared<std::atomic<std::chrono::milliseconds>>(std::chrono::seconds(60));
  // How long a client that uploads may say nothing while we wait for its next message: its worker, a
  // connection there and a transaction wait with us. As long as a transaction may be left alone.
  std::chrono::milliseconds upload_silence{std::chrono::minutes(10)};
};

// The gRPC port: authenticates every Flight call and relays it to the caller's worker as opaque bytes.
class FlightServer {
 public:
  // Binds `host`:`port` (0: any free one). The error says what to do when it is taken.
  static base::Result<std::unique_ptr<FlightServer>> Start(const std::string& host, uint16_t port,
                                                           RelayServices services);
  ~FlightServer();
  FlightServer(const FlightServer&) = delete;
  FlightServer& operator=(const FlightServer&) = delete;

  uint16_t port() const;

  // Takes no new calls and breaks off those under way; their clients are told why (kUnavailable) if they
  // listen within `grace`. Returns when all have ended. Idempotent.
  void Shutdown(std::chrono::milliseconds grace);

 private:
  struct State;
  explicit FlightServer(std::unique_ptr<State> state);

  std::unique_ptr<State> state_;
};

}  // namespace pondpilot::proxy::grpc

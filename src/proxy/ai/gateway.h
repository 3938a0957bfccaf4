#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "config/config.h"
#include "proxy/access/gate.h"
#include "proxy/ai/chat_stream.h"
#include "proxy/ai/upstream.h"
#include "proxy/http/offload.h"
#include "proxy/http/router.h"

namespace pondpilot::proxy::ai {

// What a demo user may have a model write, at most: anybody can get a demo token, and the operator pays.
inline constexpr int64_t kDemoMaxTokens = 1024;

// How much of the caller's catalog a model is told, in bytes of text; of a demo user's less, as the operator
// pays.
inline constexpr size_t kCatalogBytes = 48 << 10;
inline constexpr size_t kDemoCatalogBytes = 8 << 10;

// Reads what the caller can query: the document of GET /catalog, or the problem that kept it from being read.
using CatalogSource =
    std::function<boost::asio::awaitable<Outcome<std::string>>(const http::Request&, const auth::Principal&)>;

struct GatewayServices {
  const access::Gate* gate = nullptr;
  const base::Clock* clock = nullptr;  // must outlive the routes
  config::Config::Ai settings;
  CallObserver* observer = nullptr;  // must outlive the routes
  UpstreamWaits waits;
  CatalogSource catalog;
  std::shared_ptr<http::Offload> offload;  // reads large requests, catalogs and answers
};

// POST /ai/chat and POST /ai/embed. They must be served on one thread.
std::vector<http::Route> AiRoutes(GatewayServices services);

}  // namespace pondpilot::proxy::ai

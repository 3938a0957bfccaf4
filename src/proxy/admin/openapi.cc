#include "proxy/admin/openapi.h"

namespace pondpilot::proxy::admin {

http::Route OpenApiRoute() {
  return {"GET", "/openapi.json", [](const http::Request&) -> boost::asio::awaitable<http::Response> {
            http::Response response;
            response.body = std::string(kOpenApi);
            co_return response;
          }};
}

}  // namespace pondpilot::proxy::admin

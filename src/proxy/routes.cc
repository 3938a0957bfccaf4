#include "proxy/routes.h"

#include <iterator>
#include <memory>
#include <utility>

#include "proxy/admin/demo_token.h"
#include "proxy/admin/openapi.h"
#include "proxy/sql/catalog.h"

namespace pondpilot::proxy {

std::vector<http::Route> AllRoutes(RouteServices services) {
  std::vector<http::Route> routes = admin::HealthRoutes(services.health);
  const auto add = [&routes](std::vector<http::Route> more) {
    routes.insert(routes.end(), std::make_move_iterator(more.begin()), std::make_move_iterator(more.end()));
  };
  routes.push_back(admin::OpenApiRoute());
  routes.push_back(admin::DemoTokenRoute(services.issuer, services.demo_token_limit, services.demo_tokens));
  const auto offload = std::make_shared<http::Offload>();
  services.sql.offload = offload;
  services.ai.offload = offload;
  services.ai.catalog = sql::CatalogReader(services.sql.workers);
  add(sql::SqlRoutes(std::move(services.sql)));
  add(quack::QuackRoutes(std::move(services.quack)));
  add(ai::AiRoutes(std::move(services.ai)));
  add(admin::OperatorRoutes(services.operators, services.gate, services.metrics));
  return routes;
}

}  // namespace pondpilot::proxy

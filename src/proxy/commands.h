#pragma once

#include <map>
#include <string>
#include <vector>

namespace pondpilot::proxy {

// The program's small commands, besides serving. Each prints to standard output, or says on standard error
// what was wrong, and returns an exit code.

// `token --sub alice --ttl 1h`: makes a token under JWT_SECRET.
int TokenCommand(const std::vector<std::string>& arguments,
                 const std::map<std::string, std::string>& environment);

// `config-reference`: docs/configuration.md.
int ConfigReferenceCommand();

// `healthcheck`: 0 when GET /health on this machine answers 200 within two seconds. For the image's
// HEALTHCHECK.
int HealthcheckCommand(const std::map<std::string, std::string>& environment);

}  // namespace pondpilot::proxy

#include <malloc.h>

#include <exception>
#include <expected>
#include <iostream>
#include <optional>
#include <string>
#include <vector>

#include "base/lock_checks.h"
#include "config/loader.h"
#include "config/source_file.h"
#include "proxy/app.h"
#include "proxy/commands.h"

namespace pondpilot::proxy {
namespace {

constexpr char kUsage[] =
    "pondpilot-proxy: a SQL gateway with a DuckDB of its own for each user\n"
    "\n"
    "  pondpilot-proxy [--config FILE]          serve; FILE defaults to PONDPILOT_CONFIG, then /config.yaml\n"
    "  pondpilot-proxy token --sub NAME [--ttl 1h] [--profile NAME] [--admin]\n"
    "                                           print a token under JWT_SECRET\n"
    "  pondpilot-proxy config-reference         print every option as Markdown\n"
    "  pondpilot-proxy healthcheck              exit 0 when the proxy on this machine answers\n";

// Results pass through as buffers of some megabytes. With these settings the freed ones are taken again
// instead of going back to the kernel and coming anew, page fault by page fault: a quarter more throughput, a
// third less CPU.
void TuneAllocator() {
  // NOLINTBEGIN(concurrency-mt-unsafe): before threads start
  mallopt(M_ARENA_MAX, 1);
  mallopt(M_MMAP_THRESHOLD, 32 << 20);
  mallopt(M_TRIM_THRESHOLD, 256 << 20);
  mallopt(M_TOP_PAD, 16 << 20);
  // NOLINTEND(concurrency-mt-unsafe)
}

int Run(const std::vector<std::string>& arguments) {
  const auto environment = config::ProcessEnvironment();
  std::optional<std::string> config_file;
  if (!arguments.empty() && !arguments[0].starts_with("-")) {
    const std::string& command = arguments[0];
    const std::vector<std::string> rest(arguments.begin() + 1, arguments.end());
    if (command == "token") return TokenCommand(rest, environment);
    if (command == "config-reference" && rest.empty()) return ConfigReferenceCommand();
    if (command == "healthcheck" && rest.empty()) return HealthcheckCommand(environment);
    std::cerr << "Unknown command or arguments: " << command << "\n\n" << kUsage;
    return kExitConfiguration;
  }
  for (size_t i = 0; i < arguments.size(); ++i) {
    if (arguments[i] == "--help" || arguments[i] == "-h") {
      std::cout << kUsage;
      return kExitOk;
    }
    if (arguments[i] == "--config" && i + 1 < arguments.size()) {
      config_file = arguments[++i];
    } else if (arguments[i].starts_with("--config=")) {
      config_file = arguments[i].substr(9);
    } else {
      std::cerr << "Unknown argument: " << arguments[i] << "\n\n" << kUsage;
      return kExitConfiguration;
    }
  }
  const auto read = [&]() -> std::expected<config::Loaded, config::Problems> {
    const auto source = config::ReadSource(config_file, environment);
    return source ? config::Load(*source) : std::unexpected(source.error());
  };
  const auto loaded = read();
  if (!loaded) {
    for (const std::string& problem : loaded.error()) std::cerr << "pondpilot-proxy: " << problem << "\n";
    return kExitConfiguration;
  }
  return Serve(*loaded, read);
}

}  // namespace
}  // namespace pondpilot::proxy

int main(int argc, char** argv) {
  pondpilot::proxy::TuneAllocator();
  pondpilot::base::SkipLockOrderChecks();
  try {
    return pondpilot::proxy::Run(std::vector<std::string>(argv + 1, argv + argc));
  } catch (const std::exception& failure) {
    std::cerr << "pondpilot-proxy: " << failure.what() << "\n";
    return pondpilot::proxy::kExitEnvironment;
  }
}

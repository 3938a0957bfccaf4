// The configuration file.
#include <string>
#include <string_view>

#include "base/text.h"
#include "check.h"
#include "config/loader.h"
#include "config/options.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace pondpilot::config;
  const std::string secret = "a-secret-that-no-message-may-show-0123456789";
  const std::string password = "pw-5ecr3t";
  const std::string text(reinterpret_cast<const char*>(data), size);
  // A name that stands in the file is shown when it is unknown, whatever it is.
  if (text.contains(secret) || text.contains(password)) return 0;
  const auto loaded =
      Load({.yaml_text = text,
            .file_name = "config.yaml",
            .environment = {{"JWT_SECRET", secret},
                            {"DATABASE_URL", "postgresql://u:" + password + "@db:5432/shop"}}});
  if (loaded) {
    const std::string dump = DumpRedacted(loaded->config);
    FUZZ_CHECK(!dump.contains(password) && !dump.contains(secret));
    return 0;
  }
  FUZZ_CHECK(!loaded.error().empty());
  for (const std::string& problem : loaded.error()) {
    FUZZ_CHECK(!problem.empty() && !problem.contains(secret) && !problem.contains(password));
  }
  return 0;
}

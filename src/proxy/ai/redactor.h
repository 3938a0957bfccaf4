#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/secret.h"

namespace pondpilot::proxy::ai {

// Makes what a provider says fit for a caller's eyes: a refusal may quote the proxy's key, as a whole or as
// its ends, and name machines that the caller need not know of. Immutable.
class Redactor {
 public:
  // `base_urls` are where the providers are; their hosts are hidden as well.
  Redactor(std::vector<base::Secret> keys, const std::vector<std::string>& base_urls);

  // `text` on one line, shortened to about `most_bytes` on a character's border. In place of what is hidden
  // stands "[hidden]": each word that holds a piece of a key, or looks like a key or like a shortened one;
  // URLs but those of the providers' documentation; addresses, names of internal hosts, and paths of files.
  std::string Redact(std::string_view text, size_t most_bytes) const;

 private:
  bool Hides(std::string_view word) const;
  bool HoldsKey(const std::string& word) const;

  std::vector<base::Secret> keys_;  // in lower case
  std::vector<std::string> hosts_;  // likewise
};

}  // namespace pondpilot::proxy::ai

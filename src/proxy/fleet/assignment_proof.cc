#include "proxy/fleet/assignment_proof.h"

namespace pondpilot::proxy::fleet {

std::string AssignmentProof(const base::Secret& key, const std::string& worker_id, const std::string& user_id,
                            const base::Secret& terms) {
  // Digests of one length each: where one ends and the next begins is beyond doubt.
  return base::HmacSha256Hex(key, "pondpilot assignment " + base::Sha256Hex(worker_id) +
                                      base::Sha256Hex(user_id) + base::Sha256Hex(terms.Reveal()));
}

}  // namespace pondpilot::proxy::fleet

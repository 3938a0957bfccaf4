#pragma once

#include <string>

#include "base/secret.h"

namespace pondpilot::proxy::fleet {

// Made when a worker becomes a user's; the worker keeps it and shows it to a proxy that has been restarted,
// which makes it again to compare. It is an HMAC-SHA-256 under a key that no worker has: a worker taken over
// by its user can show neither another user's name, nor terms other than those it was assigned under, nor
// what another worker keeps. 64 hex digits.
//
// `terms` stands for everything else that the worker was given: databases, extensions, limits.
std::string AssignmentProof(const base::Secret& key, const std::string& worker_id, const std::string& user_id,
                            const base::Secret& terms);

}  // namespace pondpilot::proxy::fleet

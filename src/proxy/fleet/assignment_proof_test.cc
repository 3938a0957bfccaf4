#include "proxy/fleet/assignment_proof.h"

#include <gtest/gtest.h>

#include <set>

namespace pondpilot::proxy::fleet {
namespace {

TEST(AssignmentProofTest, IsAnotherForEveryPartOfIt) {
  const base::Secret key("key");
  const base::Secret terms("terms");
  const std::string proof = AssignmentProof(key, "w", "alice", terms);
  EXPECT_EQ(proof.size(), 64u);
  EXPECT_EQ(AssignmentProof(key, "w", "alice", terms), proof);
  const std::set<std::string> all = {proof,
                                     AssignmentProof(base::Secret("other"), "w", "alice", terms),
                                     AssignmentProof(key, "v", "alice", terms),
                                     AssignmentProof(key, "w", "bob", terms),
                                     AssignmentProof(key, "wa", "lice", terms),
                                     AssignmentProof(key, "w", "alice", base::Secret("more")),
                                     AssignmentProof(key, "", "", base::Secret())};
  EXPECT_EQ(all.size(), 7u);
}

}  // namespace
}  // namespace pondpilot::proxy::fleet

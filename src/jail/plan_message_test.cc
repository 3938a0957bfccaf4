#include "jail/plan_message.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

namespace pondpilot::jail {
namespace {

Plan Sensible() {
  Plan plan;
  plan.program = "/usr/bin/pondpilot-worker";
  plan.environment = {"A=1", "B=x=y"};
  plan.user = 40'001;
  plan.amounts = {.memory_bytes = 5ULL << 32, .cpu_cores = 0.3, .threads = 77};
  plan.turn = 9;
  plan.files.readable = {"/data/shop.db", "/data/with space.db"};
  plan.files.writable = {"/spill/w1"};
  plan.namespaces = true;
  plan.layers = {Layer::kLimits, Layer::kSeccomp};
  plan.title = "w1";
  return plan;
}

TEST(PlanMessage, ComesBackAsItWas) {
  const Plan plan = Sensible();
  const auto back = PlanFrom(ToMessage(plan));
  ASSERT_TRUE(back);
  EXPECT_EQ(back->program, plan.program);
  EXPECT_EQ(back->environment, plan.environment);
  EXPECT_EQ(back->user, plan.user);
  EXPECT_EQ(back->amounts.memory_bytes, plan.amounts.memory_bytes);
  EXPECT_EQ(back->amounts.cpu_cores, plan.amounts.cpu_cores);
  EXPECT_EQ(back->amounts.threads, plan.amounts.threads);
  EXPECT_EQ(back->turn, plan.turn);
  EXPECT_EQ(back->files.readable, plan.files.readable);
  EXPECT_EQ(back->files.writable, plan.files.writable);
  EXPECT_EQ(back->namespaces, plan.namespaces);
  EXPECT_EQ(back->layers, plan.layers);
  EXPECT_EQ(back->title, plan.title);
  EXPECT_FALSE(back->runs_program);
  EXPECT_EQ(back->socket, -1) << "it goes as a descriptor";
}

TEST(PlanMessage, WithoutAUserThereIsNone) {
  Plan plan = Sensible();
  plan.user.reset();
  const auto back = PlanFrom(ToMessage(plan));
  ASSERT_TRUE(back);
  EXPECT_FALSE(back->user);
}

// A process that does not know what it is to be in must not go on.
TEST(PlanMessage, WhatIsNotWholeIsNone) {
  const Message whole = ToMessage(Sensible());
  for (const char* field : {"program", "memory", "cores", "threads", "turn", "namespaces", "layer"}) {
    Message message = whole;
    std::erase_if(message.fields, [&](const auto& entry) { return entry.first == field; });
    EXPECT_FALSE(PlanFrom(message)) << field;
  }
  for (const auto& [field, value] : std::vector<std::pair<std::string, std::string>>{
           {"layer", "no such layer"}, {"user", "-1"}, {"threads", "4294967296"}, {"cores", "many"}}) {
    Message message = whole;
    std::erase_if(message.fields, [&](const auto& entry) { return entry.first == field; });
    message.Add(field, value);
    EXPECT_FALSE(PlanFrom(message)) << field;
  }
  EXPECT_FALSE(PlanFrom(Message{"go", whole.fields}));
}

}  // namespace
}  // namespace pondpilot::jail

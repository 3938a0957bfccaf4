#pragma once

#include <optional>

#include "jail/enter.h"
#include "jail/jailer/wire.h"

namespace pondpilot::jail {

// A plan on its way from the jailer to a process that the zygote has forked. Its socket goes with the message
// as a descriptor. What is a plan for processes that run a program has no message.
Message ToMessage(const Plan& plan);
// nullopt for what is no such message.
std::optional<Plan> PlanFrom(const Message& message);

}  // namespace pondpilot::jail

#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "jail/landlock.h"
#include "jail/layers.h"
#include "jail/limits.h"

namespace pondpilot::jail {

// What a process is to become.
struct Plan {
  std::string program;                   // absolute path
  std::vector<std::string> environment;  // NAME=value, the whole of it
  std::optional<uint32_t> user;          // user and group id of its own; none: it keeps the caller's
  Amounts amounts;
  uint32_t turn = 0;        // spreads workers over processors
  FileAccess files;         // beside what every program needs
  int socket = -1;          // becomes descriptor kSocketDescriptor; -1: none
  bool namespaces = false;  // it was started in namespaces of its own, a user namespace perhaps
  bool user_namespace = false;
  std::vector<Layer> layers;  // those to put on; empty: all, and one that is denied is passed over
  std::string title;          // of a worker that runs no program: what `ps` is to show beside its name
  bool runs_program = true;   // false: the process goes on as what it is, and never runs a program
};

// The descriptor at which a jailed program finds its socket.
inline constexpr int kSocketDescriptor = 3;

// What is read by every program that is started here.
FileAccess FilesFor(const std::string& program);

// Puts the layers on this process, in this order, each with its reason:
//
//   session      nobody's terminal, nobody's job control
//   descriptors  none is inherited but standard output and error and the socket
//   mounts       while there is the right to mount
//   limits       while there is the right to a scheduling of one's own
//   user         the bounding set first, then group and user; with them go all capabilities
//   privileges   what is left of capabilities, and no_new_privs, without which the next two are refused
//   landlock     after the last file was opened that a worker may not see
//   seccomp      last, since it refuses what the others are made of
//
// A single-threaded process is expected, fresh from fork. `keep`: a descriptor that stays open until a
// program is run, under another number afterwards; -1: none. Returns what has become of each layer but the
// cgroup, which is the parent's. Stops at the first layer that failed when the plan lists its layers.
Report EnterJail(const Plan& plan, int& keep);

// Why what runs under this plan has not what the plan asks for, as a sentence; empty when it has.
std::string WhatFailed(const Plan& plan, const Report& report);

// Becomes the plan's program; returns only when that failed, with the reason.
std::string RunProgram(const Plan& plan);

}  // namespace pondpilot::jail

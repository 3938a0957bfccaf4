#pragma once

#include <string>
#include <string_view>

// A process that has done what every worker does first, and nothing that differs between workers. It forks
// workers, each of which enters its jail before it goes on: that takes a tenth of a new program's time, and
// what the zygote has written to memory is shared until somebody writes to it again. ADR 9 has the reasons.
namespace pondpilot::jail {

// How a worker's program is told to be one, and where it finds the jailer's requests then (a SOCK_SEQPACKET
// socket; jail/jailer/zygote.h).
inline constexpr std::string_view kZygoteArgument = "zygote";
inline constexpr int kZygoteChannel = 3;

// What a process says to the jailer last, in its jail. Without it the jailer takes it for failed.
inline constexpr std::string_view kInJail = "in";

// To be called first: gives up the rights that forking and jailing workers takes no part of. False: they
// can't be given up, the jailer has been told so, and this process must end.
[[nodiscard]] bool BeginZygote();

// Tells the jailer that this process is ready, and forks for it. Returns true in each worker: in its jail,
// with its environment, its socket at kSocketDescriptor and no other descriptor of the zygote's. Returns
// false in the zygote itself, when the jailer has gone. `arguments` is main's; the worker's name is put there
// for `ps` to show.
//
// The process must have one thread; with more it says so to the jailer and returns false. One that has just
// been joined may be on its way out. Throws std::bad_alloc, in the zygote alone.
bool ForkWorkers(char** arguments);

// Tells the jailer why this process can't be a zygote.
void RefuseToFork(const std::string& reason);

}  // namespace pondpilot::jail

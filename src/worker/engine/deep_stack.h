#pragma once

#include <cstddef>
#include <exception>
#include <type_traits>

namespace pondpilot::worker::engine {

// DuckDB parses, binds and plans recursively, down to max_expression_depth (1000 by default): chains of that
// many common table expressions were seen to take more than 4 MiB of stack. A worker has some twenty threads
// that are not inside DuckDB, and a thread's stack counts against the limit on the process's data whether it
// is used or not. So threads have small stacks (kThreadStackBytes), and what enters DuckDB does so on one of
// these, of which there are as many as calls are inside.
inline constexpr size_t kDeepStackBytes = 8 << 20;
// Enough for DuckDB's own threads, which run what was planned: an expression that is 990 levels deep was seen
// to need between 256 KiB and 1 MiB.
inline constexpr size_t kThreadStackBytes = 1 << 20;
// So many are kept once they have been made, so that calls find one while a statement takes all memory.
inline constexpr size_t kKeptDeepStacks = 3;

// The default size of the stacks of threads that are made from now on. Once, before threads start.
void UseSmallThreadStacks();
// Makes the stacks that are kept. Fewer when there is no memory for them.
void KeepDeepStacksReady();

namespace deep_stack {
// Calls `work(argument)`, which throws nothing, on a deep stack; returns false, without having called it,
// when there is no memory for one. On the thread's own stack when that is a deep one, or under a sanitizer.
bool Run(void (*work)(void*), void* argument);
}  // namespace deep_stack

// Calls `work` on a deep stack of this same thread, and throws what it throws. False when it was not called,
// for want of memory.
template <typename Work>
bool OnDeepStack(Work&& work) {
  struct Call {
    std::remove_reference_t<Work>& work;
    std::exception_ptr thrown;
  } call{work, nullptr};
  const auto run = [](void* argument) {
    auto& made = *static_cast<Call*>(argument);
    try {
      made.work();
    } catch (...) {
      made.thrown = std::current_exception();
    }
  };
  if (!deep_stack::Run(run, &call)) return false;
  if (call.thrown) std::rethrow_exception(call.thrown);
  return true;
}

// For what must be done and takes little depth, as ending a transaction or a plan: on a deep stack, or on the
// thread's own when there is none.
template <typename Work>
void OnDeepStackOrOwn(Work&& work) {
  if (!OnDeepStack(work)) work();
}

}  // namespace pondpilot::worker::engine

#include "worker/engine/deep_stack.h"

#include <pthread.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include <array>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

namespace pondpilot::worker::engine {
namespace {

// A sanitizer has stacks of its own to look after, and needs larger ones.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kSwitches = false;
#else
constexpr bool kSwitches = true;
#endif

// What an ordinary statement touches stays resident for the next one; what a deep one has touched goes back.
constexpr size_t kKeptResidentBytes = 256 << 10;

size_t PageBytes() {
  static const auto bytes = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
  return bytes;
}

class Stack {
 public:
  static std::optional<Stack> Make() {
    void* memory = ::mmap(nullptr, kDeepStackBytes + PageBytes(), PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    if (memory == MAP_FAILED) return std::nullopt;
    Stack stack(memory);
    // One huge page would make every call look like a deep one. Where there are none this fails, which is as
    // well.
    (void)::madvise(memory, kDeepStackBytes + PageBytes(), MADV_NOHUGEPAGE);
    // Whoever goes deeper shall end there, and not in somebody else's memory.
    if (::mprotect(memory, PageBytes(), PROT_NONE) != 0) return std::nullopt;
    return stack;
  }
  Stack(Stack&& other) noexcept : memory_(std::exchange(other.memory_, nullptr)) {}
  Stack& operator=(Stack&& other) noexcept {
    std::swap(memory_, other.memory_);
    return *this;
  }
  Stack(const Stack&) = delete;
  Stack& operator=(const Stack&) = delete;
  ~Stack() {
    if (memory_ != nullptr) (void)::munmap(memory_, kDeepStackBytes + PageBytes());
  }

  char* base() const { return static_cast<char*>(memory_) + PageBytes(); }

  // Stacks grow down.
  void GiveBackDepth() const {
    constexpr size_t kLookedAtPages = 16;
    char* const deep_end = base() + (kDeepStackBytes - kKeptResidentBytes);
    std::array<unsigned char, kLookedAtPages> resident{};
    const size_t looked_at = kLookedAtPages * PageBytes();
    bool went_deep = ::mincore(deep_end - looked_at, looked_at, resident.data()) != 0;
    for (const unsigned char page : resident) went_deep = went_deep || (page & 1) != 0;
    if (went_deep) (void)::madvise(base(), kDeepStackBytes - kKeptResidentBytes, MADV_DONTNEED);
  }

 private:
  explicit Stack(void* memory) : memory_(memory) {}
  void* memory_;
};

class Pool {
 public:
  // So that to return a stack takes no memory.
  Pool() { kept_.reserve(kKeptDeepStacks); }

  std::optional<Stack> Take() {
    {
      const std::lock_guard lock(mutex_);
      if (!kept_.empty()) {
        Stack stack = std::move(kept_.back());
        kept_.pop_back();
        return stack;
      }
    }
    return Stack::Make();
  }

  void Return(Stack stack) {
    stack.GiveBackDepth();
    const std::lock_guard lock(mutex_);
    if (kept_.size() < kKeptDeepStacks) kept_.push_back(std::move(stack));
  }

 private:
  std::mutex mutex_;
  std::vector<Stack> kept_;
};

Pool& Stacks() {
  static Pool pool;
  return pool;
}

struct Entry {
  void (*work)(void*);
  void* argument;
};
// Set while this thread runs on a deep stack.
thread_local Entry* current_entry = nullptr;

void Enter() { current_entry->work(current_entry->argument); }

// Apart, because a function that calls getcontext can't keep its variables in registers.
[[gnu::noinline]] bool CallOn(char* base, Entry* entry) {
  ucontext_t back;
  ucontext_t there;
  if (::getcontext(&there) != 0) return false;
  there.uc_stack.ss_sp = base;
  there.uc_stack.ss_size = kDeepStackBytes;
  there.uc_link = &back;
  ::makecontext(&there, &Enter, 0);
  current_entry = entry;
  const int failed = ::swapcontext(&back, &there);
  current_entry = nullptr;
  return failed == 0;
}

}  // namespace

void UseSmallThreadStacks() {
  if (!kSwitches) return;
  pthread_attr_t attributes;
  if (::pthread_attr_init(&attributes) != 0) return;
  if (::pthread_attr_setstacksize(&attributes, kThreadStackBytes) == 0) {
    (void)::pthread_setattr_default_np(&attributes);
  }
  (void)::pthread_attr_destroy(&attributes);
}

void KeepDeepStacksReady() {
  std::vector<Stack> made;
  for (size_t i = 0; kSwitches && i < kKeptDeepStacks; ++i) {
    if (auto stack = Stacks().Take()) made.push_back(std::move(*stack));
  }
  for (Stack& stack : made) Stacks().Return(std::move(stack));
}

bool deep_stack::Run(void (*work)(void*), void* argument) {
  if (!kSwitches || current_entry != nullptr) {
    work(argument);
    return true;
  }
  auto stack = Stacks().Take();
  if (!stack) return false;
  Entry entry{work, argument};
  const bool ran = CallOn(stack->base(), &entry);
  Stacks().Return(std::move(*stack));
  return ran;
}

}  // namespace pondpilot::worker::engine

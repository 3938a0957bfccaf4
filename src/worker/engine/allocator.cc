#include "worker/engine/allocator.h"

#include <malloc.h>

#include <cstddef>

// The jemalloc inside libduckdb.
extern "C" {
// Read as the last of its sources of options, before main starts. By default it keeps the address space of
// what it has freed, and that counts against the limit on the data segment: after a few large statements
// ordinary ones would fail for want of memory that nobody uses.
extern const char* duckdb_je_malloc_conf_2_conf_harder;
const char* duckdb_je_malloc_conf_2_conf_harder = "retain:false";

int duckdb_je_mallctl(const char* name, void* old_value, size_t* old_length, void* new_value,
                      size_t new_length);
}

namespace pondpilot::worker::engine {

void ReleaseFreedMemory() {
  // 4096 is jemalloc's MALLCTL_ARENAS_ALL.
  duckdb_je_mallctl("arena.4096.purge", nullptr, nullptr, nullptr, 0);
  malloc_trim(0);
}

}  // namespace pondpilot::worker::engine

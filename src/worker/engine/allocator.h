#pragma once

namespace pondpilot::worker::engine {

// Gives what has been freed back to the kernel: DuckDB's allocator and libc's keep pages for the next
// request, which counts against the limit on the data segment. Costs some milliseconds: for after a statement
// that ran out of memory, which leaves pages in sizes that the next one can't use. Thread-safe.
void ReleaseFreedMemory();

}  // namespace pondpilot::worker::engine

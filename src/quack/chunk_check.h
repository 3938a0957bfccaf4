#pragma once

#include <cstdint>
#include <string_view>

#include "base/error.h"

namespace pondpilot::quack {

// What a chunk may have at most. DuckDB makes room for all its rows before it reads them.
inline constexpr uint64_t kMaxChunkRows = 122'880;
inline constexpr uint64_t kMaxChunkFootprint = 256 << 20;  // bytes

// Holds the chunk at the beginning of `data` against everything that DuckDB takes for granted when it reads
// one: lengths, selections, offsets of lists, members of enums, validity, UTF-8. Gives its length in bytes.
// kInvalidArgument for a damaged chunk, and for one with a type whose values could be such as no SQL can
// make; the message names the type.
base::Result<size_t> CheckChunk(std::string_view data);

// The same for so many chunks, one behind the other, with nothing after them.
base::Result<void> CheckChunks(std::string_view data, uint64_t count);

}  // namespace pondpilot::quack

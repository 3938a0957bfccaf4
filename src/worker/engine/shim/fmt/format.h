#pragma once

// DuckDB's public headers include the {fmt} that DuckDB bundles, of which they use one table. Debian's
// package of DuckDB does not ship that copy; this declares the table as DuckDB's library has it.
namespace duckdb_fmt {
namespace internal {
struct data {
  static constexpr char digits[] =
      "0001020304050607080910111213141516171819"
      "2021222324252627282930313233343536373839"
      "4041424344454647484950515253545556575859"
      "6061626364656667686970717273747576777879"
      "8081828384858687888990919293949596979899";
};
}  // namespace internal
}  // namespace duckdb_fmt

// What DuckDB's own appender does in process: the bound for every way of loading rows.
//
//   appender_rows ROWS THREADS
//
// Appends rows (a BIGINT, b DOUBLE) to a table in memory; prints {"rows": N, "seconds": S}.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "duckdb.hpp"

int main(int count, char** words) {
  if (count != 3) {
    std::fprintf(stderr, "usage: appender_rows ROWS THREADS\n");
    return 2;
  }
  const int64_t rows = std::atoll(words[1]);
  duckdb::DuckDB database(nullptr);
  duckdb::Connection connection(database);
  connection.Query("SET threads = " + std::string(words[2]));
  connection.Query("CREATE TABLE narrow (a BIGINT, b DOUBLE)");
  const auto started = std::chrono::steady_clock::now();
  duckdb::Appender appender(connection, "narrow");
  for (int64_t i = 0; i < rows; ++i) appender.AppendRow<int64_t, double>(i, static_cast<double>(i) / 2);
  appender.Close();
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - started;
  const auto counted = connection.Query("SELECT count(*) FROM narrow");
  if (counted->HasError() || counted->Fetch()->GetValue(0, 0).GetValue<int64_t>() != rows) return 1;
  std::printf("{\"rows\": %lld, \"seconds\": %.3f}\n", static_cast<long long>(rows), took.count());
}

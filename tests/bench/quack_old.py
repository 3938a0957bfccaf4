"""DuckDB 1.5, from PyPI, as a server and as a client of Quack; run in a container by `./dev bench quack`.

python3 -m tests.bench.quack_old serve PORT TOKEN CPUS SQL       runs the SQL, serves until it is ended, prints "it serves"
python3 -m tests.bench.quack_old read ADDRESS TOKEN CPUS SQL     runs the SQL twice; prints the seconds of the second time"""

import signal
import sys
import time

import duckdb
import duckdb_extensions


def connect(cpus: str) -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect()
    for name in ("httpfs", "quack"):
        duckdb_extensions.import_extension(name, connection)
    connection.execute(f"LOAD httpfs; LOAD quack; SET threads = {int(cpus)}")
    return connection


def main() -> None:
    what, where, token, cpus, sql = sys.argv[1:]
    connection = connect(cpus)
    if what == "serve":
        connection.execute(sql)
        connection.execute(f"CALL quack_serve('quack:0.0.0.0:{int(where)}', disable_ssl = true, allow_other_hostname = true, "
                           f"token = '{token}')").fetchall()
        print("it serves", flush=True)
        signal.pause()
    connection.execute(f"ATTACH 'quack:{where}' AS q (TOKEN '{token}', DISABLE_SSL true)")
    for _ in range(2):
        started = time.perf_counter()
        connection.execute(sql).fetchall()
        took = time.perf_counter() - started
    print(took)


if __name__ == "__main__":
    main()

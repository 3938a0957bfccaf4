"""`./dev bench`: what the proxy costs, side by side with a direct connection and with nginx, as ratios of one run.

usage: python3 -m tests.bench [--rounds N] [--quick] [--write]      Markdown on standard output, progress on standard
error; --write puts the Markdown into docs/benchmarks.md as well.
"""

import argparse
import os
import platform
import sys
import time
from datetime import UTC, datetime
from statistics import median

from tests.bench.measure import bulk, first_queries, get_schema, percentile, read_all, select_42, small_calls
from tests.bench.variants import WORKER_CPUS, WORKER_MEMORY_MB, Setup, Variant
from tests.support.engine import ROOT, docker
from tests.support.flight import FlightUser

TABLE_ROWS, TRANSPORT_ROWS = 8_000_000, 31_250_000
MAKE_TABLE = f"""
CREATE TABLE bulk AS
SELECT range AS id, (range * 7919) % 1000003 AS part, (range % 5000) / 100.0 AS price,
       DATE '2020-01-01' + (range % 2000)::INT AS shipped, 'comment ' || (range % 977) AS comment
FROM range({TABLE_ROWS})
"""
SCAN = "SELECT * FROM bulk"
TRANSPORT = f"SELECT range AS a, range + 1 AS b, range + 2 AS c, range + 3 AS d FROM range({TRANSPORT_ROWS})"


def progress(text: str) -> None:
    print(f"{datetime.now():%H:%M:%S} {text}", file=sys.stderr, flush=True)


def cpu_per_gb(setup: Setup, sql: str, reads: int) -> float:
    """Processor seconds of the proxy for each GB relayed. A pass of its own: asking the engine for the figure would
    disturb a read that is timed."""
    with setup.through.connect() as user:
        read_all(user, sql)
        before = setup.proxy.cpu_seconds()
        size = sum(read_all(user, sql) for _ in range(reads))
        return (setup.proxy.cpu_seconds() - before) / (size / 1e9)


def machine() -> list[str]:
    with open("/proc/cpuinfo") as file:
        models = [line.split(":", 1)[1].strip() for line in file if line.startswith("model name")]
    with open("/proc/meminfo") as file:
        memory = int(file.readline().split()[1]) / 1024 / 1024
    return [
        f"* Machine: {models[0] if models else platform.machine()}, {os.cpu_count()} cores, {memory:.0f} GiB, "
        f"Linux {platform.release()}, Docker {docker('version', '--format', '{{.Server.Version}}')}.",
        f"* Each worker: {WORKER_CPUS} cores, {WORKER_MEMORY_MB} MiB. Client: pyarrow, one connection, on the same machine.",
        f"* {datetime.now(UTC):%Y-%m-%d}, commit {os.environ.get('PONDPILOT_COMMIT') or 'unknown'}.",
    ]


def bulk_table(title: str, results: dict, rows: int) -> list[str]:
    direct = results["direct"]
    lines = [f"### {title}", "", "| Way | MB/s | of direct | lowest … highest round | million rows/s |", "|---|--:|--:|--:|--:|"]
    for name, result in results.items():
        ratios = [d / s for d, s in zip(direct.seconds, result.seconds)]
        lines.append(f"| {name} | {result.mb_per_second:.0f} | {median(direct.seconds) / median(result.seconds):.2f} | "
                     f"{min(ratios):.2f} … {max(ratios):.2f} | {rows / median(result.seconds) / 1e6:.1f} |")
    return [*lines, ""]


def small_table(title: str, results: dict[str, list[float]]) -> list[str]:
    lines = [f"### {title}", "", "| Way | p50 µs | p99 µs | p50 of direct | added, p50 µs |", "|---|--:|--:|--:|--:|"]
    direct = percentile(results["direct"], 0.5)
    for name, seconds in results.items():
        p50, p99 = percentile(seconds, 0.5), percentile(seconds, 0.99)
        lines.append(f"| {name} | {p50 * 1e6:.0f} | {p99 * 1e6:.0f} | {p50 / direct:.2f} | {(p50 - direct) * 1e6:.0f} |")
    return [*lines, ""]


def measure(setup: Setup, rounds: int, calls: int) -> list[str]:
    everyone = [setup.direct, setup.through, *setup.nginx]
    out: list[str] = []

    def make_table(variant: Variant, user: FlightUser) -> None:
        # nginx stands before the direct variant's worker, where the table is already.
        if variant in (setup.direct, setup.through):
            user.query(MAKE_TABLE)

    progress("bulk: table scan")
    out += bulk_table(f"Table scan: {TABLE_ROWS / 1e6:.0f} million rows, 5 columns",
                      bulk(everyone, SCAN, rounds, make_table), TABLE_ROWS)
    progress("bulk: transport")
    out += bulk_table(f"Transport: {TRANSPORT_ROWS / 1e6:.2f} million rows of 4 BIGINT (1 GB)",
                      bulk(everyone, TRANSPORT, rounds, lambda *_: None), TRANSPORT_ROWS)
    bulk_cpu = f"{cpu_per_gb(setup, TRANSPORT, rounds):.2f}"

    progress("SELECT 42")
    small = [setup.direct, setup.through, setup.nginx[0]]
    out += small_table("`SELECT 42` (GetFlightInfo and DoGet)", small_calls(small, select_42, rounds, calls))
    progress("one unary call")
    before = setup.proxy.cpu_seconds()
    unary = small_calls(small, get_schema, rounds, calls)
    unary_cpu = (setup.proxy.cpu_seconds() - before) / (rounds * calls + 50)
    out += small_table("One unary call (GetSchema)", unary)

    progress("first queries")
    stamp = int(time.time())
    cold = first_queries(lambda number: setup.proxy_user(f"new-{stamp}-{number}"), 7)
    warm = first_queries(lambda _: setup.proxy_user("bench"), 40)
    out += [
        "### First queries through the proxy, from opening a connection to the last row", "",
        "| Which | p50 ms | slowest ms |", "|---|--:|--:|",
        f"| of a new user: a worker is started | {median(cold) * 1e3:.0f} | {max(cold) * 1e3:.0f} |",
        f"| of a fresh connection, worker warm | {median(warm) * 1e3:.1f} | {max(warm) * 1e3:.1f} |", "",
        "### What the proxy uses", "",
        "| What | |", "|---|--:|",
        f"| CPU seconds per GB relayed | {bulk_cpu} |",
        f"| CPU per unary call, µs | {unary_cpu * 1e6:.0f} |",
        f"| Resident memory afterwards, MiB | {setup.proxy.memory_mb():.0f} |", "",
    ]
    return out


def main() -> None:
    parser = argparse.ArgumentParser(prog="./dev bench")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--quick", action="store_true", help="two rounds: does it run?")
    parser.add_argument("--write", action="store_true", help="also write docs/benchmarks.md")
    asked = parser.parse_args()
    rounds, calls = (2, 100) if asked.quick else (asked.rounds, 400)

    progress("starting a proxy, a worker and nginx")
    setup = Setup()
    try:
        tables = measure(setup, rounds, calls)
        text = "\n".join([
            "# Benchmarks", "",
            "What `./dev bench` printed. The ways of one table ran in turns, round by round, against workers of the same kind:",
            "the client's and nginx's over the network, the proxy's over its socket ([ADR 5](adr/0005-unix-sockets-to-workers.md)).",
            "Ratios are trustworthy, absolute numbers belong to the machine.", "",
            *machine(), f"* Command: `./dev bench{' --quick' if asked.quick else ''}`: {rounds} rounds, medians.", "",
            *tables,
        ]).rstrip() + "\n"
    finally:
        setup.close()
    print(text)
    if asked.write:
        (ROOT / "docs" / "benchmarks.md").write_text(text)


if __name__ == "__main__":
    main()

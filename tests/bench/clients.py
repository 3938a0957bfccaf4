"""`./dev bench clients`: what Flight SQL's clients get, beside what DuckDB itself gives, as ratios of one run.

usage: python3 -m tests.bench.clients [--scale N] [--rounds N] [--quick] [--only PART]… [--write]      Markdown on standard
output, progress on standard error; --write puts it into docs/benchmarks-clients.md as well.

The marks: lineitem read whole through the proxy ahead of DuckDB's `quack_serve` with its own client; an ingest of a narrow
table at half of an in-process appender or better; prepared inserts of one row ahead of quack_serve's and at 0.6 of the
worker's own rate or better; JDBC at 0.95 of what it reads from the worker; a prepared point query within a millisecond; the
22 queries within 1.1 of DuckDB in process."""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from statistics import median

import numpy as np
import pyarrow as pa

from tests.bench.__main__ import machine, progress
from tests.bench.quack import QuackServer
from tests.support.control import TOKEN_HEADER, BareWorker
from tests.support.engine import ROOT, Engine, command, inspect
from tests.support.flight import FlightUser
from tests.support.proxy import Proxy, ProxyOptions, base_config
from tests.support.tokens import token
from tests.tpch.generator import Tpch
from tests.tpch.queries import QUERIES
from tests.tpch.reference import Reference

WORKER_CPUS = 2
PROGRAMS = "build/release/bin"
DEV_IMAGE = os.environ.get("PONDPILOT_DEV_IMAGE", "")
NARROW_ROWS = 10_000_000
POINTS = 1_000_000
JDBC_ROWS = 3_000_000


class Site:
    """A worker behind a proxy, one without, and DuckDB's own server, each with two cores."""

    def __init__(self, scale: float) -> None:
        self.scale = scale
        self.memory_gb = max(2, round(4 * scale))
        self.engine = Engine()
        self.network = self.engine.network("bench", lasting=True)
        config = base_config(self.engine, self.network, memory_limit=f"{self.memory_gb}g", cpu_limit=WORKER_CPUS,
                             idle_timeout="1h", session_timeout="1h")
        self.proxy = Proxy(self.engine, ProxyOptions(self.network, config, memory="1g")).wait_ready()
        self.worker = BareWorker(self.engine, self.network, self.memory_gb << 10, WORKER_CPUS)
        ip = inspect(self.proxy.container)["NetworkSettings"]["Networks"][self.network]["IPAddress"]
        self.addresses = {"proxy": f"{ip}:8081", "direct": self.worker.address}
        self.headers = {"proxy": ("authorization", f"Bearer {token('bench')}"), "direct": (TOKEN_HEADER, self.worker.token)}

    def user(self, way: str) -> FlightUser:
        key, value = self.headers[way]
        return FlightUser(f"grpc://{self.addresses[way]}", None, headers=[(key.encode(), value.encode())], timeout=600)

    def adbc(self, way: str):
        from adbc_driver_flightsql import dbapi
        key, value = self.headers[way]
        return dbapi.connect(f"grpc+tcp://{self.addresses[way]}", autocommit=True,
                             db_kwargs={f"adbc.flight.sql.rpc.call_header.{key}": value})

    def native(self, program: str, *words: str) -> dict:
        """One of tests/bench/native, with two cores, on the network of the servers."""
        name = self.engine.name("native")
        try:
            done = command("docker", "run", "--rm", "--init", "--name", name, "-m", "4g", f"--cpus={WORKER_CPUS}", "--network",
                           self.network, "-v", f"{ROOT}:/src:ro", DEV_IMAGE, f"/src/{PROGRAMS}/{program}", *words, seconds=300)
        finally:
            self.engine.remove(name)
        return json.loads(done.stdout)

    def calls(self, way: str, kind: str, connections: int, seconds: float) -> dict:
        return self.native("flight_calls", self.addresses[way], *self.headers[way], kind, str(connections), str(seconds))

    def close(self) -> None:
        self.proxy.remove()
        self.engine.close()


def timed(what: Callable[[], object]) -> float:
    started = time.perf_counter()
    what()
    return time.perf_counter() - started


def load(site: Site, way: str, tpch: Tpch, names: list[str]) -> None:
    with site.adbc(way) as connection, connection.cursor() as cursor:
        for name in names:
            cursor.adbc_ingest(name, tpch.table(name).to_reader(max_chunksize=50_000), mode="replace")


def read_whole(user: FlightUser, sql: str) -> int:
    return sum(chunk.data.num_rows for chunk in user.stream(sql))


def scan(site: Site, tpch: Tpch, reference: Reference, rounds: int) -> list[str]:
    progress("scan of lineitem")
    rows = tpch.table("lineitem").num_rows
    load(site, "proxy", tpch, ["lineitem"])
    load(site, "direct", tpch, ["lineitem"])
    seconds: dict[str, list[float]] = {"proxy": [], "direct": [], "quack_serve, its own client": []}
    with QuackServer(site.engine, site.network, reference, ["lineitem"], WORKER_CPUS) as quack:
        with site.user("proxy") as proxy, site.user("direct") as direct:
            read_whole(proxy, "FROM lineitem"), read_whole(direct, "FROM lineitem")
            for _ in range(rounds):
                seconds["proxy"].append(timed(lambda: read_whole(proxy, "FROM lineitem")))
                seconds["direct"].append(timed(lambda: read_whole(direct, "FROM lineitem")))
                seconds["quack_serve, its own client"].append(quack.seconds("FROM q.main.lineitem"))
    theirs = median(seconds["quack_serve, its own client"])
    out = [f"### lineitem read whole: {rows / 1e6:.1f} million rows, 16 columns, {WORKER_CPUS} cores", "",
           "| Way | seconds | million rows/s | of quack_serve |", "|---|--:|--:|--:|"]
    return [*out, *(f"| {way} | {median(times):.2f} | {rows / median(times) / 1e6:.1f} | {theirs / median(times):.2f} |"
                    for way, times in seconds.items()), ""]


def jdbc(site: Site, rounds: int) -> list[str]:
    progress("JDBC")
    drivers = sorted(ROOT.glob("build/clients/maven/org/apache/arrow/flight-sql-jdbc-driver/*/*driver-[0-9]*.jar"))
    if not drivers:
        return ["### JDBC", "", "Not measured: the driver could not be had (build/clients/jdbc/prepare.log says why).", ""]
    sql = (f"SELECT range AS a, range / 7 AS b, 'row ' || range AS c, DATE '2000-01-01' + (range % 9000)::INTEGER AS d "
           f"FROM range({JDBC_ROWS})")
    ways = ("proxy", "direct")
    words = [word for way in ways for word in (site.addresses[way], *site.headers[way])]
    done = command("java", "-Xmx1g", "--add-opens=java.base/java.nio=ALL-UNNAMED", "-cp", str(drivers[-1]),
                   str(ROOT / "tests/bench/jvm/JdbcRead.java"), str(rounds), sql, *words, seconds=60 + 60 * rounds)
    seconds = [median(float(word) for word in line.split()) for line in done.stdout.splitlines()[-len(ways):]]
    out = [f"### {JDBC_ROWS / 1e6:.0f} million rows of BIGINT, DOUBLE, VARCHAR, DATE, by the JDBC driver ({drivers[-1].parent.name})", "",
           "| Way | seconds | million rows/s | of direct |", "|---|--:|--:|--:|"]
    return [*out, *(f"| {way} | {took:.2f} | {JDBC_ROWS / took / 1e6:.2f} | {seconds[1] / took:.2f} |"
                    for way, took in zip(ways, seconds, strict=True)), ""]


def ingest(site: Site, rounds: int) -> list[str]:
    progress("ingest")
    table = pa.table({"a": np.arange(NARROW_ROWS), "b": np.arange(NARROW_ROWS) / 2})
    seconds: dict[str, list[float]] = {"in-process appender": [], "direct": [], "proxy": []}
    for _ in range(rounds):
        seconds["in-process appender"].append(site.native("appender_rows", str(NARROW_ROWS), str(WORKER_CPUS))["seconds"])
        for way in ("direct", "proxy"):
            with site.adbc(way) as connection, connection.cursor() as cursor:
                seconds[way].append(timed(lambda: cursor.adbc_ingest("narrow", table.to_reader(max_chunksize=500_000), mode="replace")))
    bound = median(seconds["in-process appender"])
    out = [f"### Ingest: {NARROW_ROWS / 1e6:.0f} million rows of BIGINT, DOUBLE, by ADBC", "",
           "| Way | seconds | million rows/s | of the appender |", "|---|--:|--:|--:|"]
    return [*out, *(f"| {way} | {median(times):.2f} | {NARROW_ROWS / median(times) / 1e6:.1f} | {bound / median(times):.2f} |"
                    for way, times in seconds.items()), ""]


def inserts(site: Site, reference: Reference, rounds: int, seconds: float) -> list[str]:
    progress("inserts of one row")
    rates: dict[tuple[str, int], list[float]] = {}
    broke_off = 0
    for way in ("proxy", "direct"):
        with site.user(way) as user:
            user.query("CREATE OR REPLACE TABLE bench_rows (a BIGINT, b VARCHAR)")
    with QuackServer(site.engine, site.network, reference, [], WORKER_CPUS) as quack:
        for _ in range(rounds):
            for connections in (1, 8):
                for way in ("proxy", "direct"):
                    done = site.calls(way, "insert", connections, seconds)
                    rates.setdefault((way, connections), []).append(done["calls"] / done["seconds"])
                theirs = rates.setdefault(("quack_serve", connections), [])
                rate = quack.inserts_per_second(connections, 400)
                broke_off += rate is None
                theirs += [] if rate is None else [rate]
    out = ["### Inserts of one row, prepared (quack_serve's client prepares no INSERT with parameters: literals there)", "",
           "| Way | connections | rows/s | of direct | of quack_serve |", "|---|--:|--:|--:|--:|"]
    for (way, connections), found in rates.items():
        theirs = rates["quack_serve", connections]
        if not found:
            out.append(f"| {way} | {connections} | broke off | – | – |")
            continue
        rate = median(found)
        out.append(f"| {way} | {connections} | {rate:.0f} | {rate / median(rates['direct', connections]):.2f} | "
                   + (f"{rate / median(theirs):.1f} |" if theirs else "– |"))
    out += ["", "Straight to the worker each upload waits 2 ms to see whether it was broken off: the proxy, which marks the end of a whole one,",
            "is not there."]
    return [*out, "", *([f"Runs in which a client of quack_serve broke off: {broke_off}.", ""] if broke_off else [])]


def points(site: Site, rounds: int, seconds: float) -> list[str]:
    progress("point queries")
    for way in ("proxy", "direct"):
        with site.user(way) as user:
            user.query("CREATE OR REPLACE TABLE bench_points (id BIGINT PRIMARY KEY, v VARCHAR)")
            user.query(f"INSERT INTO bench_points SELECT range, 'value ' || range FROM range({POINTS})")
    out = ["### A prepared query of one row by its key", "", "| Way | p50 ms | p99 ms |", "|---|--:|--:|"]
    found: dict[str, list[dict]] = {"proxy": [], "direct": []}
    for _ in range(rounds):
        for way, results in found.items():
            results.append(site.calls(way, "select", 1, seconds))
    for way, results in found.items():
        out.append(f"| {way} | {median(r['p50_us'] for r in results) / 1e3:.2f} | {median(r['p99_us'] for r in results) / 1e3:.2f} |")
    return [*out, ""]


def queries(site: Site, tpch: Tpch, reference: Reference, rounds: int) -> list[str]:
    progress("the 22 queries")
    load(site, "proxy", tpch, tpch.names)
    ours: dict[str, list[float]] = {name: [] for name in QUERIES}
    with site.user("proxy") as user:
        for sql in QUERIES.values():
            read_whole(user, sql)
        for _ in range(rounds):
            for name, sql in QUERIES.items():
                ours[name].append(timed(lambda: read_whole(user, sql)))
    theirs = reference.seconds(rounds)
    out = [f"### TPC-H at scale {site.scale:g}, {WORKER_CPUS} threads", "", "| Query | in process ms | proxy ms | ratio |", "|---|--:|--:|--:|"]
    for name in QUERIES:
        one, other = median(theirs[name]), median(ours[name])
        out.append(f"| {name} | {one * 1e3:.0f} | {other * 1e3:.0f} | {other / one:.2f} |")
    one, other = (sum(median(times) for times in each.values()) for each in (theirs, ours))
    return [*out, f"| all | {one * 1e3:.0f} | {other * 1e3:.0f} | {other / one:.2f} |", ""]


def main() -> None:
    parts = ["scan", "jdbc", "ingest", "inserts", "points", "queries"]
    parser = argparse.ArgumentParser(prog="./dev bench clients")
    parser.add_argument("--scale", type=float, default=1, help="TPC-H's scale factor")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="small tables, one round: does it run?")
    parser.add_argument("--only", choices=parts, action="append", help="this part only")
    parser.add_argument("--write", action="store_true", help="also write docs/benchmarks-clients.md")
    asked = parser.parse_args()
    scale, rounds, seconds = (0.05, 1, 2.0) if asked.quick else (asked.scale, asked.rounds, 5.0)
    wanted = asked.only or parts
    if not DEV_IMAGE:
        sys.exit("PONDPILOT_DEV_IMAGE is not set: ./dev bench clients sets it.")

    progress("making the tables")
    tpch = Tpch(scale)
    site = Site(scale)
    try:
        reference = Reference(site.engine, tpch, site.memory_gb + 2, WORKER_CPUS)
        how: dict[str, Callable[[], list[str]]] = {
            "scan": lambda: scan(site, tpch, reference, rounds), "jdbc": lambda: jdbc(site, rounds), "ingest": lambda: ingest(site, rounds),
            "inserts": lambda: inserts(site, reference, rounds, seconds), "points": lambda: points(site, rounds, seconds),
            "queries": lambda: queries(site, tpch, reference, rounds)}
        tables: list[str] = []
        for part in wanted:
            lines = how[part]()
            # A later part may fail; what was measured is seen.
            print("\n".join(lines), file=sys.stderr, flush=True)
            tables += lines
        text = "\n".join([
            "# Benchmarks of clients", "",
            "What `./dev bench clients` printed. The ways of one table ran in turns, in one run: ratios are trustworthy, absolute",
            "numbers belong to the machine, where clients and servers share the cores.", "", *machine()[:1],
            f"* Each server: {WORKER_CPUS} cores. {machine()[2][2:]}", "", *tables]).rstrip() + "\n"
    finally:
        site.close()
    print(text)
    if asked.write:
        (ROOT / "docs" / "benchmarks-clients.md").write_text(text)


if __name__ == "__main__":
    main()

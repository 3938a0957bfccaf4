"""DuckDB's own server, `quack_serve`, and its own client: DuckDB's command line, each in a container. And the proxy's door for
the same clients beside it: ./dev bench quack"""

import argparse
import re
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median

from tests.bench.__main__ import machine
from tests.support.engine import ROOT, CommandFailed, Engine, command, docker
from tests.support.proxy import Proxy, ProxyOptions, base_config
from tests.support.waiting import eventually
from tests.tpch.reference import Reference

TOKEN = "token-of-the-benchmark"
PORT = 9494
PAGE = "docs/benchmarks-quack.md"


class QuackClient:
    """DuckDB's command line, which attaches a server as `q`."""

    def __init__(self, engine: Engine, network: str, address: str, token: str, folder: Path, cpus: int) -> None:
        self.engine, self.network, self.address, self.token, self.folder, self.cpus = engine, network, address, token, folder, cpus

    def run(self, script: str, seconds: float = 300) -> str:
        name = self.engine.name("quack-client")
        file = self.folder / f"{name}.sql"
        file.write_text(f"LOAD quack;\nSET threads = {self.cpus};\n"
                        f"ATTACH 'quack:{self.address}' AS q (TOKEN '{self.token}', DISABLE_SSL true);\n{script}")
        try:
            return command("docker", "run", "--rm", "--init", "--name", name, "--network", self.network, "-m", "4g", f"--cpus={self.cpus}",
                           "-e", "HOME=/tmp", "-v", f"{file}:/client.sql:ro", "--entrypoint", "duckdb", self.engine.worker_image, "-bail",
                           "-f", "/client.sql", seconds=seconds).stdout
        finally:
            self.engine.remove(name)

    def seconds(self, sql: str) -> float:
        """Rows fetched and thrown away, after a first time that does not count."""
        out = self.run(f".mode trash\n{sql};\n.timer on\n{sql};\n")
        return float(re.findall(r"Run Time.*real ([0-9.]+)", out)[-1])


class QuackServer:
    """Serves tables of `reference` and an empty table `bench_rows`."""

    def __init__(self, engine: Engine, network: str, reference: Reference | None, tables: list[str], cpus: int) -> None:
        self.engine, self.network, self.cpus = engine, network, cpus
        self.folder = engine.new_folder("quack")
        self.folder.chmod(0o777)
        load = "".join(f"CREATE TABLE {name} AS FROM '/tpch/{name}.parquet';\n" for name in tables)
        (self.folder / "serve.sql").write_text(
            f"LOAD quack;\nSET threads = {cpus};\n{load}CREATE TABLE bench_rows (a BIGINT, b VARCHAR);\n"
            f"CALL quack_serve('quack:0.0.0.0:{PORT}', disable_ssl = true, allow_other_hostname = true, token = '{TOKEN}');\n"
            "SELECT 'it serves';\n")
        # Its command line ends with its input, which never ends here.
        self.container = engine.start(
            "quack", engine.worker_image, "-c", "(cat /quack/serve.sql; exec tail -f /dev/null) | HOME=/tmp duckdb -bail", network=network,
            memory=f"{reference.memory_gb}g" if reference else "4g",
            options=("--init", f"--cpus={cpus}", "--entrypoint", "bash", "-v", f"{self.folder}:/quack:ro",
                     *(("-v", f"{reference.folder}:/tpch:ro") if reference else ())))
        eventually(lambda: "it serves" in docker("logs", self.container), "quack_serve serves", 120)

    def client(self) -> QuackClient:
        return QuackClient(self.engine, self.network, f"{self.container}:{PORT}", TOKEN, self.folder, self.cpus)

    def seconds(self, sql: str) -> float:
        return self.client().seconds(sql)

    def inserts_per_second(self, connections: int, each: int) -> float | None:
        """As many clients at the same time, with a connection each; by the clients' own clocks, from the first INSERT to the
        last. None when a client breaks off, as DuckDB 2.0's does now and then when several commit at once."""
        now = "SELECT epoch_us(now()) AS at;\n"
        rows = "".join(f"INSERT INTO q.main.bench_rows VALUES ({n}, 'row {n}');\n" for n in range(each))
        script = f".mode list\n.headers off\n{now}{rows}{now}"
        try:
            with ThreadPoolExecutor(connections) as pool:
                outputs = list(pool.map(lambda _: self.client().run(script), range(connections)))
        except CommandFailed as error:
            print(f"quack_serve's client broke off: {str(error).splitlines()[1:3]}", file=sys.stderr, flush=True)
            return None
        stamps = [[int(line) for line in out.split() if line.isdigit() and len(line) > 12] for out in outputs]
        assert all(len(pair) == 2 for pair in stamps), outputs[0][:1000]
        took = max(pair[1] for pair in stamps) - min(pair[0] for pair in stamps)
        return connections * each / (took / 1e6)

    def close(self) -> None:
        self.engine.remove(self.container)

    def __enter__(self) -> "QuackServer":
        return self

    def __exit__(self, *_) -> None:
        self.close()


ROWS = 6_000_000
WIDE = (f"SELECT range AS a, range + 1 AS b, range * 2 AS c, (range % 1000)::INTEGER AS d, 'text ' || (range % 5000) AS e, "
        f"range / 3.0 AS f, DATE '2020-01-01' + (range % 3000)::INTEGER AS g, range % 7 AS h FROM range({ROWS})")
CREATE = f"CREATE TABLE wide AS {WIDE}"
IN_QUERY = "FROM q.query('{}')"
WAYS = {
    "rows": IN_QUERY.format("FROM wide"),
    "counts": "SELECT count(*) " + IN_QUERY.format("FROM wide"),
    "into a table": "CREATE OR REPLACE TEMP TABLE here AS " + IN_QUERY.format("FROM wide"),
}
# All columns are asked for, and nothing is kept.
WAYS_OLD = {"rows": "SELECT max(a), max(b), max(c), max(d), max(e), max(f), max(g), max(h) FROM q.wide", "counts": "SELECT count(*) FROM q.wide",
            "into a table": "CREATE OR REPLACE TEMP TABLE here AS FROM q.wide"}


class Old:
    """DuckDB 1.5 of PyPI in containers (tests/bench/quack_old.py): its own server, and clients."""

    def __init__(self, engine: Engine, network: str, cpus: int) -> None:
        self.engine, self.network, self.cpus = engine, network, cpus
        self.options = ("--init", f"--cpus={cpus}", "--entrypoint", "", "-e", "HOME=/tmp", "-v", f"{ROOT}:{ROOT}:ro", "-w", str(ROOT),
                        "-e", "PYTHONDONTWRITEBYTECODE=1")
        self.words = ("build/test-python/bin/python3", "-m", "tests.bench.quack_old")
        self.server = engine.start("quack-old", engine.test_image, *self.words, "serve", str(PORT), TOKEN, str(cpus), CREATE,
                                   network=network, memory="4g", options=self.options)
        eventually(lambda: "it serves" in docker("logs", self.server), "DuckDB 1.5's quack_serve serves", 120)

    def seconds(self, address: str, token: str, sql: str) -> float:
        name = self.engine.name("quack-old-client")
        try:
            return float(command("docker", "run", "--rm", "--name", name, "--network", self.network, "-m", "4g", *self.options,
                                 self.engine.test_image, *self.words, "read", address, token, str(self.cpus), sql, seconds=300).stdout)
        finally:
            self.engine.remove(name)


def compare(title: str, theirs: Callable[[str], float], ours: Callable[[str], float], ways: dict[str, str], rounds: int) -> list[str]:
    out = [f"### {title}", "", "| What | own server, million rows/s | the proxy | of the own server (each round) |", "|---|--:|--:|--:|"]
    for name, sql in ways.items():
        pairs = [(theirs(sql), ours(sql)) for _ in range(rounds)]
        one, other = (median(seconds) for seconds in zip(*pairs))
        ratios = [a / b for a, b in pairs]
        out.append(f"| {name} | {ROWS / one / 1e6:.1f} | {ROWS / other / 1e6:.1f} | {one / other:.2f} "
                   f"({min(ratios):.2f} … {max(ratios):.2f}) |")
        print(out[-1], file=sys.stderr, flush=True)
    return [*out, ""]


def main() -> None:
    parser = argparse.ArgumentParser(prog="./dev bench quack", description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--cpus", type=int, default=2, help="of each server, worker and client")
    parser.add_argument("--write", action="store_true", help=f"also write {PAGE}")
    options = parser.parse_args()
    engine = Engine()
    network = engine.network("bench", lasting=True)
    folder = engine.new_folder("wide")
    config = base_config(engine, network, memory_limit="4g", idle_timeout="1h")
    config["containers"]["cpu_limit"] = options.cpus
    proxy = Proxy(engine, ProxyOptions(network, config)).wait_ready()
    address, token = f"{proxy.container}:8080", proxy.token("bench")
    try:
        with proxy.user("bench", timeout=120) as user:
            user.query(CREATE)
        out = ["# Benchmark of Quack", "", "What `./dev bench quack` printed: DuckDB's own server and the proxy took turns, with the same client.", "",
               *machine()[:1], f"* {machine()[2][2:]} {ROWS / 1e6:.0f} million rows of 8 columns; {options.cpus} cores for each server, worker and "
               "client, which share those of the machine.", ""]
        with QuackServer(engine, network, None, [], options.cpus) as server:
            door = QuackClient(engine, network, address, token, folder, options.cpus)
            server.client().run(f"{IN_QUERY.format(CREATE.replace(chr(39), chr(39) * 2))};\n")
            out += compare("Version 3: DuckDB 2.0's client and server", server.seconds, door.seconds, WAYS, options.rounds)
        old = Old(engine, network, options.cpus)
        out += compare("Version 1: DuckDB 1.5.5's client and server", lambda sql: old.seconds(f"{old.server}:{PORT}", TOKEN, sql),
                       lambda sql: old.seconds(address, token, sql), WAYS_OLD, options.rounds)
        engine.remove(old.server)
    finally:
        proxy.remove()
        engine.close()
    text = "\n".join(out).rstrip() + "\n"
    print(text)
    if options.write:
        (ROOT / PAGE).write_text(text)


if __name__ == "__main__":
    main()

"""How fast users get workers, how many at once, and what a worker costs that does nothing: ./dev bench fleet"""

import argparse
import concurrent.futures
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from tests.bench.measure import first_queries
from tests.support.engine import ROOT, Engine, docker, workers_on
from tests.support.proxy import Proxy, ProxyOptions, base_config
from tests.support.waiting import eventually

PAGE = "docs/benchmarks-fleet.md"
CONTAINER_RUNS = 7


def progress(text: str) -> None:
    print(f"... {text}", file=sys.stderr, flush=True)


@contextmanager
def proxy_with(engine: Engine, network: str, memory: str = "1g", socket: bool = True, **containers) -> Iterator[Proxy]:
    config = base_config(engine, network, memory_limit="512m", idle_timeout="1h", session_timeout="1h", **containers)
    proxy = Proxy(engine, ProxyOptions(network, config, memory=memory, socket=socket))
    try:
        yield proxy.wait_ready(60)
    except Exception:
        progress(f"the proxy's last lines:\n{proxy.logs()[-2000:]}")
        raise
    finally:
        proxy.remove()


def bare_containers(engine: Engine) -> list[float]:
    """What the engine itself takes for a container of the workers' image that ends at once."""
    seconds = []
    for _ in range(CONTAINER_RUNS):
        started = time.perf_counter()
        docker("run", "--rm", "-m", "64m", "--entrypoint", "/bin/true", engine.worker_image)
        seconds.append(time.perf_counter() - started)
    return seconds


def phases(proxy: Proxy) -> dict[str, float]:
    """Medians of what the proxy says of each start, ms."""
    lines = proxy.log_lines("Container spawned")
    return {name: median(int(line[f"{name}_ms"]) for line in lines) for name in ("create", "start", "ready", "attach")}


def warm_first_queries(proxy: Proxy, count: int) -> list[float]:
    """Each as soon as the pool is full again, so that none waits for a launch."""
    seconds = []
    for number in range(count):
        eventually(lambda: proxy.counts()["warm"] == 2, "the pool is full", 60)
        seconds += first_queries(lambda _, n=number: proxy.user(f"warm-{n}"), 1)
    return seconds


def everybody_at_once(proxy: Proxy, users: int) -> tuple[float, float, int]:
    """Seconds until all have their first answer, the median of them, how many failed."""
    def first(number: int) -> tuple[float, bool]:
        started = time.perf_counter()
        try:
            with proxy.user(f"crowd-{number}", timeout=300) as user:
                good = user.value(f"SELECT {number}") == number
        except Exception as error:  # noqa: BLE001 - counted and shown
            progress(f"user {number}: {error}")
            good = False
        return time.perf_counter() - started, good

    started = time.perf_counter()
    with concurrent.futures.ThreadPoolExecutor(users) as pool:
        answers = list(pool.map(first, range(users)))
    return time.perf_counter() - started, median(s for s, _ in answers), sum(not good for _, good in answers)


def pss_mb(container: str, process: str) -> float:
    text = docker("exec", "-u", "0", container, "cat", f"/proc/{process}/smaps_rollup")
    return int(re.search(r"^Pss:\s+(\d+)", text, re.M).group(1)) / 1024


def cpu_ms(container: str, process: str) -> int:
    """User and system time; a tick is 10 ms."""
    fields = docker("exec", "-u", "0", container, "cat", f"/proc/{process}/stat").rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) * 10


def worker_processes(proxy: Proxy) -> list[str]:
    script = 'for f in /proc/[0-9]*; do [ "$(cat $f/comm 2>/dev/null)" = pondpilot-worke ] && echo "${f#/proc/}"; done; true'
    return docker("exec", "-u", "0", proxy.container, "sh", "-c", script).split()


def machine() -> list[str]:
    models = re.findall(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.M)
    return [f"* Machine: {models[0] if models else 'unknown'}, {os.cpu_count()} cores, Docker "
            f"{docker('version', '--format', '{{.Server.Version}}')}.",
            f"* {datetime.now(UTC):%Y-%m-%d}, commit {os.environ.get('PONDPILOT_COMMIT') or 'unknown'}. Command: `./dev bench fleet`."]


def row(name: str, seconds: list[float]) -> str:
    return f"| {name} | {median(seconds) * 1e3:.0f} | {max(seconds) * 1e3:.0f} |"


def main() -> None:
    parser = argparse.ArgumentParser(prog="./dev bench fleet")
    parser.add_argument("--users", type=int, default=100, help="at once")
    parser.add_argument("--idle", type=int, default=60, help="seconds that idle workers are watched")
    parser.add_argument("--write", action="store_true", help=f"also write {PAGE}")
    asked = parser.parse_args()
    engine = Engine()
    try:
        network = engine.network("bench", lasting=True)
        out = ["# Benchmarks of the fleet", "", "What `./dev bench fleet` printed.", "", *machine(), "",
               "### First query of a new user, from opening a connection to the last row", "",
               "| Where the worker comes from | p50 ms | slowest ms |", "|---|--:|--:|"]
        progress("containers by themselves")
        out.append(row("(`docker run --rm … /bin/true` of the workers' image, to compare)", bare_containers(engine)))
        progress("cold containers")
        with proxy_with(engine, network) as proxy:
            out.append(row("a container, started", first_queries(lambda n: proxy.user(f"cold-{n}"), 10)))
            of_containers = phases(proxy)
        progress("warm containers")
        with proxy_with(engine, network, warm=2) as proxy:
            out.append(row("a container, warm", warm_first_queries(proxy, 10)))
        progress("processes")
        with proxy_with(engine, network, memory="4g", socket=False) as proxy:
            out.append(row("a process, started", first_queries(lambda n: proxy.user(f"cold-{n}"), 10)))
            of_processes = phases(proxy)
            workers = worker_processes(proxy)
            idle_process = median(pss_mb(proxy.container, worker) for worker in workers)
            cpu_before = sum(cpu_ms(proxy.container, worker) for worker in workers)
            time.sleep(asked.idle)  # what is measured is a time in which nothing happens
            idle_cpu = (sum(cpu_ms(proxy.container, worker) for worker in workers) - cpu_before) / len(workers)
        progress("warm processes")
        with proxy_with(engine, network, memory="4g", socket=False, warm=2) as proxy:
            out.append(row("a process, warm", warm_first_queries(proxy, 10)))
        out += ["", "### Where the time of a start goes, p50 ms", "", "| | create | start | ready | attach |", "|---|--:|--:|--:|--:|"]
        for name, of in (("container", of_containers), ("process", of_processes)):
            out.append(f"| {name} | {of['create']:.0f} | {of['start']:.0f} | {of['ready']:.0f} | {of['attach']:.0f} |")
        progress(f"{asked.users} users at once")
        with proxy_with(engine, network, max_per_host=asked.users, start_timeout="5m", queue_timeout="5m") as proxy:
            total, middle, failed = everybody_at_once(proxy, asked.users)
            containers = workers_on(network)
            idle_container = median(pss_mb(worker, "1") for worker in containers[:10])
        out += ["", f"### {asked.users} new users at once", "",
                "| All answered after, s | p50 of them, s | errors |", "|--:|--:|--:|", f"| {total:.1f} | {middle:.1f} | {failed} |", "",
                "### A worker that does nothing", "", "| | memory (PSS), MiB | workers per GiB |", "|---|--:|--:|",
                f"| container, of {len(containers)} | {idle_container:.1f} | {1024 / idle_container:.0f} |",
                f"| process, of {len(workers)} | {idle_process:.1f} | {1024 / idle_process:.0f} |", "",
                f"An idle worker process used {idle_cpu / asked.idle / 10:.3f} % of a core.", ""]
        text = "\n".join(out)
    finally:
        engine.close()
    print(text)
    if asked.write:
        (Path(ROOT) / PAGE).write_text(text)


if __name__ == "__main__":
    try:
        main()
    except subprocess.TimeoutExpired as slow:
        sys.exit(f"{slow}")

"""How fast users get workers, how many at once, and what a worker costs that does nothing: ./dev bench fleet"""

import argparse
import concurrent.futures
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from tests.bench.measure import first_queries
from tests.support.engine import ROOT, Engine, docker, workers_on
from tests.support.proxy import Proxy, ProxyOptions, base_config
from tests.support.waiting import eventually

PAGE = "docs/benchmarks-fleet.md"
CONTAINER_RUNS = 7
PROCESS_USERS = 50  # of each kind: together they are the 100 idle workers whose CPU is looked at


def progress(text: str) -> None:
    print(f"... {text}", file=sys.stderr, flush=True)


@contextmanager
def proxy_with(engine: Engine, network: str, memory: str = "1g", socket: bool = True, options: tuple[str, ...] = (),
               **containers) -> Iterator[Proxy]:
    config = base_config(engine, network, memory_limit="512m", idle_timeout="1h", session_timeout="1h", **containers)
    proxy = Proxy(engine, ProxyOptions(network, config, memory=memory, socket=socket, options=options))
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


def worker_processes(container: str) -> list[str]:
    """Process ids on the engine's host."""
    lines = docker("top", container, "-eo", "pid,comm").splitlines()[1:]
    return [line.split()[0] for line in lines if line.split()[1] == "pondpilot-worke"]


def of_processes(engine: Engine, processes: list[str], file: str) -> list[str]:
    """What /proc says of each; it takes a container that may look at all of them."""
    script = f'for p in "$@"; do cat /proc/$p/{file}; echo ----; done'
    text = docker("run", "--rm", "-m", "64m", "--cap-add", "SYS_PTRACE", "--pid", "host", "--entrypoint", "sh", engine.test_image,
                  "-c", script, "sh", *processes)
    return text.split("----")[:len(processes)]


def pss_mb(engine: Engine, processes: list[str]) -> float:
    return median(int(re.search(r"^Pss:\s+(\d+)", text, re.M).group(1)) / 1024
                  for text in of_processes(engine, processes, "smaps_rollup"))


def cpu_ms(engine: Engine, processes: list[str]) -> int:
    """User and system time of all together; a tick is 10 ms."""
    fields = [text.rsplit(")", 1)[1].split() for text in of_processes(engine, processes, "stat")]
    return sum((int(of[11]) + int(of[12])) * 10 for of in fields)


def wakes(engine: Engine, processes: list[str]) -> int:
    """How often all threads together have waited for something and gone on."""
    texts = of_processes(engine, processes, "task/*/status")
    return sum(int(count) for text in texts for count in re.findall(r"^voluntary_ctxt_switches:\s+(\d+)", text, re.M))


@dataclass
class Processes:
    """Workers of one proxy that are processes."""
    seconds: list[float] = field(default_factory=list)
    count: int = 0
    phases: dict[str, float] = field(default_factory=dict)
    pss_mb: float = 0
    idle_percent: float = 0
    wakes_per_second: float = 0


def processes_side_by_side(engine: Engine, network: str, idle: int) -> tuple[list[str], dict[str, Processes]]:
    """First queries in turn at a proxy whose workers run their program and at one that has a zygote, so that whatever else
    the machine does meets both; then all of them idle at the same time."""
    kinds = {"a process that runs its program": False, "a process that a zygote forked": True}
    measured = {name: Processes() for name in kinds}
    with ExitStack() as stack:
        proxies = {name: stack.enter_context(proxy_with(engine, network, memory="4g", socket=False, zygote=zygote))
                   for name, zygote in kinds.items()}
        for number in range(PROCESS_USERS):
            for name, proxy in proxies.items():
                measured[name].seconds += first_queries(lambda _, p=proxy, n=number: p.user(f"cold-{n}"), 1)
        workers = {name: worker_processes(proxy.container) for name, proxy in proxies.items()}
        before = {name: (cpu_ms(engine, of), wakes(engine, of)) for name, of in workers.items()}
        time.sleep(idle)  # what is measured is a time in which nothing happens
        for name, of in workers.items():
            at = measured[name]
            at.count, at.phases, at.pss_mb = len(of), phases(proxies[name]), pss_mb(engine, of)
            at.idle_percent = (cpu_ms(engine, of) - before[name][0]) / len(of) / idle / 10
            at.wakes_per_second = (wakes(engine, of) - before[name][1]) / len(of) / idle
    return [row(name, at.seconds) for name, at in measured.items()], measured


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
    parser.add_argument("--processes", action="store_true", help="only workers that are processes, and no crowd")
    parser.add_argument("--write", action="store_true", help=f"also write {PAGE}")
    asked = parser.parse_args()
    engine = Engine()
    try:
        network = engine.network("bench", lasting=True)
        out = ["# Benchmarks of the fleet", "", "What `./dev bench fleet` printed.", "", *machine(), "",
               "### First query of a new user, from opening a connection to the last row", "",
               "| Where the worker comes from | p50 ms | slowest ms |", "|---|--:|--:|"]
        if asked.processes:
            starts, processes = processes_side_by_side(engine, network, asked.idle)
            print("\n".join(starts), *(f"{name}: {at}" for name, at in processes.items()), sep="\n")
            return
        progress("containers by themselves")
        out.append(row("(`docker run --rm … /bin/true` of the workers' image, to compare)", bare_containers(engine)))
        progress("cold containers")
        with proxy_with(engine, network) as proxy:
            out.append(row("a container, started", first_queries(lambda n: proxy.user(f"cold-{n}"), 10)))
            of_containers = phases(proxy)
        progress("warm containers")
        with proxy_with(engine, network, warm=2) as proxy:
            out.append(row("a container, warm", warm_first_queries(proxy, 10)))
        progress("processes, each running its program and forked by a zygote")
        starts, processes = processes_side_by_side(engine, network, asked.idle)
        out += starts
        progress("warm processes")
        with proxy_with(engine, network, memory="4g", socket=False, warm=2) as proxy:
            out.append(row("a process, warm", warm_first_queries(proxy, 10)))
        out += ["", "### Where the time of a start goes, p50 ms", "", "| | create | start | ready | attach |", "|---|--:|--:|--:|--:|"]
        for name, of in (("container", of_containers), *((name, at.phases) for name, at in processes.items())):
            out.append(f"| {name} | {of['create']:.0f} | {of['start']:.0f} | {of['ready']:.0f} | {of['attach']:.0f} |")
        progress(f"{asked.users} users at once")
        with proxy_with(engine, network, max_per_host=asked.users, start_timeout="5m", queue_timeout="5m") as proxy:
            total, middle, failed = everybody_at_once(proxy, asked.users)
            containers = workers_on(network)
            idle_container = pss_mb(engine, [p for worker in containers for p in worker_processes(worker)])
        out += ["", f"### {asked.users} new users at once", "",
                "| All answered after, s | p50 of them, s | errors |", "|--:|--:|--:|", f"| {total:.1f} | {middle:.1f} | {failed} |", "",
                "### A worker that does nothing", "", "| | memory (PSS), MiB | workers per GiB |", "|---|--:|--:|",
                f"| container, of {len(containers)} | {idle_container:.1f} | {1024 / idle_container:.0f} |",
                *(f"| {name}, of {at.count} | {at.pss_mb:.1f} | {1024 / at.pss_mb:.0f} |" for name, at in processes.items()), "",
                *(f"An idle worker that is {name} used {at.idle_percent:.3f} % of a core, {at.wakes_per_second:.1f} wake-ups a second."
                  for name, at in processes.items()), ""]
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

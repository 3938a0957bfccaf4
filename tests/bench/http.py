"""The HTTP door beside nginx and beside the Flight door, and what connections cost that do nothing: ./dev bench http"""

import argparse
import http.client
import json
import re
import socket
import time
from statistics import median

from tests.bench.__main__ import machine
from tests.bench.fleet import proxy_with
from tests.bench.measure import percentile
from tests.support.engine import LABEL, ROOT, Engine, docker, inspect
from tests.support.proxy import Proxy

PAGE = "docs/benchmarks-http.md"
SQL = "SELECT 42"
# The server has one core, the load another.
SERVER_CORE, LOAD_CORE = "0", "1"
LOAD_CONNECTIONS = 32

# What /health answers, from a server that does nothing else.
NGINX = r"""
worker_processes 1;
daemon off;
error_log /dev/stderr warn;
pid /tmp/nginx.pid;
events { worker_connections 1024; }
http {
  access_log off;
  keepalive_requests 1000000000;
  server {
    listen 8080;
    location = /health { default_type application/json; return 200 '{"status":"healthy"}'; }
  }
}
"""


def address_of(container: str, network: str) -> str:
    return inspect(container)["NetworkSettings"]["Networks"][network]["IPAddress"]


def start_nginx(engine: Engine, network: str) -> str:
    return engine.start("nginx", engine.test_image, "sh", "-c", 'echo "$NGINX" > /tmp/nginx.conf && exec nginx -c /tmp/nginx.conf',
                        network=network, options=("--init", "--cpuset-cpus", SERVER_CORE, "--entrypoint", "", "-e", f"NGINX={NGINX}"))


def health_per_second(engine: Engine, network: str, rounds: int, seconds: int) -> dict[str, list[float]]:
    """Requests for /health per second and round, of a server on one core; the servers take turns."""
    nginx = start_nginx(engine, network)
    measured: dict[str, list[float]] = {"proxy": [], "nginx": []}
    try:
        with proxy_with(engine, network, options=("--cpuset-cpus", SERVER_CORE)) as proxy:
            urls = {"proxy": f"http://{address_of(proxy.container, network)}:8080/health",
                    "nginx": f"http://{address_of(nginx, network)}:8080/health"}
            for _ in range(rounds):
                for name, url in urls.items():
                    said = docker("run", "--rm", "--label", f"{LABEL}={engine.run_id}", "-m", "256m", "--network", network,
                                  "--cpuset-cpus", LOAD_CORE, "--entrypoint", "wrk", engine.test_image, "-t1", f"-c{LOAD_CONNECTIONS}",
                                  f"-d{seconds}s", url, seconds=seconds + 60)
                    assert "Non-2xx" not in said and "Socket errors" not in said, said
                    measured[name].append(float(re.search(r"Requests/sec:\s+([\d.]+)", said).group(1)))
    finally:
        engine.remove(nginx)
    return measured


def small_calls(proxy: Proxy, rounds: int, calls: int) -> dict[str, list[float]]:
    """Seconds of each call, by door; the doors take turns, round by round, each on one kept connection."""
    user = proxy.user("bench")
    connection = http.client.HTTPConnection("127.0.0.1", proxy.port(8080), timeout=60)
    headers = {"Authorization": f"Bearer {proxy.token('bench')}", "Content-Type": "application/json"}
    body = json.dumps({"sql": SQL})

    def post() -> None:
        connection.request("POST", "/sql", body, headers)
        answer = connection.getresponse()
        assert json.loads(answer.read())["rows"] == [{"42": 42}], answer.status

    doors = {"POST /sql": post, "pyarrow, Flight": lambda: user.value(SQL)}
    seconds: dict[str, list[float]] = {name: [] for name in doors}
    for call in doors.values():
        for _ in range(50):
            call()
    for _ in range(rounds):
        for name, call in doors.items():
            for _ in range(calls):
                started = time.perf_counter()
                call()
                seconds[name].append(time.perf_counter() - started)
    user.close()
    connection.close()
    return seconds


def idle_connections(proxy: Proxy, count: int) -> float:
    """MiB that the proxy grows by with so many connections that have sent one request each."""
    # Past Docker's own forwarder, which runs out of descriptors first.
    address = address_of(proxy.container, proxy.network)
    before = proxy.memory_mb()
    open_ones = []
    try:
        for _ in range(count):
            one = socket.create_connection((address, 8080), timeout=30)
            open_ones.append(one)
            one.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
            answer = b""
            while b"healthy" not in answer:
                piece = one.recv(4096)
                assert piece, f"connection {len(open_ones)} was closed"
                answer += piece
        return proxy.memory_mb() - before
    finally:
        for one in open_ones:
            one.close()


def main() -> None:
    parser = argparse.ArgumentParser(prog="./dev bench http", description=__doc__)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--calls", type=int, default=100, help="of each door in a round")
    parser.add_argument("--seconds", type=int, default=4, help="of load on /health in a round")
    parser.add_argument("--connections", type=int, default=9_900)
    parser.add_argument("--write", action="store_true", help=f"also write {PAGE}")
    options = parser.parse_args()
    out: list[str] = []

    def say(line: str) -> None:
        out.append(f"* {line}")
        print(line, flush=True)

    engine = Engine()
    try:
        network = engine.network("bench", lasting=True)
        health = health_per_second(engine, network, max(1, options.rounds // 2), options.seconds)
        for name, values in health.items():
            say(f"GET /health, {name} on one core: {median(values):,.0f} a second ({min(values):,.0f} … {max(values):,.0f})")
        say(f"of nginx: {median(health['proxy']) / median(health['nginx']):.2f}")
        with proxy_with(engine, network) as proxy:
            seconds = small_calls(proxy, options.rounds, options.calls)
            for name, values in seconds.items():
                say(f"SELECT 42, {name}: p50 {median(values) * 1000:.2f} ms, p99 {percentile(values, 0.99) * 1000:.2f} ms")
            say(f"ratio of the medians: {median(seconds['POST /sql']) / median(seconds['pyarrow, Flight']):.2f}")
            say(f"{options.connections} idle connections: {idle_connections(proxy, options.connections):.1f} MiB")
    finally:
        engine.close()
    if options.write:
        text = ["# Benchmark of HTTP", "", "What `./dev bench http` printed; in each pair the two took turns.", "", *machine()[:1], *machine()[2:], "",
                *out]
        (ROOT / PAGE).write_text("\n".join(text) + "\n")


if __name__ == "__main__":
    main()

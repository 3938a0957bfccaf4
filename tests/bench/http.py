"""The HTTP door beside the Flight door, and what connections cost that do nothing: ./dev bench http"""

import argparse
import http.client
import json
import socket
import time
from statistics import median

from tests.bench.fleet import proxy_with
from tests.bench.measure import percentile
from tests.support.engine import Engine, inspect
from tests.support.proxy import Proxy

SQL = "SELECT 42"


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
    address = inspect(proxy.container)["NetworkSettings"]["Networks"][proxy.network]["IPAddress"]
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
    parser.add_argument("--connections", type=int, default=9_900)
    options = parser.parse_args()
    engine = Engine()
    try:
        with proxy_with(engine, engine.network("bench", lasting=True)) as proxy:
            seconds = small_calls(proxy, options.rounds, options.calls)
            for name, values in seconds.items():
                print(f"{name}: p50 {median(values) * 1000:.2f} ms, p99 {percentile(values, 0.99) * 1000:.2f} ms")
            print(f"ratio of the medians: {median(seconds['POST /sql']) / median(seconds['pyarrow, Flight']):.2f}")
            print(f"{options.connections} idle connections: {idle_connections(proxy, options.connections):.1f} MiB")
    finally:
        engine.close()


if __name__ == "__main__":
    main()

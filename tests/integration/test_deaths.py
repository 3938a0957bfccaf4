"""However a worker dies or falls silent, its user is told what happened and what to do, and goes on with a fresh one."""

import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field

import pyarrow as pa
import pytest
from pyarrow import flight

from tests.support.engine import ROOT, Engine, command, docker, inspect
from tests.support.flight import FlightUser
from tests.support.proxy import Proxy, base_config, idle
from tests.support.waiting import eventually

ENDLESS = "SELECT COUNT(*) FROM range(10000000) a, range(10000000) b WHERE a.range + b.range = -1"
FAILURES = (flight.FlightError, pa.ArrowException)

# Hears no interrupt before it is done, which takes minutes.
DEAF = "SELECT levenshtein(repeat('a', 700000), repeat('b', 700000) || range::VARCHAR) FROM range(1)"


@dataclass
class Running:
    """A statement on a thread of its own."""

    user: FlightUser
    sql: str
    errors: list[Exception] = field(default_factory=list)
    ended: float = 0

    def __post_init__(self) -> None:
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self) -> None:
        try:
            self.user.query(self.sql)
        except FAILURES as error:
            self.errors.append(error)
        self.ended = time.monotonic()

    def error(self, seconds: float) -> Exception:
        self.thread.join(seconds)
        assert not self.thread.is_alive(), f"the call still runs after {seconds} s"
        assert self.errors, "the call ended without an error"
        return self.errors[0]


def run_out_of_memory(worker: str) -> None:
    """The kernel's verdict, whatever the worker does to avoid it: others in its container take what is left, and it is
    the largest."""
    command("docker", "exec", worker, "sh", "-c",
            "for i in 1 2 3 4 5 6 7 8; do (head -c 60m /dev/zero | tail -c 60m | sleep 10) & done; wait", check=False)


DEATHS = {
    "kill": (lambda worker: docker("kill", worker), "killed from outside"),
    "remove": (lambda worker: docker("rm", "-f", worker), "worker"),
    "memory": (run_out_of_memory, "ran out of memory"),
}


@pytest.mark.parametrize("how", DEATHS)
def test_a_death_is_told_within_a_second(start_proxy, engine, sub, how):
    die, word = DEATHS[how]
    network = engine.network("deaths")
    proxy = start_proxy(network, base_config(engine, network))
    user = proxy.user(sub)
    user.query("CREATE TABLE ballast AS SELECT hash(range) AS h FROM range(8000000)")
    worker = proxy.worker_of(sub)
    running = Running(user, ENDLESS)
    eventually(lambda: not idle(worker), "the statement runs", 20)
    die(worker)
    # The engine's commands return when the container has ended.
    told = time.monotonic()
    error = str(running.error(20))
    assert running.ended - told < 1.0, f"told after {running.ended - told:.2f} s"
    assert word in error, error
    assert "again" in error or "next statement" in error, f"says what to do: {error}"
    assert user.value("SELECT 42") == 42, "the next call works at the first attempt"
    assert proxy.worker_of(sub) != worker


def test_a_worker_that_is_asked_to_end_says_so(product, sub):
    user = product.user(sub)
    user.value("SELECT 42")
    worker = product.worker_of(sub)
    running = Running(user, ENDLESS)
    eventually(lambda: not idle(worker), "the statement runs", 20)
    docker("kill", "--signal", "TERM", worker)
    error = str(running.error(15))
    assert "again" in error or "next" in error, error
    eventually(lambda: product.user(sub).value("SELECT 42") == 42, "a fresh worker answers", 15)


@pytest.mark.parametrize("transport", ["unix", "tcp"])
def test_a_worker_that_hangs_is_replaced(start_proxy, engine, sub, transport):
    network = engine.network("hangs")
    options = ("--tmpfs", "/run/pondpilot") if transport == "tcp" else ()
    proxy = start_proxy(network, base_config(engine, network), options=options)
    user = proxy.user(sub, timeout=90)
    user.value("SELECT 42")
    worker = proxy.worker_of(sub)
    running = Running(user, ENDLESS)
    eventually(lambda: not idle(worker), "the statement runs", 20)
    docker("pause", worker)
    started = time.monotonic()
    # Another user has nothing to do with it.
    assert proxy.user(f"{sub}-other").value("SELECT 42") == 42
    error = str(running.error(60))
    print(f"{transport}: a hung worker is given up after {running.ended - started:.1f} s")
    assert running.ended - started < 20
    # Over TCP the connection's own keep-alive may come first, and does not know why.
    said = ["stopped answering"] + (["was lost", "broke before its answer was complete"] if transport == "tcp" else [])
    assert any(text in error for text in said) and "again" in error, error
    assert user.value("SELECT 42") == 42
    eventually(lambda: command("docker", "inspect", worker, check=False).returncode != 0, "the hung one is removed", 20)


def test_a_worker_that_lost_its_network_is_replaced(start_proxy, engine, sub):
    network = engine.network("cable")
    proxy = start_proxy(network, base_config(engine, network), options=("--tmpfs", "/run/pondpilot"))
    user = proxy.user(sub, timeout=90)
    user.value("SELECT 42")
    worker = proxy.worker_of(sub)
    running = Running(user, ENDLESS)
    eventually(lambda: not idle(worker), "the statement runs", 20)
    docker("network", "disconnect", network, worker)
    started = time.monotonic()

    def works() -> bool:
        try:
            return proxy.user(sub, timeout=3).value("SELECT 42") == 42
        except FAILURES:
            return False

    eventually(works, "a later call gets a fresh worker", 45, every=0.5)
    print(f"a fresh worker after {time.monotonic() - started:.1f} s")
    error = str(running.error(5))
    print(f"a worker without its network is given up after {running.ended - started:.1f} s")
    assert running.ended - started < 20
    assert "again" in error, error


def replaced(proxy: Proxy, worker: str) -> bool:
    return command("docker", "inspect", worker, check=False).returncode != 0


@pytest.mark.parametrize("how", ["deadline", "client killed"])
def test_a_statement_that_hears_no_cancel_costs_its_worker(start_proxy, engine, sub, how):
    network = engine.network("deaf")
    proxy = start_proxy(network, base_config(engine, network))
    user = proxy.user(sub, timeout=90)
    user.value("SELECT 42")
    worker = proxy.worker_of(sub)
    if how == "deadline":
        with pytest.raises(flight.FlightTimedOutError):
            proxy.user(sub, timeout=2).query(DEAF)
    else:
        script = f"from tests.support.flight import FlightUser\nFlightUser({proxy.location!r}, {proxy.token(sub)!r}).query({DEAF!r})"
        client = subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            eventually(lambda: not idle(worker), "the statement keeps the worker busy", 20)
        finally:
            client.kill()
            client.wait(10)
    given_up = time.monotonic()
    # The user's other connections work until then, and after.
    assert proxy.user(sub).value("SELECT 42") == 42
    eventually(lambda: replaced(proxy, worker), "the worker is replaced", 30, every=0.2)
    print(f"replaced {time.monotonic() - given_up:.1f} s after the {how}")
    assert proxy.user(sub).value("SELECT 42") == 42
    assert any(line["reason"] == "unhealthy" for line in proxy.log_lines("Container stopped"))


def test_a_proxy_stops_in_time_although_a_worker_hears_nothing(start_proxy, engine, sub):
    network = engine.network("deaf")
    proxy = start_proxy(network, base_config(engine, network))
    user = proxy.user(sub)
    user.value("SELECT 42")
    worker = proxy.worker_of(sub)
    running = Running(user, DEAF)
    eventually(lambda: not idle(worker), "the statement runs", 20)
    started = time.monotonic()
    assert proxy.stop() == 0
    assert time.monotonic() - started < 25
    running.error(10)
    assert command("docker", "inspect", worker, check=False).returncode != 0


def test_starts_that_fail_back_off(start_proxy, engine: Engine, sub):
    """An image whose program ends at once, as after a wrong update: every call is answered, but few start anything."""
    network = engine.network("loop")
    broken = f"pptest-{engine.run_id}-broken"
    container = engine.start("broken", engine.worker_image, options=("--entrypoint", "/bin/true"))
    docker("wait", container, seconds=30)
    docker("commit", "--change", 'ENTRYPOINT ["/bin/false"]', container, broken)
    try:
        proxy = start_proxy(network, base_config(engine, network, image=broken))
        user = proxy.user(sub)
        until = time.monotonic() + 8
        calls = 0
        while time.monotonic() < until:
            error = str(user.refusal("SELECT 42"))
            assert "could not be started" in error and "Try again in" in error, error
            calls += 1
            time.sleep(0.05)
        failed = len(proxy.log_lines("Container spawn failed"))
        # One at once, then after 1, 2 and 4 seconds.
        assert 2 <= failed <= 5, (failed, calls)
        assert calls > 3 * failed
        assert docker("ps", "-aq", "--filter", "label=pondpilot.managed", "--filter", f"network={network}") == ""
    finally:
        command("docker", "rmi", "-f", broken, check=False)

"""Workers come, go and die; the proxy is restarted and stopped."""

import threading
import time

import pyarrow as pa
import pytest
from pyarrow import flight

from tests.support.control import BareWorker
from tests.support.engine import command, docker, inspect, workers_on
from tests.support.proxy import base_config, idle
from tests.support.waiting import eventually

ENDLESS = "SELECT COUNT(*) FROM range(10000000) a, range(10000000) b WHERE a.range + b.range = -1"


def gone(container: str) -> bool:
    return command("docker", "inspect", container, check=False).returncode != 0


def test_a_killed_worker_is_a_clear_error_and_the_next_call_works(product, sub):
    user = product.user(sub)
    user.value("SELECT 42")
    first = product.worker_of(sub)
    errors: list[Exception] = []

    def run() -> None:
        try:
            user.query(ENDLESS)
        except (flight.FlightError, pa.ArrowException) as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    eventually(lambda: not idle(first), "the statement runs", 20)
    docker("kill", first)
    thread.join(30)
    assert not thread.is_alive() and errors, "the interrupted call ends with an error"
    assert "worker" in str(errors[0]).lower(), errors
    assert product.user(sub).value("SELECT 42") == 42
    assert product.worker_of(sub) != first
    eventually(lambda: gone(first), "the dead worker is removed", 20)


def test_an_idle_worker_killed_unnoticed(product, sub):
    user = product.user(sub)
    user.value("SELECT 42")
    docker("kill", product.worker_of(sub))

    def works() -> bool:
        try:
            return user.value("SELECT 42") == 42
        except flight.FlightError:
            return False

    eventually(works, "a later call gets a fresh worker", 30, every=0.2)


def test_a_worker_that_runs_out_of_memory_is_named(start_proxy, engine, own_network, sub):
    proxy = start_proxy(own_network, base_config(engine, own_network, memory_limit="512m"))
    user = proxy.user(sub)
    for statement in ("SELECT len(repeat('abc', 1000000000))", "SELECT list_sort(range(300000000))[1]",
                      "SELECT sum(len(repeat('x' || range, 1000000))) FROM range(5000)"):
        try:
            user.query(statement)
        except (flight.FlightError, pa.ArrowException) as error:
            assert "memory" in str(error).lower(), error
        assert proxy.user(sub).value("SELECT 42") == 42
    assert proxy.counts()["total_spawned"] == 1, "DuckDB reports out of memory before the kernel kills"


def test_an_idle_worker_stops_and_comes_back(start_proxy, engine, own_network, sub):
    proxy = start_proxy(own_network, base_config(engine, own_network, idle_timeout="2s"))
    user = proxy.user(sub)
    user.query("CREATE TABLE mine AS SELECT 1 AS a")
    worker = proxy.worker_of(sub)
    volumes = [mount["Name"] for mount in inspect(worker)["Mounts"] if mount["Type"] == "volume"]
    eventually(lambda: gone(worker), "the idle worker is gone", 30)
    for volume in volumes:
        assert command("docker", "volume", "inspect", volume, check=False).returncode != 0, "its spill volume went with it"
    stopped = proxy.log_lines("Container stopped")
    assert [(line["user_id"], line["reason"]) for line in stopped] == [(sub, "idle_timeout")]
    assert user.value("SELECT 42") == 42
    assert "mine" in str(user.refusal("SELECT * FROM mine"))
    counts = proxy.counts()
    assert (counts["active"], counts["total_spawned"], counts["total_stopped"]) == (1, 2, 1)


def test_a_running_statement_and_an_open_stream_are_work(start_proxy, engine, own_network, sub):
    proxy = start_proxy(own_network, base_config(engine, own_network, idle_timeout="1s"))
    user = proxy.user(sub)
    reader = user.stream("SELECT a.range, b.range FROM range(10000) a, range(10000) b")
    reader.read_chunk()
    worker = proxy.worker_of(sub)
    # Nothing is read for four times the idle timeout.
    until = time.monotonic() + 4
    eventually(lambda: time.monotonic() > until or gone(worker), "four seconds passed", 10)
    assert not gone(worker)
    rows = sum(chunk.data.num_rows for chunk in reader)
    assert rows > 90_000_000
    eventually(lambda: gone(worker), "now it is idle", 30)


def test_a_temporary_table_keeps_its_worker(start_proxy, engine, own_network, sub):
    proxy = start_proxy(own_network, base_config(engine, own_network, idle_timeout="1s", session_timeout="1h"))
    keeps = proxy.user(f"{sub}-keeps")
    keeps.query("CREATE TEMP TABLE mine AS SELECT 1 AS a")
    proxy.user(f"{sub}-not").value("SELECT 42")
    eventually(lambda: gone(proxy.worker_of(f"{sub}-not")), "the other one is idle", 30)
    until = time.monotonic() + 3
    eventually(lambda: time.monotonic() > until or gone(proxy.worker_of(f"{sub}-keeps")), "three seconds more", 10)
    assert keeps.value("SELECT a FROM mine") == 1
    keeps.query("DROP TABLE mine")


def test_the_cap_on_workers(start_proxy, engine, own_network, sub):
    proxy = start_proxy(own_network, base_config(engine, own_network, max_per_host=1, queue_timeout="1s"))
    reader = proxy.user(f"{sub}-a").stream("SELECT a.range, b.range FROM range(1000000) a, range(1000000) b")
    reader.read_chunk()
    error = proxy.user(f"{sub}-b").refusal("SELECT 1")
    assert any(word in str(error).lower() for word in ("busy", "limit", "capacity", "many")), error
    assert "again" in str(error).lower() or "retry" in str(error).lower(), error
    assert len(workers_on(own_network)) == 1
    reader.cancel()

    def gets_one() -> bool:
        try:
            return proxy.user(f"{sub}-b").value("SELECT 42") == 42
        except (flight.FlightError, pa.ArrowException):
            return False

    eventually(gets_one, "the idle worker makes room", 30, every=0.3)
    assert len(workers_on(own_network)) == 1


def test_the_calls_of_one_user_are_bounded(start_proxy, engine, own_network, sub):
    proxy = start_proxy(own_network, base_config(engine, own_network, max_calls_per_user=3))
    user = proxy.user(sub)
    readers = [user.stream("SELECT a.range, b.range FROM range(1000000) a, range(1000000) b") for _ in range(3)]
    for reader in readers:
        reader.read_chunk()
    error = user.refusal("SELECT 1")
    assert "calls open at the same time" in str(error), error
    assert proxy.user(f"{sub}-other").value("SELECT 42") == 42
    readers[0].cancel()

    def answers() -> bool:
        try:
            return user.value("SELECT 42") == 42
        except (flight.FlightError, pa.ArrowException):
            return False

    eventually(answers, "the cancelled call is over", 10)
    for reader in readers[1:]:
        reader.cancel()


@pytest.mark.parametrize("how", ["orderly", "killed"])
def test_a_restart_leaves_no_orphans(start_proxy, engine, own_network, sub, how):
    proxy = start_proxy(own_network, base_config(engine, own_network), environment={"PONDPILOT_INSTANCE": f"r{engine.run_id}"})
    for number in range(2):
        assert proxy.user(f"{sub}-{number}").value("SELECT 42") == 42
    before = workers_on(own_network)
    assert len(before) == 2
    if how == "orderly":
        assert proxy.stop() == 0
        assert workers_on(own_network, running_only=False) == [], "an orderly stop takes the workers along"
    else:
        proxy.kill()
    proxy.start()
    assert proxy.user(f"{sub}-0").value("SELECT 42") == 42
    eventually(lambda: len(workers_on(own_network, running_only=False)) <= 2, "no more workers than before", 30)
    known = proxy.counts()["active"]
    assert len(workers_on(own_network)) == known, "each worker is one that the proxy knows"


def test_another_instances_workers_are_left_alone(start_proxy, engine, own_network, sub):
    one = start_proxy(own_network, base_config(engine, own_network), environment={"PONDPILOT_INSTANCE": f"one-{engine.run_id}"})
    one.user(sub).query("CREATE TABLE mine AS SELECT 1 AS a")
    two = start_proxy(own_network, base_config(engine, own_network), environment={"PONDPILOT_INSTANCE": f"two-{engine.run_id}"})
    two.user(sub).value("SELECT 42")
    assert two.stop() == 0
    assert one.user(sub).value("SELECT a FROM mine") == 1


def test_a_worker_whose_proxy_is_gone_ends_itself(engine, own_network):
    worker = BareWorker(engine, own_network, lease_seconds=2)
    eventually(lambda: inspect(worker.container)["State"]["Status"] == "exited", "its lease has passed", 20)


def test_sigterm_drains(start_proxy, engine, own_network, sub):
    proxy = start_proxy(own_network, base_config(engine, own_network))
    user = proxy.user(sub)
    user.value("SELECT 42")
    reader = user.stream("SELECT range AS i, repeat('x', 100) AS s FROM range(3000000)")
    first = reader.read_chunk().data.num_rows
    docker("kill", "--signal", "TERM", proxy.container)

    def draining() -> bool:
        try:
            return proxy.get("/ready", timeout=2).status_code == 503
        except Exception:  # noqa: BLE001 - closing already is fine as well
            return True

    eventually(draining, "GET /ready says 503", 5)
    rest = sum(chunk.data.num_rows for chunk in reader)
    assert first + rest == 3_000_000, "the stream that was open is finished"
    assert proxy.wait_exit(40) == 0
    assert workers_on(own_network, running_only=False) == []


def test_sigterm_ends_even_with_a_client_that_never_reads(start_proxy, engine, own_network, sub):
    proxy = start_proxy(own_network, base_config(engine, own_network))
    reader = proxy.user(sub).stream("SELECT a.range, b.range FROM range(1000000) a, range(1000000) b")
    reader.read_chunk()
    started = time.monotonic()
    docker("kill", "--signal", "TERM", proxy.container)
    assert proxy.wait_exit(40) == 0
    assert time.monotonic() - started < 30
    assert workers_on(own_network, running_only=False) == []

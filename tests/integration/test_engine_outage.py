"""The Docker engine goes away under a running proxy: what needs no engine goes on, what does is refused with a reason, and
nothing is lost or left over when the engine is back."""

import time

import pytest
from pyarrow import flight

from tests.support.engine import SOCKET, docker, workers_on
from tests.support.forwarder import Forwarder
from tests.support.proxy import base_config
from tests.support.waiting import eventually

OUTAGE_SECONDS = 30


@pytest.fixture
def engine_socket(engine):
    path = engine.new_folder("socket") / "docker.sock"
    with Forwarder.to_socket(path, SOCKET) as forwarder:
        yield path, forwarder


def test_a_socket_that_is_gone_for_half_a_minute(engine_socket, start_proxy, engine, own_network, sub, instance):
    path, daemon = engine_socket
    proxy = start_proxy(own_network, base_config(engine, own_network), socket=False,
                        environment={**instance, "DOCKER_SOCKET": "/run/engine/docker.sock"},
                        options=("-v", f"{path.parent}:/run/engine"))
    alice, bob = proxy.user(f"{sub}-alice"), proxy.user(f"{sub}-bob")
    alice.query("CREATE TEMP TABLE mine AS SELECT 42 AS a")
    before = workers_on(own_network)

    daemon.stop()
    until = time.monotonic() + OUTAGE_SECONDS
    eventually(lambda: proxy.get("/ready").status_code == 503, "the proxy says that it can't start workers", 15)
    assert "engine" in proxy.get("/ready").text.lower()
    refusals = 0
    while time.monotonic() < until:
        asked = time.monotonic()
        assert alice.value("SELECT a FROM mine") == 42, "a worker that is there needs no engine"
        error = bob.refusal("SELECT 1")
        assert "unavailable" in str(error).lower() and "again" in str(error).lower(), error
        assert time.monotonic() - asked < 10, "a refusal does not take long"
        refusals += 1
    assert refusals > 1

    daemon.start()
    eventually(lambda: proxy.get("/ready").status_code == 200, "the proxy has noticed", 30)

    def bob_is_served() -> bool:
        try:
            return bob.value("SELECT 1") == 1
        except flight.FlightUnavailableError:  # launches rest for up to half a minute after so many failures
            return False

    eventually(bob_is_served, "bob gets a worker", 35)
    assert alice.value("SELECT a FROM mine") == 42
    assert len(workers_on(own_network)) == 2 and set(before) < set(workers_on(own_network))
    assert len(proxy.log_lines("Container spawned")) == 2


def test_an_engine_that_was_restarted(start_proxy, engine, own_network, sub, instance):
    """The engine ends all its containers with it, the proxy's too, and starts that again: here in the worst order."""
    proxy = start_proxy(own_network, base_config(engine, own_network, warm=1), environment=instance)
    users = [f"{sub}-{number}" for number in range(2)]
    for user in users:
        assert proxy.user(user).value("SELECT 42") == 42
    before = workers_on(own_network)
    proxy.kill()
    docker("kill", *before)
    proxy.start()
    for user in users:
        assert proxy.user(user).value("SELECT 42") == 42
    eventually(lambda: not set(before) & set(workers_on(own_network, running_only=False)), "the old ones are removed", 30)
    eventually(lambda: proxy.counts()["warm"] == 1, "a warm worker is made again", 30)

"""Workers that start at once, never mix users and survive the proxy."""

import concurrent.futures
import time

from tests.support.engine import docker, inspect, workers_on
from tests.support.proxy import base_config
from tests.support.waiting import eventually

LABEL = "pondpilot.user-digest"


def warm(proxy, count: int):
    eventually(lambda: proxy.counts()["warm"] == count, f"{count} warm workers", 30)


def test_a_warm_worker_becomes_a_users_for_good(start_proxy, engine, own_network, sub):
    proxy = start_proxy(own_network, base_config(engine, own_network, warm=1))
    warm(proxy, 1)
    ready = workers_on(own_network)
    assert len(ready) == 1
    assert LABEL not in inspect(ready[0])["Config"]["Labels"], "nobody's yet"
    alice = proxy.user(f"{sub}-alice")
    alice.query("CREATE TABLE mine AS SELECT 1 AS a")
    assert inspect(proxy.worker_of(f"{sub}-alice"))["Id"] == inspect(ready[0])["Id"]
    (line,) = proxy.log_lines("Container spawned")
    assert line["source"] == "warm", line
    warm(proxy, 1)
    bob = proxy.user(f"{sub}-bob")
    assert "does not exist" in str(bob.refusal("SELECT a FROM mine"))
    assert proxy.worker_of(f"{sub}-bob") != proxy.worker_of(f"{sub}-alice")
    assert alice.value("SELECT a FROM mine") == 1


def test_a_warm_worker_that_is_killed_is_replaced(start_proxy, engine, own_network, sub):
    proxy = start_proxy(own_network, base_config(engine, own_network, warm=1))
    warm(proxy, 1)
    (first,) = workers_on(own_network)
    docker("rm", "-f", first)
    eventually(lambda: workers_on(own_network) not in ([], [first]) and proxy.counts()["warm"] == 1, "another one", 30)
    assert proxy.user(sub).value("SELECT 42") == 42


def test_a_hung_warm_worker_is_not_given_to_a_user(start_proxy, engine, own_network, sub):
    proxy = start_proxy(own_network, base_config(engine, own_network, warm=1))
    warm(proxy, 1)
    (hung,) = workers_on(own_network)
    docker("pause", hung)
    assert proxy.user(sub).value("SELECT 42") == 42
    assert inspect(proxy.worker_of(sub))["Id"] != hung
    eventually(lambda: hung not in workers_on(own_network, running_only=False), "the hung one is removed", 30)


def test_many_users_at_once(start_proxy, engine, own_network, sub):
    users = 10
    proxy = start_proxy(own_network, base_config(engine, own_network, warm=2, memory_limit="256m"))
    with concurrent.futures.ThreadPoolExecutor(users) as pool:
        answers = list(pool.map(lambda n: proxy.user(f"{sub}-{n}").value(f"SELECT {n}"), range(users)))
    assert answers == list(range(users))
    spawned = proxy.log_lines("Container spawned")
    assert len({line["container_id"] for line in spawned}) == users, spawned


def test_a_user_waits_in_line_for_a_worker_to_give_way(start_proxy, engine, own_network, sub):
    proxy = start_proxy(own_network, base_config(engine, own_network, max_per_host=1, queue_timeout="30s"))
    reader = proxy.user(f"{sub}-a").stream("SELECT a.range, b.range FROM range(1000000) a, range(1000000) b")
    reader.read_chunk()
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(lambda: proxy.user(f"{sub}-b").value("SELECT 42"))
        eventually(lambda: proxy.counts()["queued"] == 1, "b waits", 10)
        assert not waiting.done()
        reader.cancel()
        assert waiting.result(timeout=30) == 42
    assert len(workers_on(own_network)) == 1


def test_a_killed_proxy_finds_its_workers_again(start_proxy, engine, own_network, sub, instance):
    proxy = start_proxy(own_network, base_config(engine, own_network), environment=instance)
    for number in range(3):
        proxy.user(f"{sub}-{number}").query(f"CREATE TABLE mine AS SELECT {number} AS a")
    before = sorted(workers_on(own_network))
    proxy.kill()
    assert sorted(workers_on(own_network)) == before, "workers outlive a killed proxy"
    proxy.start()
    assert proxy.counts()["active"] == 3
    for number in range(3):
        assert proxy.user(f"{sub}-{number}").value("SELECT a FROM mine") == number
    assert sorted(workers_on(own_network)) == before
    assert len(proxy.log_lines("Container adopted")) == 3


def test_a_statement_that_outlives_the_proxy_is_ended(start_proxy, engine, own_network, sub, instance):
    proxy = start_proxy(own_network, base_config(engine, own_network, idle_timeout="1s"), environment=instance)
    user = proxy.user(sub)
    user.value("SELECT 42")
    reader = user.stream("SELECT a.range, b.range FROM range(1000000) a, range(1000000) b")
    reader.read_chunk()
    proxy.kill()
    proxy.start()
    eventually(lambda: workers_on(own_network) == [], "nothing runs in it any more: it falls idle", 30)


def test_workers_of_another_configuration_are_not_taken_over(start_proxy, engine, own_network, sub, instance):
    one = start_proxy(own_network, base_config(engine, own_network, warm=1), environment=instance)
    one.user(sub).query("CREATE TABLE mine AS SELECT 1 AS a")
    warm(one, 1)
    before = set(workers_on(own_network))
    assert len(before) == 2
    one.kill()
    other = start_proxy(own_network, base_config(engine, own_network, memory_limit="300m"), environment=instance)
    assert "does not exist" in str(other.user(sub).refusal("SELECT a FROM mine"))
    eventually(lambda: not before & set(workers_on(own_network, running_only=False)), "they are removed", 30)


def test_a_worker_cannot_pass_for_another_users(start_proxy, engine, own_network, sub, instance):
    """A proxy with another secret can't tell whose workers these are, nor talk to them: it removes them."""
    one = start_proxy(own_network, base_config(engine, own_network), environment=instance)
    one.user(sub).query("CREATE TABLE mine AS SELECT 1 AS a")
    (worker,) = workers_on(own_network)
    one.kill()
    start_proxy(own_network, base_config(engine, own_network), environment=instance, secret="another-secret-of-32-characters-!")
    eventually(lambda: worker not in workers_on(own_network, running_only=False), "it is removed", 30)


def test_a_broken_image_is_not_launched_in_a_loop(start_proxy, engine, own_network, sub):
    """debian:forky has no worker in it: its containers can't start."""
    proxy = start_proxy(own_network, base_config(engine, own_network, image="debian:forky", warm=2))
    eventually(lambda: len(proxy.log_lines("Warm worker could not be made")) >= 3, "three launches failed", 60)
    before = time.monotonic()
    error = proxy.user(sub).refusal("SELECT 42")
    assert "could not be started" in str(error), error
    eventually(lambda: time.monotonic() - before > 3, "three seconds", 10)
    assert len(proxy.log_lines("Warm worker could not be made")) < 8
    eventually(lambda: workers_on(own_network, running_only=False) == [], "nothing is left", 20)

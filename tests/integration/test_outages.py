"""Databases come and go while users work: restarts, crashes, hosts that fall silent."""

import time
from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa
import pytest
from pyarrow import flight

from tests.conftest import starter
from tests.support.databases import PASSWORD, Database, MariaDb, Postgres, start_mariadb, start_postgres
from tests.support.engine import Engine
from tests.support.flight import FlightUser
from tests.support.proxy import Proxy, base_config
from tests.support.waiting import eventually

FAILURES = (flight.FlightError, pa.ArrowException)

# What docs/operations.md promises, in seconds.
ATTACHED_LATE = 15
SILENCE_NOTICED = 15


@dataclass
class Site:
    """A proxy whose two databases may be broken, which is why the other tests have others."""

    proxy: Proxy
    pg: Postgres
    my: MariaDb

    def database(self, alias: str) -> Database:
        return {"pg": self.pg, "my": self.my}[alias]


TABLES = {"pg": "pg.public.t", "my": "my.t"}
BIG = {"pg": "pg.public.big", "my": "my.big"}
OTHER = {"pg": "my", "my": "pg"}


@pytest.fixture(scope="module")
def site(engine: Engine) -> Iterator[Site]:
    network = engine.network("outages", lasting=True)
    pg = start_postgres(engine, network, durable=True)
    my = start_mariadb(engine, network, durable=True)
    pg.run("CREATE TABLE t AS SELECT 7 AS a;"
           "CREATE TABLE big AS SELECT i AS id, repeat('x', 200) AS s FROM generate_series(1, 400000) i")
    my.run("CREATE TABLE t AS SELECT 7 AS a; CREATE TABLE big AS SELECT seq AS id, REPEAT('x', 200) AS s FROM seq_1_to_400000")
    started: list[Proxy] = []
    proxy = starter(engine, started)(network, base_config(engine, network, [
        {"alias": "pg", "type": "postgres", "connection_string": pg.url},
        {"alias": "my", "type": "mysql", "connection_string": my.url}], idle_timeout="60s"))
    try:
        yield Site(proxy, pg, my)
    finally:
        print(f"\nThe proxy's last log lines:\n{proxy.logs()[-3000:]}")
        proxy.remove()
        pg.remove()
        my.remove()


@pytest.fixture
def broken(site: Site) -> Iterator[list[Database]]:
    """What a test breaks it puts here; it works again afterwards."""
    touched: list[Database] = []
    yield touched
    for database in touched:
        if not database.answers():
            database.start()


def answers(user: FlightUser, alias: str) -> bool:
    try:
        return user.value(f"SELECT a FROM {TABLES[alias]}") == 7
    except FAILURES:
        return False


def with_session(site: Site, sub: str, **how) -> FlightUser:
    user = site.proxy.user(sub, **how)
    user.query("CREATE TEMP TABLE mine AS SELECT 5 AS a")
    return user


def session_is_alive(user: FlightUser) -> bool:
    return user.value("SELECT a FROM mine") == 5


def tells_no_secret(error: Exception) -> None:
    text = str(error)
    assert PASSWORD not in text and "reader" not in text and "user=" not in text, text


def seconds_of(call) -> float:
    started = time.monotonic()
    call()
    return time.monotonic() - started


def test_a_database_that_was_down_comes_back_into_open_sessions(site, broken, sub):
    for database in (site.pg, site.my):
        broken.append(database)
        database.stop()
    user = with_session(site, sub)
    for alias in ("pg", "my"):
        message = str(user.refusal(f"SELECT * FROM {TABLES[alias]}"))
        assert f'"{alias}" is not available' in message, message
    user.query("BEGIN")
    user.query("INSERT INTO mine VALUES (6)")
    site.pg.start()
    site.my.start()
    other = site.proxy.user(sub)
    eventually(lambda: answers(other, "pg") and answers(other, "my"), "both are attached", ATTACHED_LATE, every=0.3)
    # In the transaction that was open all the time, too.
    assert user.value("SELECT count(*) FROM mine") == 2
    assert user.value("SELECT (SELECT a FROM pg.public.t) + (SELECT a FROM my.t)") == 14
    user.query("COMMIT")
    assert user.value("SELECT sum(a) FROM mine") == 11


@pytest.mark.parametrize("alias", ["pg", "my"])
def test_a_restart_is_survived_by_the_session(site, broken, sub, alias):
    database = site.database(alias)
    broken.append(database)
    user = with_session(site, sub)
    for _ in range(2):
        assert answers(user, alias)
        database.stop()
        error = user.refusal(f"SELECT * FROM {TABLES[alias]}")
        tells_no_secret(error)
        assert answers(user, OTHER[alias]), "the other database is none the wiser"
        database.start()
        assert user.value(f"SELECT a FROM {TABLES[alias]}") == 7, "the first statement after it is back works"
        assert session_is_alive(user)


@pytest.mark.parametrize("alias", ["pg", "my"])
def test_a_restart_that_nobody_noticed(site, broken, sub, alias):
    """The pooled connection is dead, and the statement after the restart is the first to find out."""
    database = site.database(alias)
    broken.append(database)
    user = with_session(site, sub)
    assert answers(user, alias)
    database.crash()
    database.start()
    assert user.value(f"SELECT a FROM {TABLES[alias]}") == 7
    assert session_is_alive(user)


@pytest.mark.parametrize("alias", ["pg", "my"])
def test_a_restart_inside_a_transaction(site, broken, sub, alias):
    database = site.database(alias)
    broken.append(database)
    user = with_session(site, sub)
    user.query("BEGIN")
    assert answers(user, alias)
    database.crash()
    database.start()
    tells_no_secret(user.refusal(f"SELECT sum(id) FROM {BIG[alias]}"))
    try:
        user.query("ROLLBACK")
    except FAILURES as error:
        tells_no_secret(error)
    assert session_is_alive(user)
    assert answers(user, alias)


@pytest.mark.parametrize("alias", ["pg", "my"])
def test_a_database_that_dies_during_a_scan(site, broken, sub, alias):
    database = site.database(alias)
    broken.append(database)
    user = with_session(site, sub)
    reader = user.stream(f"SELECT a.id, a.s FROM {BIG[alias]} a, range(20)")
    reader.read_chunk()
    database.crash()
    started = time.monotonic()
    with pytest.raises(FAILURES) as failed:
        for _ in reader:
            pass
    assert time.monotonic() - started < SILENCE_NOTICED
    tells_no_secret(failed.value)
    assert answers(user, OTHER[alias])
    assert session_is_alive(user)
    database.start()
    assert answers(user, alias)


@pytest.mark.parametrize("alias", ["pg", "my"])
def test_a_host_that_falls_silent_costs_a_bounded_time(site, broken, sub, alias):
    database = site.database(alias)
    user = with_session(site, sub, timeout=120)
    other = site.proxy.user(f"{sub}-other")
    assert answers(user, alias) and answers(other, OTHER[alias])
    reader = user.stream(f"SELECT a.id, a.s FROM {BIG[alias]} a, range(20)")
    reader.read_chunk()
    database.fall_silent()
    try:
        failed: list[Exception] = []
        started = time.monotonic()
        try:
            for _ in reader:
                pass
        except FAILURES as error:
            failed.append(error)
        during_scan = time.monotonic() - started
        assert failed, "the scan can't have been finished"
        tells_no_secret(failed[0])
        started = time.monotonic()
        error = user.refusal(f"SELECT a FROM {TABLES[alias]}")
        new_statement = time.monotonic() - started
        tells_no_secret(error)
        others = seconds_of(lambda: other.value(f"SELECT a FROM {TABLES[OTHER[alias]]}"))
        same_user = seconds_of(lambda: user.value(f"SELECT a FROM {TABLES[OTHER[alias]]}"))
        new_worker = seconds_of(lambda: site.proxy.user(f"{sub}-new").value("SELECT 42"))
        print(f"{alias} silent: {during_scan:.1f} s in a scan, {new_statement:.1f} s for a new statement, "
              f"{others:.2f} s for another user, {same_user:.2f} s for another database, {new_worker:.1f} s for a new worker")
        assert during_scan < SILENCE_NOTICED
        assert new_statement < SILENCE_NOTICED
        assert others < 2 and same_user < 2
        assert new_worker < SILENCE_NOTICED
    finally:
        database.speak_again()
    assert session_is_alive(user)
    assert answers(user, alias)


@pytest.mark.parametrize("alias", ["pg", "my"])
def test_a_server_that_hangs_costs_what_the_caller_gives_it(site, broken, sub, alias):
    """Its kernel goes on answering, so that nothing tells it from one that computes: the deadline does."""
    database = site.database(alias)
    user = with_session(site, sub)
    hasty = FlightUser(site.proxy.location, site.proxy.token(sub), timeout=4)
    assert answers(user, alias) and answers(hasty, alias)
    database.pause()
    try:
        started = time.monotonic()
        with pytest.raises(FAILURES):
            hasty.query(f"SELECT sum(id) FROM {BIG[alias]}")
        assert time.monotonic() - started < 6
        assert seconds_of(lambda: user.value(f"SELECT a FROM {TABLES[OTHER[alias]]}")) < 2
        assert session_is_alive(user)
        assert site.proxy.user(f"{sub}-new").value("SELECT 42") == 42
        # The statement that was given up is over, not only its call.
        eventually(lambda: hasty.value("SELECT 42") == 42, "the connection is free again", 4)
    finally:
        database.unpause()
    eventually(lambda: answers(user, alias), "it answers again", 20, every=0.3)
    assert session_is_alive(user)


def test_silent_databases_do_not_hold_up_those_that_come_back(site, broken, sub):
    """A worker that started without both databases tries both again; one that is silent must not make the other late."""
    broken.append(site.pg)
    site.pg.stop()
    site.my.fall_silent()
    try:
        user = with_session(site, sub)
        site.pg.start()
        slowest = 0.0
        deadline = time.monotonic() + ATTACHED_LATE
        while not answers(user, "pg"):
            assert time.monotonic() < deadline, "PostgreSQL is attached"
            slowest = max(slowest, seconds_of(lambda: user.value("SELECT a FROM mine")))
        print(f"slowest other statement while databases are tried again: {slowest:.2f} s")
        assert slowest < 2
    finally:
        site.my.speak_again()
    eventually(lambda: answers(user, "my"), "MariaDB is attached", ATTACHED_LATE, every=0.3)
    assert session_is_alive(user)

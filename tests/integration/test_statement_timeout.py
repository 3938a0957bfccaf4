"""duckdb.statement_timeout: the most that the operator lets a statement take, whatever it is doing."""

import time
from collections.abc import Iterator

import pytest
from pyarrow import flight

from tests.conftest import starter
from tests.support.databases import start_mariadb, start_postgres
from tests.support.engine import Engine
from tests.support.proxy import Proxy, base_config, idle
from tests.support.waiting import eventually

LIMIT = 2
# Beyond the limit, on a machine that does other things as well.
LATE = 3
ENDLESS = "SELECT count(*) FROM range(10000000) a, range(10000000) b WHERE a.range + b.range = -1"
STREAM = "SELECT a.range, repeat('x', 500) FROM range(1000000) a, range(1000000) b"
SLOW = {"pg": "SELECT * FROM pg.public.slow", "my": "SELECT * FROM my.slow"}


@pytest.fixture(scope="module")
def limited(engine: Engine) -> Iterator[Proxy]:
    network = engine.network("limited", lasting=True)
    pg = start_postgres(engine, network)
    my = start_mariadb(engine, network)
    pg.run("CREATE VIEW slow AS SELECT 1 AS a, pg_sleep(60)::text AS b")
    my.run("CREATE VIEW slow AS SELECT 1 AS a, SLEEP(60) AS b")
    config = base_config(engine, network, [{"alias": "pg", "type": "postgres", "connection_string": pg.url},
                                           {"alias": "my", "type": "mysql", "connection_string": my.url}], idle_timeout="60s")
    config["duckdb"]["statement_timeout"] = f"{LIMIT}s"
    started: list[Proxy] = []
    yield starter(engine, started)(network, config)
    for proxy in started:
        proxy.remove()
    pg.remove()
    my.remove()


def stopped(what) -> float:
    """Runs it to its end, which must be the operator's limit; after how many seconds."""
    started = time.monotonic()
    with pytest.raises(flight.FlightTimedOutError, match=f"longer than {LIMIT} s.*statement_timeout"):
        what()
    return time.monotonic() - started


@pytest.mark.parametrize("sql", [ENDLESS, f"CREATE TABLE big AS {STREAM}", SLOW["pg"], SLOW["my"]],
                         ids=["query", "write", "postgres", "mysql"])
def test_a_statement_that_takes_too_long_is_stopped(limited, sub, sql):
    user = limited.user(sub)
    assert user.value("SELECT 42") == 42
    took = stopped(lambda: user.query(sql))
    assert LIMIT <= took < LIMIT + LATE
    worker = limited.worker_of(sub)
    assert user.value("SELECT 42") == 42
    eventually(lambda: idle(worker), "nothing of it runs on", 5)
    assert limited.worker_of(sub) == worker, "the worker is the same"


def test_a_result_that_is_still_being_read_is_stopped(limited, sub):
    user = limited.user(sub)
    assert user.value("SELECT 42") == 42
    rows = 0

    def read() -> None:
        nonlocal rows
        for chunk in user.stream(STREAM):
            rows += chunk.data.num_rows

    stopped(read)
    assert rows > 0
    eventually(lambda: idle(limited.worker_of(sub)), "nothing of it runs on", 5)


def test_the_callers_own_deadline_counts_when_it_is_sooner(limited, sub):
    assert limited.user(sub).value("SELECT 42") == 42
    started = time.monotonic()
    with pytest.raises(flight.FlightTimedOutError) as error:
        limited.user(sub, timeout=0.7).query(ENDLESS)
    assert time.monotonic() - started < LIMIT
    assert "statement_timeout" not in str(error.value)


def test_what_is_polled_for_is_stopped(limited, sub):
    # pyarrow has no PollFlightInfo; the ADBC driver polls where it executes incrementally.
    dbapi = pytest.importorskip("adbc_driver_flightsql.dbapi", reason="adbc-driver-flightsql could not be installed from PyPI")
    options = {"adbc.flight.sql.authorization_header": f"Bearer {limited.token(sub)}"}
    with dbapi.connect(limited.location.replace("grpc://", "grpc+tcp://"), db_kwargs=options, autocommit=True) as connection, \
            connection.cursor() as cursor:
        cursor.adbc_statement.set_options(**{"adbc.statement.exec.incremental": "true"})
        with pytest.raises(dbapi.Error, match="statement_timeout"):
            cursor.adbc_execute_partitions(ENDLESS)
    # One that started it, and others until it was stopped.
    assert limited.metrics()['pondpilot_flight_calls_total{method="PollFlightInfo",result="ok"}'] >= 2
    eventually(lambda: idle(limited.worker_of(sub)), "nothing of it runs on", 5)


def test_what_is_left_to_read_later_is_stopped(limited, sub):
    dbapi = pytest.importorskip("adbc_driver_flightsql.dbapi", reason="adbc-driver-flightsql could not be installed from PyPI")
    options = {"adbc.flight.sql.authorization_header": f"Bearer {limited.token(sub)}"}
    with dbapi.connect(limited.location.replace("grpc://", "grpc+tcp://"), db_kwargs=options, autocommit=True) as connection, \
            connection.cursor() as cursor:
        partitions, _ = cursor.adbc_execute_partitions(ENDLESS)
        assert len(partitions) == 1
        with pytest.raises(dbapi.Error, match="statement_timeout"):
            cursor.adbc_read_partition(partitions[0])
            cursor.fetchall()
    eventually(lambda: idle(limited.worker_of(sub)), "nothing of it runs on", 5)


def test_statements_within_the_limit_are_not_touched(limited, sub):
    user = limited.user(sub)
    assert user.value("SELECT sum(range) FROM range(1000000)") == 499999500000
    user.query("BEGIN")
    user.query("CREATE TABLE mine AS SELECT 1 AS a")
    eventually(lambda waited=time.monotonic() + LIMIT + 0.5: time.monotonic() > waited, "longer than the limit", LIMIT + 5)
    user.query("COMMIT")
    assert user.value("SELECT a FROM mine") == 1, "a transaction is no statement"

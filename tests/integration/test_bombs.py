"""Statements that allocate more than there is end as errors; their worker, its sessions and its other streams live on."""

from collections.abc import Iterator

import pyarrow as pa
import pytest
from pyarrow import flight

from tests.support.engine import Engine
from tests.support.flight import FlightUser
from tests.support.proxy import Proxy, base_config
from tests.conftest import starter

FAILURES = (flight.FlightError, pa.ArrowException)

# Vectors' strings and lists are not counted by DuckDB's own memory_limit.
UNCOUNTED = {
    "repeat": "SELECT len(repeat('abc', 1000000000))",
    "repeat over rows": "SELECT sum(len(repeat('x' || range, 1000000))) FROM range(5000)",
    "list_sort": "SELECT list_sort(range(300000000))[1]",
    "list_transform": "SELECT len(list_transform(range(30000000), lambda x: x || 'abcdefghijklmnop'))",
    "list_reduce": "SELECT list_reduce(range(30000000), lambda a, b: a + b)",
    "list_distinct": "SELECT len(list_distinct(range(100000000)))",
    "string_split": "SELECT len(string_split(repeat('a,', 200000000), ','))",
    "lpad": "SELECT len(lpad('x', 2000000000, 'y'))",
    "range as a value": "SELECT range(300000000)",
    "list of lists": "SELECT list([range(1000000)]) FROM range(1000)",
    "regexp_extract_all": "SELECT len(regexp_extract_all(repeat('ab', 100000000), 'a'))",
    "map": "SELECT cardinality(map(range(50000000), range(50000000)))",
    "concat": "SELECT len(concat_ws(',', repeat('x', 400000000), repeat('y', 400000000), repeat('z', 400000000)))",
    "to_json": "SELECT len(to_json(range(100000000))::VARCHAR)",
    "unnest": "SELECT sum(u) FROM (SELECT unnest(range(300000000)) AS u)",
    "wide rows to the client": "SELECT repeat('x', 50000000) || range FROM range(64)",
    "one row to the client": "SELECT repeat('x', 1500000000)",
}
COUNTED = {
    "list": "SELECT len(list(range)) FROM range(200000000)",
    "string_agg": "SELECT len(string_agg('abcdefghij' || range, ',')) FROM range(100000000)",
    "quantile_cont": "SELECT quantile_cont(random(), 0.5) FROM range(200000000)",
    "a temporary table": "CREATE OR REPLACE TEMP TABLE bomb AS SELECT uuid()::VARCHAR || repeat(range::VARCHAR, 20) AS s FROM range(30000000)",
    "kept rows": "CREATE OR REPLACE TEMP TABLE bomb(s VARCHAR); INSERT INTO bomb SELECT repeat('y', 1000) || range FROM range(3000000) RETURNING s",
}
# Larger than memory, and fine: they spill.
SPILLING = {
    "sort": ("SELECT count(*) FROM (SELECT hash(range) AS h FROM range(30000000) ORDER BY h LIMIT 29000000)", 29_000_000),
    "group by": ("SELECT count(*) FROM (SELECT hash(range) AS h, count(*) FROM range(6000000) GROUP BY h)", 6_000_000),
}


@pytest.fixture(scope="module")
def small(engine: Engine) -> Iterator[Proxy]:
    """Workers of 512 MB, the least that the documentation recommends."""
    network = engine.network("bombs", lasting=True)
    started: list[Proxy] = []
    config = base_config(engine, network, memory_limit="512m", idle_timeout="10m")
    proxy = starter(engine, started)(network, config)
    yield proxy
    proxy.remove()


@pytest.fixture(scope="module")
def connection(small: Proxy) -> Iterator[FlightUser]:
    """One session for all of them: what one bomb leaves behind is there for the next."""
    with small.user("bombs", timeout=60) as user:
        yield user


@pytest.fixture
def session(connection: FlightUser) -> FlightUser:
    # There already, unless the test before has failed.
    connection.query("CREATE TEMP TABLE IF NOT EXISTS mine AS SELECT 5 AS a")
    return connection


def alive(small: Proxy, session: FlightUser) -> None:
    try:
        assert session.value("SELECT a FROM mine") == 5
    except FAILURES as error:
        raise AssertionError(f"the worker is another one: {small.log_lines('Container stopped')[-1]}") from error


@pytest.mark.timeout(120)
@pytest.mark.parametrize("name", [*UNCOUNTED, *COUNTED])
def test_a_bomb_is_an_error(small, session, name):
    sql = (UNCOUNTED | COUNTED)[name]
    try:
        session.query(sql)
    except FAILURES as error:
        # A deadline is an end as well: some take longer than memory does.
        assert "memory" in str(error).lower() or "size" in str(error).lower() or isinstance(error, flight.FlightTimedOutError), error
    alive(small, session)
    session.query("DROP TABLE IF EXISTS temp.bomb")


@pytest.mark.timeout(180)
@pytest.mark.parametrize("name", SPILLING)
def test_what_spills_is_answered(small, session, name):
    sql, expected = SPILLING[name]
    assert session.value(sql) == expected
    alive(small, session)


@pytest.mark.timeout(300)
def test_bombs_beside_a_slow_reader(small, session):
    """Its batches are in memory while others ask for more than there is."""
    rows = 3_000_000
    with small.user("bombs", timeout=240) as slow:
        reader = slow.stream(f"SELECT range AS i, repeat('x', 200) AS s FROM range({rows})")
        seen = reader.read_chunk().data.num_rows
        for name in ("repeat", "list_sort", "repeat over rows", "lpad", "range as a value", "list of lists"):
            try:
                session.query(UNCOUNTED[name])
            except FAILURES as error:
                assert "memory" in str(error).lower() or isinstance(error, flight.FlightTimedOutError), error
            seen += reader.read_chunk().data.num_rows
            alive(small, session)
        seen += sum(chunk.data.num_rows for chunk in reader)
        assert seen == rows, "the reader got every row"

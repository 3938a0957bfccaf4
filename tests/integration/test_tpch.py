"""TPC-H: tables ingested over Flight SQL, and the same in an attached PostgreSQL; the answers are DuckDB's own.

PONDPILOT_TPCH_SCALE is the scale factor, by default a small one. The whole benchmark's smallest is 1, with six million
lines: DEV_RUN_OPTIONS="-m 8g -e PONDPILOT_TPCH_SCALE=1" ./dev test integration -k tpch"""

import math
import os
from collections.abc import Iterator
from decimal import Decimal
from numbers import Number

import pyarrow as pa
import pytest

from tests.conftest import starter
from tests.support.databases import start_postgres
from tests.support.engine import Engine
from tests.support.proxy import Proxy, base_config
from tests.tpch.generator import Tpch
from tests.tpch.queries import QUERIES
from tests.tpch.reference import Reference

SCALE = float(os.environ.get("PONDPILOT_TPCH_SCALE", "0.05"))
# A worker holds all tables in memory.
MEMORY_GB = 1 if SCALE < 0.5 else 4 + int(2 * SCALE)

dbapi = pytest.importorskip("adbc_driver_flightsql.dbapi", reason="adbc-driver-flightsql could not be installed from PyPI")


@pytest.fixture(scope="module")
def tpch() -> Tpch:
    return Tpch(SCALE)


@pytest.fixture(scope="module")
def answers(engine: Engine, tpch: Tpch) -> dict[str, pa.Table]:
    return Reference(engine, tpch, MEMORY_GB).answers()


@pytest.fixture(scope="module")
def proxy(engine: Engine) -> Iterator[Proxy]:
    network = engine.network("tpch", lasting=True)
    postgres = start_postgres(engine, network, durable=SCALE >= 0.5, memory="1g")
    databases = [{"alias": "pg", "type": "postgres", "connection_string": postgres.url, "read_only": False}]
    started: list[Proxy] = []
    yield starter(engine, started)(network, base_config(engine, network, databases, memory_limit=f"{MEMORY_GB}g", cpu_limit=2,
                                                        idle_timeout="5m"))
    for one in started:
        one.remove()
    postgres.remove()


def connect(proxy: Proxy):
    options = {"adbc.flight.sql.authorization_header": f"Bearer {proxy.token('tpch')}"}
    return dbapi.connect(proxy.location.replace("grpc://", "grpc+tcp://"), db_kwargs=options, autocommit=True)


def ingest(connection, tpch: Tpch, **where) -> None:
    with connection.cursor() as cursor:
        for name in tpch.names:
            table = tpch.table(name)
            rows = cursor.adbc_ingest(name, table.to_reader(max_chunksize=50_000), mode="create", **where)
            assert rows == table.num_rows, name


@pytest.fixture(scope="module")
def ingested(proxy: Proxy, tpch: Tpch):
    with connect(proxy) as connection:
        ingest(connection, tpch)
        yield connection


@pytest.fixture(scope="module")
def attached(proxy: Proxy, tpch: Tpch):
    with connect(proxy) as connection:
        ingest(connection, tpch, catalog_name="pg", db_schema_name="public")
        with connection.cursor() as cursor:
            cursor.execute("USE pg.public")
        yield connection


def same(one, other) -> bool:
    """Equal; floating-point sums may differ in their last digits, as threads add in any order."""
    if isinstance(one, Number | Decimal) and isinstance(other, Number | Decimal):
        if isinstance(one, float) or isinstance(other, float):
            return math.isclose(one, other, rel_tol=1e-9)
    return one == other


def check(connection, name: str, expected: pa.Table) -> None:
    with connection.cursor() as cursor:
        cursor.execute(QUERIES[name])
        got = cursor.fetch_arrow_table()
    assert got.column_names == expected.column_names
    assert got.num_rows == expected.num_rows > 0
    wrong = [(row, theirs) for row, theirs in zip(got.to_pylist(), expected.to_pylist())
             if not all(same(row[column], theirs[column]) for column in expected.column_names)]
    assert not wrong, f"{len(wrong)} rows differ, first {wrong[0]}"


def test_every_query_is_there():
    assert len(QUERIES) == 22


@pytest.mark.parametrize("name", QUERIES)
def test_over_ingested_tables(name: str, ingested, answers):
    check(ingested, name, answers[name])


@pytest.mark.parametrize("name", QUERIES)
def test_over_attached_postgresql(name: str, attached, answers):
    check(attached, name, answers[name])

"""Flight SQL through the whole product, with ADBC as its users have it: parameters, transactions, loads, metadata."""

import datetime
import decimal

import pyarrow as pa
import pytest
from pyarrow import flight

from tests.support.flight import FlightUser
from tests.support.proxy import Proxy, base_config


def connect(proxy: Proxy, sub: str, **how):
    dbapi = pytest.importorskip("adbc_driver_flightsql.dbapi", reason="adbc-driver-flightsql could not be installed from PyPI")
    options = {"adbc.flight.sql.authorization_header": f"Bearer {proxy.token(sub)}"}
    return dbapi.connect(proxy.location.replace("grpc://", "grpc+tcp://"), db_kwargs=options, **how)


@pytest.fixture
def adbc(product: Proxy, sub: str):
    with connect(product, sub, autocommit=True) as connection:
        yield connection


def rows(connection, sql: str, values=None) -> list[tuple]:
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        return cursor.fetchall()


# -- Parameters


def test_parameters_are_typed(adbc):
    day = datetime.date(2024, 2, 29)
    found = rows(adbc, "SELECT typeof(?), ?, ?, ?, ? IS NULL", (7, "o'hara", day, None, None))
    assert found == [("BIGINT", "o'hara", day, None, True)]
    assert rows(adbc, "SELECT name FROM pg.public.users WHERE id = ?", (42,)) == [("user 42",)]


def test_every_row_of_many_is_written(adbc):
    rows(adbc, "CREATE TABLE many (i BIGINT, t VARCHAR)")
    with adbc.cursor() as cursor:
        cursor.executemany("INSERT INTO many VALUES (?, ?)", [(i, None if i % 2 else f"row {i}") for i in range(1000)])
    assert rows(adbc, "SELECT count(*), count(t), sum(i)::BIGINT, max(t) FROM many") == [(1000, 500, 499500, "row 998")]


def test_a_failure_among_many_rows_writes_none(adbc):
    rows(adbc, "CREATE TABLE keyed (i BIGINT PRIMARY KEY)")
    with adbc.cursor() as cursor, pytest.raises(Exception, match="(?i)duplicate key"):
        cursor.executemany("INSERT INTO keyed VALUES (?)", [(1,), (2,), (1,)])
    assert rows(adbc, "SELECT count(*) FROM keyed") == [(0,)]


def test_values_that_do_not_fit(adbc):
    with pytest.raises(Exception, match="2 parameters"):
        rows(adbc, "SELECT ?::INT + ?::INT", (1,))
    with pytest.raises(Exception, match="no date"):
        rows(adbc, "SELECT ?::DATE", ("no date",))
    assert rows(adbc, "SELECT 42") == [(42,)]


# -- Transactions. ADBC begins one by itself, and the next when one has ended.


def test_commit_and_rollback(product: Proxy, sub: str):
    with connect(product, sub) as one, connect(product, sub) as other:
        rows(one, "CREATE TABLE ledger (a INT)")
        one.commit()
        rows(one, "INSERT INTO ledger VALUES (?)", (1,))
        assert rows(one, "SELECT count(*) FROM ledger") == [(1,)]
        assert rows(other, "SELECT count(*) FROM ledger") == [(0,)]
        one.rollback()
        assert rows(one, "SELECT count(*) FROM ledger") == [(0,)]
        rows(one, "INSERT INTO ledger VALUES (2)")
        one.commit()
        other.rollback()
        assert rows(other, "SELECT a FROM ledger") == [(2,)]


def test_temporary_tables_outlive_a_transaction(product: Proxy, sub: str):
    with connect(product, sub) as connection:
        rows(connection, "CREATE TEMP TABLE scratch AS SELECT 5 AS a")
        connection.commit()
        assert rows(connection, "SELECT a FROM scratch") == [(5,)]
        connection.rollback()
        assert rows(connection, "SELECT a FROM scratch") == [(5,)]


def test_a_load_belongs_to_the_open_transaction(product: Proxy, sub: str):
    table = pa.table({"a": [1, 2, 3]})
    with connect(product, sub) as connection:
        with connection.cursor() as cursor:
            assert cursor.adbc_ingest("loaded", table, mode="create") == 3
        assert rows(connection, "SELECT count(*) FROM loaded") == [(3,)]
        connection.rollback()
        with pytest.raises(Exception, match="loaded"):
            rows(connection, "SELECT count(*) FROM loaded")
        connection.rollback()
        with connection.cursor() as cursor:
            cursor.adbc_ingest("scratch", table, mode="create", temporary=True)
        assert rows(connection, "SELECT sum(a)::INT FROM scratch") == [(6,)]
        connection.commit()
        assert rows(connection, "SELECT sum(a)::INT FROM scratch") == [(6,)]


# -- Loads


TYPES = {
    "b": (pa.bool_(), [True, None, False]),
    "i8": (pa.int8(), [-128, None, 127]),
    "u64": (pa.uint64(), [0, None, 2**64 - 1]),
    "f": (pa.float32(), [1.5, None, float("inf")]),
    "d": (pa.float64(), [-0.0, None, float("-inf")]),
    "dec32": (pa.decimal128(4, 2), [decimal.Decimal("-12.34"), None, decimal.Decimal("99.99")]),
    "dec64": (pa.decimal128(18, 3), [decimal.Decimal("-1.001"), None, decimal.Decimal("999999999999999.999")]),
    "dec128": (pa.decimal128(38, 0), [decimal.Decimal(-(10**37)), None, decimal.Decimal(10**38 - 1)]),
    "s": (pa.string(), ["", None, "größe 🦆"]),
    "ls": (pa.large_string(), ["x" * 100, None, ""]),
    "bin": (pa.binary(), [b"\x00\xff", None, b""]),
    "day": (pa.date32(), [datetime.date(1, 1, 1), None, datetime.date(9999, 12, 31)]),
    "t": (pa.time64("us"), [datetime.time(0, 0), None, datetime.time(23, 59, 59, 999999)]),
    "ts": (pa.timestamp("us"), [datetime.datetime(1969, 12, 31, 23, 59, 59), None, datetime.datetime(2262, 1, 1)]),
    "tz": (pa.timestamp("us", "UTC"), [datetime.datetime(2024, 2, 29, tzinfo=datetime.timezone.utc), None, None]),
    "l": (pa.list_(pa.int32()), [[1, None, 3], None, []]),
    "st": (pa.struct([("a", pa.int32()), ("b", pa.list_(pa.string()))]), [{"a": 1, "b": ["x", None]}, None, {"a": None, "b": []}]),
    "m": (pa.map_(pa.string(), pa.int64()), [[("k", 1)], None, []]),
    "dict": (pa.dictionary(pa.int8(), pa.string()), ["red", None, "red"]),
}


@pytest.mark.parametrize("name", TYPES)
def test_types_come_back_as_they_went(adbc, name):
    kind, values = TYPES[name]
    with adbc.cursor() as cursor:
        assert cursor.adbc_ingest("typed", pa.table({"v": pa.array(values, kind)}), mode="replace") == 3
        cursor.execute("SELECT v FROM typed")
        assert cursor.fetch_arrow_table().column("v").to_pylist() == values


def test_load_modes(adbc):
    table = pa.table({"a": [1, 2], "b": ["x", None]})
    with adbc.cursor() as cursor:
        assert cursor.adbc_ingest("modes", table, mode="create") == 2
        with pytest.raises(Exception, match="exists already"):
            cursor.adbc_ingest("modes", table, mode="create")
        assert cursor.adbc_ingest("modes", table, mode="append") == 2
        assert cursor.adbc_ingest("modes", table.select(["b", "a"]), mode="append") == 2
        assert cursor.adbc_ingest("modes", table, mode="replace") == 2
        assert cursor.adbc_ingest("modes", table, mode="create_append") == 2
        with pytest.raises(Exception, match="does not exist"):
            cursor.adbc_ingest("not_there", table, mode="append")
        # Of a table without batches the driver sends nothing at all, not even the command.
        nothing = pa.RecordBatchReader.from_batches(table.schema, [pa.RecordBatch.from_pylist([], table.schema)])
        assert cursor.adbc_ingest("empty", nothing, mode="create") == 0
    assert rows(adbc, "SELECT count(*), count(b) FROM modes") == [(4, 2)]
    assert rows(adbc, "SELECT count(*) FROM empty") == [(0,)]


def test_a_large_load(adbc):
    table = pa.table({"i": pa.array(range(2_000_000), pa.int64()), "t": pa.array(["text"] * 2_000_000)}).to_reader(200_000)
    with adbc.cursor() as cursor:
        assert cursor.adbc_ingest("large", table, mode="create") == 2_000_000
    assert rows(adbc, "SELECT count(*), sum(i)::BIGINT, count(DISTINCT t) FROM large") == [(2_000_000, 1_999_999_000_000, 1)]


def test_read_only_databases_take_no_loads(adbc):
    with adbc.cursor() as cursor:
        for catalog in ("pg", "my", "tg"):
            with pytest.raises(Exception, match="(?i)read-only"):
                cursor.adbc_ingest("forbidden", pa.table({"a": [1]}), mode="create", catalog_name=catalog)
        with pytest.raises(Exception):
            cursor.adbc_ingest("forbidden", pa.table({"a": [1]}), mode="create", catalog_name="system")


def test_loads_into_attached_databases(engine, network, start_proxy, postgres, mariadb, sub):
    mariadb.run("CREATE USER loader@'%' IDENTIFIED BY 'pw-of-the-loader'; GRANT ALL ON shop.* TO loader@'%'")
    writable = [
        {"alias": "pg", "type": "postgres", "connection_string": postgres.url, "read_only": False},
        {"alias": "my", "type": "mysql", "connection_string": f"mysql://loader:pw-of-the-loader@{mariadb.host}:3306/shop", "read_only": False},
    ]
    proxy = start_proxy(network, base_config(engine, network, writable))
    table = pa.table({"a": [1, 2, None], "b": ["x", None, "z"]})
    with connect(proxy, sub, autocommit=True) as connection, connection.cursor() as cursor:
        for catalog in ("pg", "my"):
            assert cursor.adbc_ingest("loaded_by_test", table, mode="create", catalog_name=catalog) == 3
            assert cursor.adbc_ingest("loaded_by_test", table, mode="append", catalog_name=catalog) == 3
        assert postgres.run("SELECT count(*) || ' ' || sum(a) || ' ' || count(b) FROM loaded_by_test") == "6 6 4"
        postgres.run("DROP TABLE loaded_by_test")
        mariadb.run("DROP TABLE loaded_by_test")


# -- What there is


def test_objects_with_their_columns_and_keys(adbc):
    rows(adbc, "CREATE TABLE parent (id INT PRIMARY KEY); CREATE TABLE child (p INT REFERENCES parent(id), q DECIMAL(9,2))")
    objects = adbc.adbc_get_objects(depth="all", catalog_filter="memory").read_all().to_pylist()
    tables = {t["table_name"]: t for schema in objects[0]["catalog_db_schemas"] for t in schema["db_schema_tables"]}
    assert set(tables) == {"parent", "child"}
    assert [c["column_name"] for c in tables["child"]["table_columns"]] == ["p", "q"]
    assert adbc.adbc_get_table_schema("child").field("q").type == pa.decimal128(9, 2)


def test_schemas_of_attached_tables(adbc):
    schema = adbc.adbc_get_table_schema("users", catalog_filter="pg", db_schema_filter="public")
    assert schema.names == ["id", "name", "email"]


# -- Odd and hostile


def test_ten_thousand_columns(user: FlightUser):
    table = user.query("SELECT " + ", ".join(f"{i} AS c{i}" for i in range(10_000)))
    assert table.num_columns == 10_000 and table.column("c9999").to_pylist() == [9999]


def test_a_cell_of_a_hundred_megabytes(start_proxy, engine, network, sub):
    config = base_config(engine, network)
    config["containers"]["memory_limit"] = "1536m"
    with start_proxy(network, config, memory="1g").user(sub) as user:
        table = user.query("SELECT repeat('x', 100000000) AS cell")
        assert table.num_rows == 1 and len(table.column("cell")[0].as_buffer()) == 100_000_000


def sql_command(name: str, value: bytes = b"") -> flight.FlightDescriptor:
    url = f"type.googleapis.com/arrow.flight.protocol.sql.{name}".encode()
    return flight.FlightDescriptor.for_command(b"\x0a" + bytes([len(url)]) + url + b"\x12" + bytes([len(value)]) + value)


def test_made_up_handles(user: FlightUser):
    for name in ("CommandPreparedStatementQuery", "CommandPreparedStatementUpdate"):
        writer, _ = user.client.do_put(sql_command(name, b"\x0a\x04junk"), pa.schema([("a", pa.int32())]), user.options)
        with pytest.raises((flight.FlightError, pa.ArrowException, KeyError), match="Prepare it again"):
            writer.write_table(pa.table({"a": pa.array([1], pa.int32())}))
            writer.close()
    assert user.value("SELECT 42") == 42

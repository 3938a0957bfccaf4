"""ADBC's Flight SQL driver in Python: its DBAPI whole. Parameters, types and loads are tested further in
tests/integration/test_flight_sql.py."""

import datetime
import decimal
import threading
import time

import pyarrow as pa
import pytest

from tests.support.proxy import Proxy

dbapi = pytest.importorskip("adbc_driver_flightsql.dbapi", reason="adbc-driver-flightsql could not be installed from PyPI")
manager = pytest.importorskip("adbc_driver_manager")

ENDLESS = "SELECT count(*) FROM range(1000000) a, range(1000000) b WHERE (a.range * b.range) % 7 = 3"


# docs: begin
def connect(host: str, port: int, token: str, **options):
    return dbapi.connect(
        f"grpc+tcp://{host}:{port}",  # grpc+tls:// behind a TLS terminator
        db_kwargs={"adbc.flight.sql.authorization_header": f"Bearer {token}"},
        **options,
    )


def customers_of(connection, country: str):
    with connection.cursor() as cursor:
        cursor.execute("SELECT id, name FROM shop.customers WHERE country = ? ORDER BY id", (country,))
        return cursor.fetchall()
# docs: end


@pytest.fixture
def adbc(server: Proxy):
    """All tests' own names are apart, so they share a user, whose worker is there already."""
    with connect("127.0.0.1", server.port(8081), server.token("adbc"), autocommit=True) as connection:
        yield connection


@pytest.fixture
def table(adbc, sub: str):
    """A name of the test's own; the table is dropped when it is there."""
    name = sub.replace("-", "_")
    yield name
    rows(adbc, f"DROP TABLE IF EXISTS {name}")


def rows(connection, sql: str, values=None) -> list[tuple]:
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        return cursor.fetchall()


def test_quick_start(adbc):
    country = rows(adbc, "SELECT country FROM shop.customers WHERE id = 1")[0][0]
    assert customers_of(adbc, country)


# -- Cursors


def test_a_cursor_as_the_database_interface_has_it(adbc):
    with adbc.cursor() as cursor:
        cursor.execute("SELECT range AS i, 'row ' || range AS t FROM range(10)")
        assert [column[0] for column in cursor.description] == ["i", "t"]
        assert cursor.fetchone() == (0, "row 0")
        assert cursor.fetchmany(2) == [(1, "row 1"), (2, "row 2")]
        assert next(cursor) == (3, "row 3")
        assert len(cursor.fetchall()) == 6
        assert cursor.fetchone() is None


def test_counts_of_changes(adbc, table):
    with adbc.cursor() as cursor:
        cursor.execute(f"CREATE TABLE {table} (a INT)")
        cursor.executemany(f"INSERT INTO {table} VALUES (?)", [(1,), (2,), (3,)])
        assert cursor.rowcount == 3
    assert rows(adbc, f"SELECT count(*) FROM {table}") == [(3,)]
    # An unprepared change goes by the way of queries, and yields its count as a row.
    with adbc.cursor() as cursor:
        cursor.execute(f"DELETE FROM {table} WHERE a > 1")
        assert cursor.fetchall() == [(2,)]


def test_ways_to_fetch(adbc):
    sql = "SELECT range AS i, CASE WHEN range % 2 = 0 THEN 'x' END AS t FROM range(100000)"
    with adbc.cursor() as cursor:
        cursor.execute(sql)
        assert cursor.fetch_arrow_table().num_rows == 100_000
        cursor.execute(sql)
        assert sum(batch.num_rows for batch in cursor.fetch_record_batch()) == 100_000
        cursor.execute(sql)
        stream = pa.RecordBatchReader.from_stream(cursor.fetch_arrow())
        assert stream.read_all().column("t").null_count == 50_000
        cursor.execute("SELECT 1::INT AS a WHERE false")
        empty = cursor.fetch_arrow_table()
        assert empty.num_rows == 0 and empty.schema.field("a").type == pa.int32()


def test_frames(adbc):
    polars = pytest.importorskip("polars", reason="polars could not be installed from PyPI")
    pandas = pytest.importorskip("pandas", reason="pandas could not be installed from PyPI")
    sql = "SELECT range AS i, range / 2 AS half FROM range(1000)"
    with adbc.cursor() as cursor:
        cursor.execute(sql)
        assert cursor.fetch_df().shape == (1000, 2)
        cursor.execute(sql)
        assert cursor.fetch_polars().shape == (1000, 2)
    # docs-frames: begin
    frame = polars.read_database("SELECT * FROM shop.products ORDER BY id", connection=adbc)
    other = pandas.read_sql("SELECT * FROM shop.products ORDER BY id", adbc)
    # docs-frames: end
    assert frame.shape == other.shape == (24, 4)
    assert frame["name"].to_list() == other["name"].to_list()


def test_frames_are_written(adbc, table):
    polars = pytest.importorskip("polars", reason="polars could not be installed from PyPI")
    pandas = pytest.importorskip("pandas", reason="pandas could not be installed from PyPI")
    frame = polars.DataFrame({"a": [1, 2, None], "b": ["x", None, "z"]})
    # docs-write: begin
    frame.write_database(table, connection=adbc, engine="adbc", if_table_exists="replace")
    pandas.DataFrame({"a": [4], "b": ["y"]}).to_sql(table, adbc, index=False, if_exists="append")
    # docs-write: end
    assert rows(adbc, f"SELECT count(*), sum(a)::INT, max(b) FROM {table}") == [(4, 7, "z")]


def test_execute_schema_runs_nothing(adbc):
    with adbc.cursor() as cursor:
        schema = cursor.adbc_execute_schema("SELECT 12.5::DECIMAL(9, 2) AS price, error('it ran')::VARCHAR AS t")
    assert schema.names == ["price", "t"] and schema.field("price").type == pa.decimal128(9, 2)


def test_prepare(adbc):
    with adbc.cursor() as cursor:
        parameters = cursor.adbc_prepare("SELECT ?::BIGINT + 1, ?::VARCHAR")
        assert parameters.types == [pa.int64(), pa.string()]
        cursor.execute("SELECT ?::BIGINT + 1, ?::VARCHAR", (1, None))
        assert cursor.fetchall() == [(2, None)]
        assert cursor.adbc_prepare("SELECT 1") is not None


def test_partitions(adbc):
    with adbc.cursor() as cursor:
        partitions, schema = cursor.adbc_execute_partitions("SELECT range AS i FROM range(10)")
        assert len(partitions) == 1 and schema.names == ["i"]
        cursor.adbc_read_partition(partitions[0])
        assert len(cursor.fetchall()) == 10


# -- Parameters


PARAMETERS = {
    "BOOLEAN": True,
    "BIGINT": -(2**63),
    "DOUBLE": 0.1,
    "VARCHAR": "größe 🦆",
    "BLOB": b"\x00\xff",
    "DATE": datetime.date(2024, 2, 29),
    "TIME": datetime.time(23, 59, 59, 123456),
    "TIMESTAMP": datetime.datetime(2024, 2, 29, 23, 59, 59, 999999),
    "TIMESTAMPTZ": datetime.datetime(2024, 2, 29, 12, tzinfo=datetime.timezone.utc),
    "DECIMAL(9, 2)": decimal.Decimal("-1234567.89"),
    "INTEGER[]": [1, None, 3],
    "STRUCT(a INTEGER, b VARCHAR)": {"a": 1, "b": None},
}


@pytest.mark.parametrize("kind", PARAMETERS)
def test_parameters_of_each_type(adbc, kind):
    value = PARAMETERS[kind]
    found = rows(adbc, f"SELECT ?::{kind}, ?::{kind} IS NULL", (value, None))
    assert found == [(value, True)]


def test_parameters_as_an_arrow_table(adbc, table):
    values = pa.table({"a": pa.array([1, 2, None], pa.uint8()), "b": pa.array(["x", None, "z"], pa.large_string())})
    rows(adbc, f"CREATE TABLE {table} (a UTINYINT, b VARCHAR)")
    with adbc.cursor() as cursor:
        cursor.executemany(f"INSERT INTO {table} VALUES (?, ?)", values)
    assert rows(adbc, f"SELECT a, b FROM {table} ORDER BY a NULLS LAST") == [(1, "x"), (2, None), (None, "z")]


# -- What there is


@pytest.mark.parametrize("depth", ["catalogs", "db_schemas", "tables", "columns", "all"])
def test_objects_at_each_depth(adbc, depth):
    objects = adbc.adbc_get_objects(depth=depth).read_all().to_pylist()
    by_name = {entry["catalog_name"]: entry["catalog_db_schemas"] for entry in objects}
    assert {"memory", "shop", "pg"} <= set(by_name) and "system" not in by_name
    if depth == "catalogs":
        assert not by_name["shop"]
        return
    schemas = {entry["db_schema_name"]: entry["db_schema_tables"] for entry in by_name["pg"]}
    assert "public" in schemas
    if depth == "db_schemas":
        assert not schemas["public"]
        return
    tables = {entry["table_name"]: entry for entry in schemas["public"]}
    assert {"users", "orders", "small"} <= set(tables) and tables["users"]["table_type"] == "TABLE"
    if depth == "tables":
        assert not tables["users"]["table_columns"]
        return
    columns = {column["column_name"]: column for column in tables["users"]["table_columns"]}
    assert list(columns) == ["id", "name", "email"]
    assert columns["name"]["ordinal_position"] == 2


@pytest.mark.parametrize("setting", ["arrow_large_buffer_size", "produce_arrow_string_view"])
def test_objects_under_a_sessions_own_string_type(server: Proxy, setting):
    """A session of its own, because the setting stays in it."""
    with connect("127.0.0.1", server.port(8081), server.token("adbc"), autocommit=True) as connection:
        rows(connection, f"SET {setting} = true")
        found = connection.adbc_get_objects(depth="tables", catalog_filter="shop").read_all().to_pylist()
        assert [one["catalog_name"] for one in found] == ["shop"]
        tables = [t["table_name"] for schema in found[0]["catalog_db_schemas"] for t in schema["db_schema_tables"]]
        assert "customers" in tables


def test_objects_by_pattern(adbc):
    def tables(**filters) -> list[str]:
        objects = adbc.adbc_get_objects(depth="tables", catalog_filter="shop", **filters).read_all().to_pylist()
        return [t["table_name"] for entry in objects for schema in entry["catalog_db_schemas"] or [] for t in schema["db_schema_tables"] or []]

    assert tables(table_name_filter="order%") == ["order_items", "orders"]
    assert tables(table_name_filter="ORDERS") == []
    assert tables(table_types_filter=["VIEW"]) == []
    assert tables(db_schema_filter="not_there") == []


def test_table_schema(adbc):
    schema = adbc.adbc_get_table_schema("users", catalog_filter="pg", db_schema_filter="public")
    assert schema.names == ["id", "name", "email"]
    assert not schema.field("name").nullable and schema.field("email").nullable
    with pytest.raises(Exception, match="(?i)not.?found|no table|does not exist"):
        adbc.adbc_get_table_schema("not_there")


def test_table_types(adbc):
    assert adbc.adbc_get_table_types() == ["TABLE", "VIEW"]


def test_info(adbc):
    info = adbc.adbc_get_info()
    assert info["vendor_name"] == "PondPilot Proxy" and info["vendor_version"]


def test_statistics_are_not_to_be_had(adbc):
    with pytest.raises(manager.NotSupportedError):
        adbc.adbc_get_statistics()


# -- Sessions


def test_current_catalog_and_schema(adbc):
    assert adbc.adbc_current_catalog == "memory" and adbc.adbc_current_db_schema == "main"
    try:
        adbc.adbc_current_catalog = "shop"
        assert rows(adbc, "SELECT count(*) FROM customers") == [(40,)]
    finally:
        adbc.adbc_current_catalog = "memory"


def test_sessions_are_apart(server: Proxy, adbc):
    with connect("127.0.0.1", server.port(8081), server.token("adbc"), autocommit=True) as other:
        rows(adbc, "CREATE TEMP TABLE apart AS SELECT 5 AS a")
        assert rows(adbc, "SELECT a FROM apart") == [(5,)]
        with pytest.raises(Exception, match="apart"):
            rows(other, "SELECT a FROM apart")


# -- Transactions


def test_autocommit_commit_and_rollback(server: Proxy, adbc, table):
    rows(adbc, f"CREATE TABLE {table} (a INT)")
    with connect("127.0.0.1", server.port(8081), server.token("adbc")) as connection:
        rows(connection, f"INSERT INTO {table} VALUES (1)")
        assert rows(adbc, f"SELECT count(*) FROM {table}") == [(0,)]
        connection.rollback()
        rows(connection, f"INSERT INTO {table} VALUES (?)", (2,))
        connection.commit()
        assert rows(adbc, f"SELECT a FROM {table}") == [(2,)]
        with connection.cursor() as cursor:
            cursor.adbc_ingest(table, pa.table({"a": pa.array([3], pa.int32())}), mode="append")
        connection.rollback()
        rows(connection, f"INSERT INTO {table} VALUES (4)")
    # Closed without commit: rolled back.
    assert rows(adbc, f"SELECT a FROM {table}") == [(2,)]


def test_a_failed_transaction(server: Proxy, table):
    with connect("127.0.0.1", server.port(8081), server.token("adbc")) as connection:
        rows(connection, f"CREATE TABLE {table} (a INT PRIMARY KEY)")
        connection.commit()
        rows(connection, f"INSERT INTO {table} VALUES (1)")
        with pytest.raises(manager.Error, match="(?i)duplicate key"):
            rows(connection, f"INSERT INTO {table} VALUES (1)")
        with pytest.raises(manager.Error, match="rolled back"):
            connection.commit()
    with connect("127.0.0.1", server.port(8081), server.token("adbc"), autocommit=True) as connection:
        assert rows(connection, f"SELECT count(*) FROM {table}") == [(0,)]


# -- Loads


def test_ingest_into_both(adbc, warehouse, table):
    values = pa.table({"a": [1, 2, None], "b": ["x", None, "z"]})
    with adbc.cursor() as cursor:
        assert cursor.adbc_ingest(table, values, mode="create") == 3
        assert cursor.adbc_ingest(table, values.to_reader(max_chunksize=1), mode="append") == 3
        assert cursor.adbc_ingest(table, values, mode="replace") == 3
        with pytest.raises(manager.Error, match="exists already"):
            cursor.adbc_ingest(table, values, mode="create")
        assert cursor.adbc_ingest(table, values, mode="create", catalog_name="pg", db_schema_name="public") == 3
    # A cursor keeps the catalog that it was told.
    with adbc.cursor() as cursor:
        assert cursor.adbc_ingest("scratch", values, mode="create", temporary=True) == 3
    assert rows(adbc, f"SELECT count(*), sum(a)::INT FROM {table}") == [(3, 3)]
    assert warehouse.run(f"SELECT count(*) || ' ' || count(b) FROM {table}") == "3 2"
    warehouse.run(f"DROP TABLE {table}")


# -- Errors, cancel, timeouts


@pytest.mark.parametrize("sql, kind, message", [
    ("SELEC 1", "ProgrammingError", "syntax error"),
    ("SELECT * FROM no_such_table", "ProgrammingError", "no_such_table"),
    ("SELECT 'x'::INT", "ProgrammingError", "Could not convert"),
    ("SELECT * FROM read_csv('/etc/passwd')", "ProgrammingError", "(?i)disabled|allowed"),
])
def test_errors(adbc, sql, kind, message):
    with pytest.raises(getattr(manager, kind), match=message):
        rows(adbc, sql)
    assert rows(adbc, "SELECT 42") == [(42,)]


def test_a_wrong_token(server: Proxy):
    with pytest.raises(manager.Error, match="(?i)unauthenticated|token"):
        with connect("127.0.0.1", server.port(8081), "nonsense", autocommit=True) as connection:
            rows(connection, "SELECT 1")


def ended_by(act, run) -> tuple[BaseException | None, float]:
    """Runs `run`, and `act` a second later; what it ended with and after how long from then."""
    acted: list[float] = []

    def later():
        acted.append(time.monotonic())
        act()

    timer = threading.Timer(1, later)
    timer.start()
    try:
        run()
    except BaseException as error:
        return error, time.monotonic() - acted[0]
    finally:
        timer.join()
    return None, 0


def test_cancel_while_it_runs(adbc):
    with adbc.cursor() as cursor:
        error, seconds = ended_by(cursor.adbc_cancel, lambda: (cursor.execute(ENDLESS), cursor.fetchall()))
        assert isinstance(error, manager.Error), error
        assert seconds < 5
    assert rows(adbc, "SELECT 42") == [(42,)]


def test_cancel_while_rows_are_read(adbc):
    with adbc.cursor() as cursor:
        cursor.execute("SELECT * FROM range(10000000000)")
        reader = cursor.fetch_record_batch()
        reader.read_next_batch()
        error, seconds = ended_by(cursor.adbc_cancel, lambda: [batch.num_rows for batch in reader])
        assert error is not None and seconds < 5, error
    assert rows(adbc, "SELECT 42") == [(42,)]


def test_timeouts(adbc):
    with adbc.cursor() as cursor:
        cursor.adbc_statement.set_options(**{"adbc.flight.sql.rpc.timeout_seconds.query": 1.0})
        begin = time.monotonic()
        # The call that starts it has been answered by then: reading ends.
        with pytest.raises(manager.Error, match="(?i)deadline|timeout"):
            cursor.execute(ENDLESS)
            cursor.fetchall()
        assert time.monotonic() - begin < 10
    assert rows(adbc, "SELECT 42") == [(42,)]

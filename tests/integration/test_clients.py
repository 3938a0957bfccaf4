"""Real clients, used as their own documentation uses them."""

import base64

import pyarrow as pa
import pytest
from pyarrow import flight

from tests.support.proxy import Proxy


def test_pyarrow_with_the_bearer_header(product: Proxy, sub: str):
    client = flight.connect(product.location)
    options = flight.FlightCallOptions(headers=[(b"authorization", b"Bearer " + product.token(sub).encode())])
    info = client.get_flight_info(flight.FlightDescriptor.for_command(b"SELECT * FROM pg.public.users"), options)
    table = client.do_get(info.endpoints[0].ticket, options).read_all()
    assert table.num_rows == 100 and table.column_names == ["id", "name", "email"]


def test_pyarrow_get_schema(product: Proxy, sub: str):
    user = product.user(sub)
    descriptor = flight.FlightDescriptor.for_command(b"SELECT 1 AS a, 'x' AS b")
    assert user.client.get_schema(descriptor, user.options).schema.names == ["a", "b"]


def test_handshake_with_basic_takes_the_token_as_password(product: Proxy, sub: str):
    client = flight.connect(product.location)
    name, value = client.authenticate_basic_token(b"anybody", product.token(sub).encode())
    assert name == b"authorization" and value.startswith(b"Bearer ")
    options = flight.FlightCallOptions(headers=[(name, value)])
    info = client.get_flight_info(flight.FlightDescriptor.for_command(b"SELECT 42 AS a"), options)
    assert client.do_get(info.endpoints[0].ticket, options).read_all().to_pylist() == [{"a": 42}]


def test_handshake_with_a_wrong_password_is_refused(product: Proxy):
    client = flight.connect(product.location)
    with pytest.raises(flight.FlightUnauthenticatedError):
        client.authenticate_basic_token(b"anybody", b"not-a-token")


def test_basic_in_the_header_of_a_call(product: Proxy, sub: str):
    password = base64.b64encode(b"anybody:" + product.token(sub).encode())
    client = flight.connect(product.location)
    options = flight.FlightCallOptions(headers=[(b"authorization", b"Basic " + password)])
    try:
        info = client.get_flight_info(flight.FlightDescriptor.for_command(b"SELECT 42 AS a"), options)
    except flight.FlightUnauthenticatedError as error:
        # Either answer will do; a silent other one won't.
        assert "bearer" in str(error).lower() or "handshake" in str(error).lower()
    else:
        assert client.do_get(info.endpoints[0].ticket, options).read_all().to_pylist() == [{"a": 42}]


@pytest.fixture
def adbc(product: Proxy, sub: str):
    dbapi = pytest.importorskip("adbc_driver_flightsql.dbapi", reason="adbc-driver-flightsql could not be installed from PyPI")
    options = {"adbc.flight.sql.authorization_header": f"Bearer {product.token(sub)}"}
    with dbapi.connect(product.location.replace("grpc://", "grpc+tcp://"), db_kwargs=options, autocommit=True) as connection:
        yield connection


def test_adbc_select(adbc):
    with adbc.cursor() as cursor:
        cursor.execute("SELECT country, COUNT(*) AS n FROM my.customers GROUP BY country ORDER BY country")
        assert cursor.fetchall() == [("Chile", 10), ("Norway", 10)]


def test_adbc_large_result_as_arrow(adbc):
    with adbc.cursor() as cursor:
        cursor.execute("SELECT range AS i FROM range(1000000)")
        table = cursor.fetch_arrow_table()
    assert table.num_rows == 1_000_000 and table.schema.field("i").type == pa.int64()


def test_adbc_ddl_and_dml(adbc):
    with adbc.cursor() as cursor:
        cursor.execute("CREATE TABLE notes (id INT, body TEXT)")
        cursor.execute("INSERT INTO notes VALUES (1, 'one'), (2, 'two')")
        cursor.execute("SELECT body FROM notes ORDER BY id")
        assert cursor.fetchall() == [("one",), ("two",)]


def test_adbc_error_says_what_is_wrong(adbc):
    with adbc.cursor() as cursor, pytest.raises(Exception, match="no_such_table"):
        cursor.execute("SELECT * FROM no_such_table")
        cursor.fetchall()


@pytest.mark.parametrize("setting", ["arrow_large_buffer_size", "produce_arrow_string_view"])
def test_adbc_objects_under_a_sessions_own_string_type(adbc, setting):
    with adbc.cursor() as cursor:
        cursor.execute(f"SET {setting} = true")
        cursor.fetchall()
    objects = adbc.adbc_get_objects(depth="tables", catalog_filter="sl").read_all().to_pylist()
    assert [o["catalog_name"] for o in objects] == ["sl"]
    tables = [t["table_name"] for schema in objects[0]["catalog_db_schemas"] for t in schema["db_schema_tables"]]
    assert tables == ["small"]


def test_adbc_wrong_token_is_refused(product: Proxy):
    dbapi = pytest.importorskip("adbc_driver_flightsql.dbapi", reason="adbc-driver-flightsql could not be installed from PyPI")
    options = {"adbc.flight.sql.authorization_header": "Bearer nonsense"}
    with pytest.raises(Exception, match="(?i)unauthenticated|token"):
        with dbapi.connect(product.location.replace("grpc://", "grpc+tcp://"), db_kwargs=options) as connection:
            with connection.cursor() as cursor:
                cursor.execute("SELECT 1")
                cursor.fetchall()

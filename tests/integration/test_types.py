"""Every type of DuckDB's out to Arrow, alone and nested, and back: as a parameter and by ingest."""

import datetime
from decimal import Decimal

import pyarrow as pa
import pytest

from tests.support.flight import FlightUser
from tests.support.proxy import Proxy, base_config

UTC = datetime.timezone.utc

# The expression, the type that the documentation of clients promises, the value.
MATRIX: dict[str, tuple[str, pa.DataType, object]] = {
    "boolean": ("true", pa.bool_(), True),
    "tinyint": ("(-128)::TINYINT", pa.int8(), -128),
    "smallint": ("(-32768)::SMALLINT", pa.int16(), -32768),
    "integer": ("(-2147483648)::INTEGER", pa.int32(), -2147483648),
    "bigint": ("(-9223372036854775808)::BIGINT", pa.int64(), -(2**63)),
    "utinyint": ("255::UTINYINT", pa.uint8(), 255),
    "usmallint": ("65535::USMALLINT", pa.uint16(), 65535),
    "uinteger": ("4294967295::UINTEGER", pa.uint32(), 4294967295),
    "ubigint": ("18446744073709551615::UBIGINT", pa.uint64(), 2**64 - 1),
    "hugeint": ("(-99999999999999999999999999999999999999)::HUGEINT", pa.decimal128(38, 0), Decimal(-(10**38 - 1))),
    "uhugeint": ("99999999999999999999999999999999999999::UHUGEINT", pa.decimal128(38, 0), Decimal(10**38 - 1)),
    "decimal of 4 digits": ("99.99::DECIMAL(4, 2)", pa.decimal128(4, 2), Decimal("99.99")),
    "decimal of 9 digits": ("-1234567.89::DECIMAL(9, 2)", pa.decimal128(9, 2), Decimal("-1234567.89")),
    "decimal of 18 digits": ("1.12345678901234567::DECIMAL(18, 17)", pa.decimal128(18, 17), Decimal("1.12345678901234567")),
    "decimal of 38 digits": ("'-0.12345678901234567890123456789012345678'::DECIMAL(38, 38)", pa.decimal128(38, 38),
                             Decimal("-0.12345678901234567890123456789012345678")),
    "float": ("1.5::FLOAT", pa.float32(), 1.5),
    "double": ("2.5::DOUBLE", pa.float64(), 2.5),
    "infinite double": ("'-infinity'::DOUBLE", pa.float64(), float("-inf")),
    "varchar": ("'größe 🦆'", pa.string(), "größe 🦆"),
    "text with a zero": ("'a' || chr(0) || 'b'", pa.string(), "a\0b"),
    "blob": ("'\\x00\\xFF'::BLOB", pa.binary(), b"\x00\xff"),
    "bit": ("'0101'::BIT", pa.string(), "0101"),
    "uuid": ("'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::UUID", pa.string(), "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
    "enum": ("'red'::ENUM('red', 'green')", pa.string(), "red"),
    "json": ("'{\"a\": [1, null]}'::JSON", pa.string(), '{"a": [1, null]}'),
    "date": ("DATE '0001-01-01'", pa.date32(), datetime.date(1, 1, 1)),
    "time": ("TIME '23:59:59.999999'", pa.time64("us"), datetime.time(23, 59, 59, 999999)),
    "timetz": ("TIMETZ '12:00:00+02'", pa.time64("us"), None),
    "timestamp_s": ("TIMESTAMP_S '2024-02-29 01:02:03'", pa.timestamp("s"), datetime.datetime(2024, 2, 29, 1, 2, 3)),
    "timestamp_ms": ("TIMESTAMP_MS '2024-02-29 01:02:03.004'", pa.timestamp("ms"), datetime.datetime(2024, 2, 29, 1, 2, 3, 4000)),
    "timestamp": ("TIMESTAMP '1969-12-31 23:59:59.999999'", pa.timestamp("us"),
                  datetime.datetime(1969, 12, 31, 23, 59, 59, 999999)),
    "timestamp_ns": ("TIMESTAMP_NS '2024-02-29 01:02:03.000001'", pa.timestamp("ns"), datetime.datetime(2024, 2, 29, 1, 2, 3, 1)),
    "timestamptz": ("TIMESTAMPTZ '2024-07-01 12:00:00+02'", pa.timestamp("us", "UTC"),
                    datetime.datetime(2024, 7, 1, 10, tzinfo=UTC)),
    "interval": ("INTERVAL '1 month 2 days 3 seconds'", pa.month_day_nano_interval(), pa.MonthDayNano([1, 2, 3_000_000_000])),
    "list": ("[1, NULL, 3]", pa.list_(pa.int32()), [1, None, 3]),
    "array": ("[1, 2]::INTEGER[2]", pa.list_(pa.int32(), 2), [1, 2]),
    "struct": ("{'a': 1, 'b': 'x'}", pa.struct([("a", pa.int32()), ("b", pa.string())]), {"a": 1, "b": "x"}),
    "map": ("MAP {'k': 1::BIGINT}", pa.map_(pa.string(), pa.int64()), [("k", 1)]),
    "null": ("NULL", pa.null(), None),
}
NO_LISTS = {"null"}


@pytest.mark.parametrize("name", MATRIX)
def test_out(user: FlightUser, name: str):
    sql, kind, value = MATRIX[name]
    info = user.info(f"SELECT {sql} AS v")
    table = user.client.do_get(info.endpoints[0].ticket, user.options).read_all()
    assert table.schema == info.schema, "the stream's schema is the one that was promised"
    assert plain(table.schema.field("v").type).equals(kind), table.schema.field("v").type
    if name != "timetz":
        assert table.column("v")[0].as_py() == value
    else:
        assert table.column("v")[0].as_py() is not None
    table.validate(full=True)


@pytest.mark.parametrize("name", [name for name in MATRIX if name not in NO_LISTS])
def test_out_in_lists_structs_and_with_nulls(user: FlightUser, name: str):
    sql, kind, value = MATRIX[name]
    table = user.query(f"SELECT [{sql}, NULL] AS l, {{'v': {sql}}} AS s, CASE WHEN range = 1 THEN {sql} END AS n FROM range(3)")
    table.validate(full=True)
    # Names of list items differ between libraries and mean nothing.
    assert plain(table.schema.field("l").type.value_type).equals(kind)
    assert plain(table.schema.field("s").type.field("v").type).equals(kind)
    assert table.column("n").null_count == 2
    if name != "timetz":
        assert table.column("l")[2].as_py() == [value, None]
        assert table.column("s")[0].as_py() == {"v": value}
        assert table.column("n").to_pylist() == [None, value, None]


@pytest.mark.parametrize("name", MATRIX)
def test_an_empty_result_has_the_same_schema(user: FlightUser, name: str):
    sql = MATRIX[name][0]
    full, empty = user.query(f"SELECT {sql} AS v"), user.query(f"SELECT {sql} AS v WHERE 1 = 0")
    assert empty.num_rows == 0 and empty.schema == full.schema


def plain(kind: pa.DataType) -> pa.DataType:
    """Without the names of items, which DuckDB and pyarrow choose differently."""
    if pa.types.is_fixed_size_list(kind):
        return pa.list_(plain(kind.value_type), kind.list_size)
    if pa.types.is_list(kind):
        return pa.list_(plain(kind.value_type))
    if pa.types.is_map(kind):
        return pa.map_(plain(kind.key_type), plain(kind.item_type))
    if pa.types.is_struct(kind):
        return pa.struct([(kind.field(i).name, plain(kind.field(i).type)) for i in range(kind.num_fields)])
    return kind


def test_the_widest_huge_ints(user: FlightUser):
    """Of 39 digits: what a decimal of 128 bits can't hold is an error, not another number."""
    for value in (2**127 - 1, -(2**127 - 1)):
        assert int(user.query(f"SELECT ({value})::HUGEINT AS v").column("v")[0].as_py()) == value
    assert int(user.query(f"SELECT {2**127 - 1}::UHUGEINT AS v").column("v")[0].as_py()) == 2**127 - 1
    for sql in (f"SELECT {2**128 - 1}::UHUGEINT AS v", f"SELECT [{{'a': {2**127}::UHUGEINT}}] AS v"):
        assert "Cast the column" in str(user.refusal(sql))
    assert user.value(f"SELECT ({2**128 - 1}::UHUGEINT)::VARCHAR") == str(2**128 - 1)


def test_infinite_dates_and_times_are_no_errors(user: FlightUser):
    table = user.query("SELECT 'infinity'::DATE AS d, '-infinity'::TIMESTAMP AS t, 'infinity'::TIMESTAMPTZ AS z")
    assert [table.column(name).cast(pa.int32() if name == "d" else pa.int64())[0].as_py() for name in table.column_names] == \
        [2**31 - 1, -(2**63 - 1), 2**63 - 1]
    assert user.value("SELECT count(*) FROM (SELECT 'infinity'::DATE AS d) WHERE isinf(d)") == 1


def test_time_zones_follow_the_session(user: FlightUser):
    user.query("SET TimeZone = 'America/New_York'")
    table = user.query("SELECT TIMESTAMPTZ '2024-07-01 12:00:00+00' AS z, (TIMESTAMPTZ '2024-07-01 12:00:00+00')::VARCHAR AS t")
    assert table.schema.field("z").type == pa.timestamp("us", "America/New_York")
    assert table.column("z")[0].as_py().astimezone(UTC) == datetime.datetime(2024, 7, 1, 12, tzinfo=UTC)
    assert table.column("t")[0].as_py() == "2024-07-01 08:00:00-04"


def test_unions_and_deep_nesting(user: FlightUser):
    table = user.query("SELECT [{'m': MAP {'k': [1, 2]}, 'u': union_value(num := 2)}] AS v")
    table.validate(full=True)
    inner = table.column("v")[0].as_py()[0]
    assert inner["m"] == [("k", [1, 2])] and inner["u"] == 2


# -- Back


def connect(proxy: Proxy, sub: str, **options: str):
    dbapi = pytest.importorskip("adbc_driver_flightsql.dbapi", reason="adbc-driver-flightsql could not be installed from PyPI")
    options["adbc.flight.sql.authorization_header"] = f"Bearer {proxy.token(sub)}"
    return dbapi.connect(proxy.location.replace("grpc://", "grpc+tcp://"), db_kwargs=options, autocommit=True)


@pytest.fixture
def adbc(product: Proxy, sub: str):
    with connect(product, sub) as connection:
        yield connection


@pytest.fixture
def roomy(start_proxy, engine, network, sub: str):
    """A worker with more memory, and a driver that sends messages larger than its usual 16 MiB."""
    proxy = start_proxy(network, base_config(engine, network, memory_limit="2g"), memory="1g")
    with connect(proxy, sub, **{"adbc.flight.sql.client_option.with_max_msg_size": str(64 << 20)}) as connection:
        yield connection


@pytest.mark.parametrize("name", MATRIX)
def test_what_came_out_goes_back_in(adbc, user: FlightUser, name: str):
    """By ingest, and as a parameter; DuckDB finds each value equal to the one that it had given."""
    sql = MATRIX[name][0]
    sent = user.query(f"SELECT {sql} AS v UNION ALL SELECT NULL")
    with adbc.cursor() as cursor:
        assert cursor.adbc_ingest("back", sent, mode="replace") == 2
        cursor.execute("SELECT v FROM back")
        again = cursor.fetch_arrow_table()
        # A table's column has a type.
        kind = pa.int32() if name == "null" else plain(sent.schema.field("v").type)
        assert plain(again.schema.field("v").type).equals(kind)
        assert again.column("v").to_pylist() == sent.column("v").to_pylist()
        cursor.execute("SELECT ? AS v", sent.slice(0, 1).to_batches()[0])
        assert cursor.fetch_arrow_table().column("v").to_pylist() == sent.column("v").to_pylist()[:1]
        cursor.execute("SELECT count(*) FROM back WHERE v IS NOT DISTINCT FROM ?", sent.slice(0, 1).to_batches()[0])
        assert cursor.fetchone() == ((2,) if name == "null" else (1,))


def test_ten_thousand_columns_go_in(roomy):
    table = pa.table({f"c{i}": pa.array([i], pa.int32()) for i in range(10_000)})
    with roomy.cursor() as cursor:
        assert cursor.adbc_ingest("wide", table, mode="create") == 1
        cursor.execute("SELECT c0, c9999 FROM wide")
        assert cursor.fetchall() == [(0, 9999)]


def test_large_cells_go_in(roomy):
    table = pa.table({"t": ["x" * 20_000_000, None], "b": [b"\0" * 10, b""]})
    with roomy.cursor() as cursor:
        assert cursor.adbc_ingest("cells", table, mode="create") == 2
        cursor.execute("SELECT max(length(t)), max(octet_length(b)) FROM cells")
        assert cursor.fetchall() == [(20_000_000, 10)]

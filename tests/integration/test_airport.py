"""DuckDB's airport extension as a client, over the whole product. The extension itself can't be had here: the peer of
tests/support/airport.py stands for it."""

import hashlib
import json
import threading

import pyarrow as pa
import pytest
from pyarrow import flight

from tests.support import airport as peer
from tests.support.airport import Airport, Table, msgpack, pack_bin, pack_str
from tests.support.proxy import Proxy, base_config
from tests.support.tokens import token
from tests.support.waiting import eventually


@pytest.fixture
def connect(product: Proxy, sub: str):
    """Attaches; reads the catalog as the extension's first use does."""

    def attach(catalog: str = "", **how) -> Airport:
        client = Airport(product.location, product.token(sub), catalog, **how).begin()
        client.root()
        client.version()
        return client

    return attach


@pytest.fixture
def own(user, connect) -> Airport:
    """The user's own database, with a table."""
    user.query("CREATE TABLE things AS SELECT i AS id, 'thing ' || i AS name, i * 1.5 AS amount FROM range(10) x(i)")
    return connect("memory")


def compare(operator: str, index: int, kind: str, value) -> dict:
    kinds = {"id": kind, "type_info": None}
    return {"expression_class": "BOUND_COMPARISON", "type": operator, "alias": "",
            "left": {"expression_class": "BOUND_COLUMN_REF", "type": "BOUND_COLUMN_REF", "alias": "", "return_type": kinds,
                     "binding": {"table_index": 3, "column_index": index}, "depth": 0},
            "right": {"expression_class": "BOUND_CONSTANT", "type": "VALUE_CONSTANT", "alias": "",
                      "value": {"type": kinds, "is_null": False, "value": value}}}


def filters(names: list[str], *expressions: dict) -> str:
    return json.dumps({"filters": list(expressions), "column_binding_names_by_index": names})


# -- What there is


@pytest.mark.parametrize("pack", [pack_str, pack_bin], ids=["str", "bin"])
def test_attach_and_read_postgres(connect, pack):
    client = connect("pg", pack=pack)
    users = client.tables("public")["users"]
    assert users.columns == ["id", "name", "email"] and not users.has_row_ids
    assert not users.schema.field("name").nullable
    found = client.scan(users)
    assert found.num_rows == 100 and found["name"].to_pylist()[41] == "user 42"


def test_everything_under_one_name(connect):
    client = connect("")
    names = {one["name"] for one in client.root()["schemas"]}
    assert {"memory.main", "pg.public", "sl.main", "shop.main"} <= names, names
    assert not any("information_schema" in name or "pg_catalog" in name for name in names)
    assert client.scan(client.tables("pg.public")["small"]).to_pylist() == [{"a": 1, "b": "one"}, {"a": 2, "b": "two"}]
    assert client.scan(client.tables("sl.main")["small"]).num_rows == 2


def test_main_is_reached_under_another_name(connect):
    for catalog in ("sl", "shop", "memory"):
        client = connect(catalog)
        assert "main_" in {one["name"] for one in client.root()["schemas"]}
    assert connect("sl").scan(connect("sl").tables("main_")["small"]).num_rows == 2


def test_replies_are_these_bytes(own: Airport):
    (body,) = own.act("create_transaction", {"catalog_name": "memory"})
    assert body == msgpack.packb({"identifier": peer.unpack(body)["identifier"]})
    (body,) = own.act("catalog_version", {"catalog_name": "memory"})
    assert body == msgpack.packb({"catalog_version": own.version()[0], "is_fixed": False})
    (body,) = own.act("list_schemas", {"catalog_name": "memory"})
    length, packed = msgpack.unpackb(body)
    assert body == msgpack.packb([length, packed])
    root = own.root()
    assert list(root) == ["contents", "schemas", "version_info"]
    assert root["contents"] == {"sha256": "", "url": None, "serialized": None}
    assert root["version_info"] == {"catalog_version": own.version()[0], "is_fixed": False}
    assert [list(one) for one in root["schemas"]] == [["name", "description", "tags", "contents", "is_default"]]
    things = own.tables("main_")["things"]
    assert things.info.app_metadata == msgpack.packb(
        {"type": "table", "schema": "main_", "catalog": "memory", "name": "things", "comment": None, "input_schema": None,
         "action_name": None, "description": None, "extra_data": None})
    empty = filters(["id"], compare("COMPARE_EQUAL", 0, "BIGINT", -1))
    (body,) = own.act("endpoints", {"descriptor": things.info.descriptor.serialize(),
                                    "parameters": {"json_filters": empty, "column_ids": [0]}}, own.scanning())
    assert body == b"\x90"
    (endpoint,) = own.endpoints(things.info.descriptor, {"column_ids": [0]})
    # FlightEndpoint{ticket: {ticket}, location: [{uri}]}
    ticket, uri = endpoint.ticket.ticket, peer.REUSE
    assert endpoint.serialize() == (b"\x0a" + bytes([len(ticket) + 2]) + b"\x0a" + bytes([len(ticket)]) + ticket
                                    + b"\x12" + bytes([len(uri) + 2]) + b"\x0a" + bytes([len(uri)]) + uri)
    named = {"type": "table", "catalog_name": "memory", "schema_name": "main_", "name": "things", "ignore_not_found": False}
    (body,) = own.act("flight_info", {"descriptor": things.info.descriptor.serialize(), "at_unit": "", "at_value": ""})
    assert body == things.info.serialize()
    (body,) = own.act("column_statistics", {"flight_descriptor": things.info.descriptor.serialize(), "column_name": "id", "type": "BIGINT"})
    row = pa.table({"min": pa.nulls(1, pa.int64()), "max": pa.nulls(1, pa.int64()), "has_not_null": [True], "has_null": [True],
                    "distinct_count": pa.array([0], pa.uint64())})
    told = pa.ipc.open_stream(body)
    assert told.read_all() == row and told.schema == row.schema
    assert body.endswith(b"\xff\xff\xff\xff\0\0\0\0")  # the stream's end
    column = pa.schema([("more", pa.int32())]).serialize().to_pybytes()
    (body,) = own.act("add_column", {"catalog": "memory", "schema": "main_", "name": "things", "ignore_not_found": False,
                                     "if_column_not_exists": False, "column_schema": column})
    assert body == own.tables("main_")["things"].info.serialize()
    # {sha256, url, serialized: [1, zstd of an empty array]}
    (body,) = own.act("create_schema", {"catalog_name": "memory", "schema": "s", "comment": None, "tags": {}})
    serialized = msgpack.unpackb(body, raw=False)["serialized"]
    assert msgpack.unpackb(serialized)[0] == 1 and peer.inflate(serialized) == []
    assert body == msgpack.packb({"sha256": hashlib.sha256(serialized).hexdigest(), "url": None, "serialized": serialized})
    assert own.act("drop_schema", {**named, "type": "schema", "schema_name": "", "name": "s"}) == []
    assert own.act("drop_table", named) == []


def test_the_version_moves_with_what_flight_sql_does(own: Airport, user):
    seen = [own.version()]
    for sql in ("CREATE TABLE more (a INT)", "ALTER TABLE more ADD COLUMN b INT", "COMMENT ON TABLE more IS 'x'", "CREATE SCHEMA s",
                "DROP TABLE more"):
        user.query(sql)
        seen.append(own.version())
        assert seen[-1] not in seen[:-1], sql
        assert seen[-1][1] is False
    user.query("INSERT INTO things VALUES (77, 'x', 1)")
    assert own.version() == seen[-1]


def test_an_unknown_catalog_is_not_found(product: Proxy, sub: str):
    client = Airport(product.location, product.token(sub), "nowhere").begin()
    with pytest.raises(KeyError, match="nowhere"):  # pyarrow's name for NOT_FOUND
        client.root()


def test_comments_and_defaults(connect, user):
    user.query("CREATE SEQUENCE s")
    # The client would look for the sequence where it is itself.
    user.query("CREATE TABLE told (a INT DEFAULT 5, b VARCHAR NOT NULL, c INT DEFAULT nextval('s'))")
    user.query("COMMENT ON TABLE told IS 'what it is'")
    user.query("COMMENT ON COLUMN told.a IS 'a number'")
    table = connect("memory").tables("main_")["told"]
    assert table.metadata["comment"] == "what it is"
    assert table.schema.field("a").metadata == {b"comment": b"a number", b"default": b"5"}
    assert table.schema.field("c").metadata is None
    assert not table.schema.field("b").nullable and table.has_row_ids


def test_views_are_read(connect, user):
    user.query("CREATE VIEW names AS SELECT name FROM pg.public.users WHERE id < 4")
    client = connect("memory")
    assert sorted(client.scan(client.tables("main_")["names"])["name"].to_pylist()) == ["user 1", "user 2", "user 3"]


# -- Who


def test_the_identifier_does_where_the_token_is_missing(own: Airport):
    assert own.identifier and own.token not in own.identifier
    assert own.scan(own.tables("main_")["things"]).num_rows == 10


def test_without_token_or_identifier_nothing_is_read(own: Airport):
    things = own.tables("main_")["things"]
    own.identifier = None
    with pytest.raises(flight.FlightUnauthenticatedError, match="(?i)token"):
        own.scan(things)
    own.secret = True
    assert own.scan(things).num_rows == 10


def test_forged_identifiers_are_refused(own: Airport):
    things = own.tables("main_")["things"]
    genuine = own.identifier
    payload, signature = genuine.split(".")
    for forged in (genuine[:-1] + ("0" if genuine[-1] != "0" else "1"), payload, f"{payload}.{'0' * 64}", "x" + genuine,
                   f"{payload[:-2]}AA.{signature}", own.token):
        own.identifier = forged
        with pytest.raises(flight.FlightUnauthenticatedError, match="(?i)identifier|token") as refused:
            own.scan(things)
        assert forged not in str(refused.value)


def test_an_identifier_ends_with_its_token(product: Proxy, sub: str, user):
    user.query("CREATE TABLE brief AS SELECT 1 AS a")
    client = Airport(product.location, token(sub, secret=product.secret, seconds=4), "memory").begin()
    table = client.tables("main_")["brief"]
    assert client.scan(table).num_rows == 1

    def refused() -> bool:
        try:
            client.scan(table)
        except flight.FlightUnauthenticatedError as error:
            assert "expired" in str(error)
            return True
        return False

    eventually(refused, "the identifier ends", 20)


def test_another_users_identifier_is_refused_beside_a_token(product: Proxy, own: Airport, sub: str):
    things = own.tables("main_")["things"]
    other = Airport(product.location, product.token(f"{sub}-other"), "memory", secret=True)
    other.identifier = own.identifier
    with pytest.raises(flight.FlightUnauthenticatedError, match="another user"):
        other.scan(things)
    # And an identifier leads to its own user's worker only, where this table is not.
    other.secret = False
    other.begin()
    with pytest.raises(KeyError, match='There is no table or view "things"'):
        other.scan(things)


def test_an_identifier_runs_no_sql_and_changes_no_catalog(own: Airport):
    own.token = None
    descriptor = flight.FlightDescriptor.for_command(b"SELECT 42")
    with pytest.raises(flight.FlightUnauthenticatedError, match="SQL needs a token"):
        own.endpoints(descriptor, {}, own.scanning())
    with pytest.raises(flight.FlightUnauthenticatedError, match="(?i)token"):
        own.client.get_flight_info(descriptor, own.scanning())
    for action in ("create_transaction", "list_schemas", "create_schema", "drop_table", "BeginTransaction"):
        with pytest.raises(flight.FlightUnauthenticatedError, match="(?i)token"):
            own.act(action, {"catalog_name": "memory", "schema": "s"}, own.scanning())


def test_two_users_on_one_channel(product: Proxy, sub: str):
    """The extension has one channel for a location, whoever's token is used."""
    clients = [Airport(product.location, product.token(f"{sub}-{n}"), "memory", secret=True) for n in range(2)]
    clients[1].client = clients[0].client
    for n, client in enumerate(clients):
        client.take_flight(f"CREATE TABLE mine AS SELECT {n} AS n")
        client.begin()
    for n, client in enumerate(clients):
        assert client.scan(client.tables("main_")["mine"])["n"].to_pylist() == [n]


# -- Reading


def test_only_columns_asked_for_have_values(own: Airport):
    things = own.tables("main_")["things"]
    (endpoint,) = own.endpoints(things.info.descriptor, {"column_ids": [1]})
    rows = own.client.do_get(endpoint.ticket, own.scanning()).read_all()
    assert rows.schema.names == ["id", "name", "amount", "rowid"]
    assert [rows[name].null_count for name in rows.schema.names] == [10, 0, 10, 10]
    ids = own.scan(things, ["name"], row_ids=True)["rowid"].to_pylist()
    assert ids == list(range(ids[0], ids[0] + 10))


FILTERS = [
    ("COMPARE_EQUAL", 0, "INTEGER", 42, lambda row: row["id"] == 42),
    ("COMPARE_GREATERTHAN", 0, "INTEGER", 90, lambda row: row["id"] > 90),
    ("COMPARE_NOTEQUAL", 0, "INTEGER", 1, lambda row: row["id"] != 1),
    ("COMPARE_EQUAL", 1, "VARCHAR", "user 7", lambda row: row["name"] == "user 7"),
    ("COMPARE_LESSTHAN", 1, "VARCHAR", "user 2", lambda row: row["name"] < "user 2"),
    ("COMPARE_NOTEQUAL", 1, "VARCHAR", "user 7", lambda row: row["name"] != "user 7"),
    ("COMPARE_GREATERTHAN", 1, "VARCHAR", "USER 2", lambda row: row["name"] > "USER 2"),
]


@pytest.mark.parametrize("operator, index, kind, value, keeps", FILTERS)
def test_filters_on_postgres_leave_what_the_client_would(connect, operator, index, kind, value, keeps):
    client = connect("pg")
    users = client.tables("public")["users"]
    everything = client.scan(users).to_pylist()
    pushed = client.scan(users, filters=filters(["id", "name", "email"], compare(operator, index, kind, value))).to_pylist()
    expected = [row for row in everything if keeps(row)]
    key = lambda row: row["id"]  # noqa: E731
    assert sorted(pushed, key=key) == sorted(expected, key=key)


MYSQL_FILTERS = [
    ("COMPARE_EQUAL", 0, "INTEGER", 7, lambda row: row["id"] == 7),
    ("COMPARE_GREATERTHAN", 0, "INTEGER", 11, lambda row: row["id"] > 11),
    ("COMPARE_DISTINCT_FROM", 0, "INTEGER", 3, lambda row: row["id"] != 3),
    # MySQL's own collation knows no case.
    ("COMPARE_EQUAL", 2, "VARCHAR", "Norway", lambda row: row["country"] == "Norway"),
    ("COMPARE_EQUAL", 2, "VARCHAR", "norway", lambda row: False),
    ("COMPARE_GREATERTHAN", 1, "VARCHAR", "CUSTOMER 5", lambda row: row["name"] > "CUSTOMER 5"),
]


@pytest.mark.parametrize("operator, index, kind, value, keeps", MYSQL_FILTERS)
def test_filters_on_mysql_leave_what_the_client_would(connect, operator, index, kind, value, keeps):
    client = connect("my")
    customers = client.tables("shop")["customers"]
    everything = client.scan(customers).to_pylist()
    assert len(everything) == 20
    pushed = client.scan(customers, filters=filters(["id", "name", "country"], compare(operator, index, kind, value))).to_pylist()
    key = lambda row: row["id"]  # noqa: E731
    assert sorted(pushed, key=key) == sorted((row for row in everything if keeps(row)), key=key)


def test_filters_that_are_not_understood_leave_all_rows(connect):
    client = connect("pg")
    users = client.tables("public")["users"]
    strange = {"expression_class": "BOUND_FUNCTION", "type": "BOUND_FUNCTION", "name": "prefix", "children": []}
    later = {"expression_class": "BOUND_QUANTUM", "type": "COMPARE_EQUAL", "left": {}, "right": {}}
    for text in ("", "{", "no JSON", "[]", filters(["id"], strange), filters(["id"], later), filters([], compare("COMPARE_EQUAL", 0, "INTEGER", 1)),
                 filters(["id"], compare("COMPARE_EQUAL", 0, "VARCHAR", "1"))):
        assert client.scan(users, filters=text).num_rows == 100, text


def test_a_large_table_is_read_in_parallel_of_one_moment(connect, user):
    user.query("CREATE TABLE large AS SELECT i AS a FROM range(2000000) x(i)")
    client = connect("memory")
    large = client.tables("main_")["large"]
    endpoints = client.endpoints(large.info.descriptor, {"column_ids": [0]})
    assert len(endpoints) > 1
    user.query("DELETE FROM large WHERE a < 1000000")
    sums, counts = [0] * len(endpoints), [0] * len(endpoints)

    def read(n: int) -> None:
        for chunk in client.client.do_get(endpoints[n].ticket, client.scanning()):
            counts[n] += chunk.data.num_rows
            sums[n] += sum(chunk.data["a"].to_pylist())

    threads = [threading.Thread(target=read, args=(n,)) for n in range(len(endpoints))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert (sum(counts), sum(sums)) == (2_000_000, 2_000_000 * 1_999_999 // 2)


def test_progress_is_told(connect, user):
    user.query("CREATE TABLE large AS SELECT i AS a FROM range(500000) x(i)")
    client = connect("memory")
    progress: list[float] = []
    assert client.scan(client.tables("main_")["large"], progress=progress).num_rows == 500_000
    assert progress and progress == sorted(progress) and progress[-1] == 1.0


def test_sql_goes_through_as_it_is(connect, user):
    client = connect("")
    found = client.take_flight("SELECT u.name, o.amount FROM pg.public.users u JOIN pg.public.orders o ON o.customer_id = u.id ORDER BY o.id LIMIT 2")
    assert found.num_rows == 2
    user.query("CREATE TABLE counted (a INT)")
    assert client.take_flight("INSERT INTO counted VALUES (1), (2)").to_pylist() == [{"Count": 2}]
    assert user.value("SELECT count(*) FROM counted") == 2
    with pytest.raises(flight.FlightUnauthorizedError, match="Permission Error"):
        client.take_flight("SELECT * FROM read_csv('/etc/passwd')")


def test_statistics_say_nothing_that_later_rows_contradict(own: Airport, connect):
    """A client that believes them leaves out filters and packs values; its scan comes later and finds other rows."""
    things = own.tables("main_")["things"]
    for table in (things, connect("pg").tables("public")["users"]):
        assert b"can_produce_statistics" not in (table.schema.metadata or {})
    assert own.statistics(things, "id") == {"min": None, "max": None, "has_not_null": True, "has_null": True, "distinct_count": 0}
    text = own.statistics(things, "name")
    assert text["min"] == "" and text["max"] == "\U0010ffff" * 4 and text["has_null"] is True


def test_a_statement_timeout_covers_scans(start_proxy, engine, own_network, sub):
    config = base_config(engine, own_network)
    config["duckdb"]["statement_timeout"] = "2s"
    proxy = start_proxy(own_network, config)
    client = Airport(proxy.location, proxy.token(sub), "", secret=True)
    with pytest.raises((flight.FlightError, pa.ArrowException), match="took longer than"):
        client.take_flight("SELECT count(*) FROM range(100000000000) a(i) WHERE i % 7 = 3")


def test_what_accompanies_a_statement_counts_nothing(start_proxy, engine, own_network, sub):
    config = base_config(engine, own_network)
    config["security"]["rate_limit"] = {"requests_per_minute": 1, "burst_size": 4}
    proxy = start_proxy(own_network, config)
    client = Airport(proxy.location, proxy.token(sub), "memory", secret=True)
    client.take_flight("CREATE TABLE t AS SELECT 1 AS a")  # GetFlightInfo and endpoints
    table = client.begin().tables("main_")["t"]  # list_schemas
    for _ in range(20):
        client.begin()
        client.version()
        client.statistics(table, "a")
    assert client.scan(table).num_rows == 1  # endpoints
    with pytest.raises((flight.FlightError, pa.ArrowException), match="Rate limit exceeded"):
        client.scan(table)


# -- Writing


def batch(**columns) -> pa.RecordBatch:
    return pa.RecordBatch.from_pydict({name: pa.array(values) for name, values in columns.items()})


def test_insert_update_delete(own: Airport, user):
    things = own.tables("main_")["things"]
    assert own.exchange("insert", things, [batch(id=[100, 101], name=["a", None], amount=[0.5, 1.5])])[0] == 2
    ids = {row["id"]: row["rowid"] for row in own.scan(things, ["id"], row_ids=True).to_pylist()}
    assert own.exchange("update", things, [batch(name=["changed", "too"], rowid=[ids[3], ids[101]])])[0] == 2
    assert own.exchange("delete", things, [batch(rowid=[ids[0], ids[1]])])[0] == 2
    assert user.rows("SELECT id, name FROM things WHERE id IN (0, 1, 3, 100, 101) ORDER BY id") == [(3, "changed"), (100, "a"), (101, "too")]


def row_ids(client: Airport, table: Table) -> list[int]:
    return client.scan(table, [table.columns[0]], row_ids=True)["rowid"].to_pylist()


def test_returning(own: Airport):
    things = own.tables("main_")["things"]
    ids = row_ids(own, things)
    changed, back = own.exchange("insert", things, [batch(id=[200], name=["x"], amount=[1.0]), batch(id=[201], name=["y"], amount=[2.0])], True)
    assert changed == 2 and [one.num_rows for one in back] == [1, 1]
    assert back[1].to_pylist()[0]["id"] == 201
    changed, back = own.exchange("delete", things, [batch(rowid=[ids[2]])], True)
    assert changed == 1 and back[0].to_pylist()[0]["name"] == "thing 2"


def test_a_write_that_fails_writes_nothing(own: Airport, user):
    things = own.tables("main_")["things"]
    ids = row_ids(own, things)
    with pytest.raises((flight.FlightError, pa.ArrowException), match="Of 3 rows 1 were no longer there"):
        own.exchange("delete", things, [batch(rowid=ids[:2]), batch(rowid=[ids[0] + 999])])
    with pytest.raises(pa.ArrowInvalid, match="(?i)convert"):
        own.exchange("insert", things, [batch(id=["no number"], name=["x"], amount=[1.0])])
    assert user.value("SELECT count(*) FROM things") == 10


def test_a_write_that_breaks_off_writes_nothing(own: Airport, user):
    things = own.tables("main_")["things"]
    (first, *_) = row_ids(own, things)
    for operation, rows in (("insert", batch(id=[300], name=["x"], amount=[1.0])), ("delete", batch(rowid=[first])),
                            ("update", batch(name=["changed"], rowid=[first]))):
        more = [(b"airport-operation", operation.encode()), (b"return-chunks", b"1")]
        writer, reader = own.client.do_exchange(things.info.descriptor, own.scanning("x/y", more))
        writer.begin(rows.schema)
        assert reader.schema is not None
        writer.write_batch(rows)
        assert reader.read_chunk().data.num_rows == 1  # it is written, in the transaction of the call
        reader.cancel()
        with pytest.raises((flight.FlightError, pa.ArrowException)):
            writer.close()
        # Not before it is over can the row be changed by another statement.
        eventually(lambda: user.value("UPDATE things SET amount = amount WHERE id = 0") == 1, "the call has ended", 20)
        assert user.rows("SELECT count(*), min(name) FROM things") == [(10, "thing 0")]


def test_rows_that_were_moved_are_not_changed(own: Airport, user):
    user.query("CREATE TABLE large AS SELECT i AS a, 0 AS b FROM range(300000) x(i)")
    large = own.tables("main_")["large"]
    ids = dict(zip(*own.scan(large, ["a"], row_ids=True).to_pydict().values()))
    user.query("DELETE FROM large WHERE a % 4 <> 0")
    user.query("CHECKPOINT")
    for operation, rows in (("update", batch(b=pa.array([1], pa.int32()), rowid=[ids[30_000]])), ("delete", batch(rowid=[ids[30_000]]))):
        with pytest.raises((flight.FlightError, pa.ArrowException), match="may have moved"):
            own.exchange(operation, large, [rows])
    assert user.rows("SELECT count(*), sum(b) FROM large") == [(75_000, 0)]
    ids = dict(zip(*own.scan(large, ["a"], row_ids=True).to_pydict().values()))
    assert own.exchange("update", large, [batch(b=pa.array([1], pa.int32()), rowid=[ids[30_000]])])[0] == 1
    assert user.rows("SELECT a FROM large WHERE b = 1") == [(30_000,)]


def test_a_write_beside_a_scan_of_the_same_channel(own: Airport, user):
    """INSERT INTO … SELECT of one's own table: the scan is open while rows are written, and all have one channel."""
    user.query("CREATE TABLE source AS SELECT i AS id FROM range(1000000) x(i)")
    own.take_flight("CREATE TEMP TABLE scratch (a INT)")
    things, source = own.tables("main_")["things"], own.tables("main_")["source"]
    scans = [own.endpoints(source.info.descriptor, {"column_ids": [0]}) for _ in range(12)]
    assert own.exchange("insert", things, [batch(id=[400], name=["x"], amount=[1.0])])[0] == 1
    for endpoints in scans:
        assert sum(own.client.do_get(one.ticket, own.scanning()).read_all().num_rows for one in endpoints) == 1_000_000


def test_a_limit_is_reached_without_an_error(own: Airport, user):
    user.query("CREATE TABLE source AS SELECT i AS id, repeat('x', 50) AS b FROM range(2000000) x(i)")
    source = own.tables("main_")["source"]
    endpoints = own.endpoints(source.info.descriptor, {"column_ids": [0, 1]})
    assert len(endpoints) > 1
    first, second = (own.client.do_get(one.ticket, own.scanning()) for one in endpoints[:2])
    taken = first.read_chunk().data.num_rows
    first.cancel()
    rest = second.read_all().num_rows + sum(own.client.do_get(one.ticket, own.scanning()).read_all().num_rows for one in endpoints[2:])
    assert 1_000_000 < rest <= 2_000_000 - taken


def test_sql_has_no_transactions(own: Airport, user):
    for sql in ("BEGIN", "BEGIN; INSERT INTO things VALUES (1, 'x', 1); COMMIT", "ROLLBACK"):
        with pytest.raises(pa.ArrowInvalid, match="airport has no transactions"):
            own.take_flight(sql)
    things = own.tables("main_")["things"]
    own.exchange("insert", things, [batch(id=[500], name=["x"], amount=[1.0])])
    assert user.value("SELECT count(*) FROM things") == 11


def test_attached_databases_follow_read_only(connect):
    client = connect("pg")
    small = client.tables("public")["small"]
    for operation, rows in (("insert", batch(a=[3], b=["x"])), ("delete", batch(rowid=[0])), ("update", batch(a=[3], rowid=[0]))):
        # INVALID_ARGUMENT, which the extension does not try again
        with pytest.raises(pa.ArrowInvalid, match='"pg" is attached read-only'):
            client.exchange(operation, small, [rows])
    assert client.scan(small).num_rows == 2


def test_attached_databases_are_written_where_the_operator_allows(start_proxy, engine, own_network, network, postgres, sub):
    postgres.run("CREATE TABLE written (a int, b text)")
    try:
        databases = [{"alias": "rw", "type": "postgres", "connection_string": postgres.url, "read_only": False}]
        proxy = start_proxy(network, base_config(engine, network, databases))
        client = Airport(proxy.location, proxy.token(sub), "rw").begin()
        written = client.tables("public")["written"]
        assert client.exchange("insert", written, [batch(a=pa.array([1, 2], pa.int32()), b=["x", "y"])])[0] == 2
        assert client.scan(written).num_rows == 2
        for operation, rows in (("delete", batch(rowid=[0])), ("update", batch(a=[3], rowid=[0]))):
            with pytest.raises(pa.ArrowInvalid, match="row identifiers"):
                client.exchange(operation, written, [rows])
    finally:
        postgres.run("DROP TABLE written")


def test_schemas_tables_and_columns(own: Airport, user):
    (body,) = own.act("create_schema", {"catalog_name": "memory", "schema": "work", "comment": None, "tags": {}})
    assert peer.inflate(peer.unpack(body)["serialized"]) == []
    schema = pa.schema([("a", pa.int32()), ("b", pa.string())])
    (body,) = own.act("create_table", {"catalog_name": "memory", "schema_name": "work", "table_name": "t", "arrow_schema": schema.serialize().to_pybytes(),
                                       "on_conflict": "error", "not_null_constraints": [0], "unique_constraints": [], "check_constraints": ["a > 0"]})
    info = flight.FlightInfo.deserialize(body)
    table = Table(info, peer.unpack(info.app_metadata))
    assert table.columns == ["a", "b"] and table.has_row_ids and not table.schema.field("a").nullable
    own.exchange("insert", table, [batch(a=pa.array([1], pa.int32()), b=["x"])])
    named = {"catalog": "memory", "schema": "work", "name": "t", "ignore_not_found": False}
    column = pa.schema([("c", pa.float64())]).serialize().to_pybytes()
    (body,) = own.act("add_column", {**named, "if_column_not_exists": False, "column_schema": column})
    assert flight.FlightInfo.deserialize(body).schema.names == ["a", "b", "c", "rowid"]
    own.act("rename_column", {**named, "new_name": "d", "old_name": "c"})
    own.act("remove_column", {**named, "removed_column": "b", "if_column_exists": False, "cascade": False})
    assert user.query("SELECT * FROM memory.work.t").schema.names == ["a", "d"]
    drop = {"type": "table", "catalog_name": "memory", "schema_name": "work", "name": "t", "ignore_not_found": False}
    assert own.act("drop_table", drop) == []
    with pytest.raises(KeyError, match="Table with name t does not exist"):
        own.act("drop_table", drop)
    assert own.act("drop_schema", {**drop, "type": "schema", "schema_name": "", "name": "work"}) == []


def test_attached_catalogs_can_not_be_changed(connect):
    with pytest.raises((pa.ArrowException, flight.FlightError), match="(?i)read-only"):
        connect("pg").act("create_schema", {"catalog_name": "pg", "schema": "mine", "comment": None, "tags": {}})


# -- Bad input


@pytest.mark.parametrize("body", [b"", b"\xc1", b"\x81", b"\x93\x01\x02\x03", b"\x91" * 10_000, b"\x81\xa1a\xdf\xff\xff\xff\xff"])
def test_bodies_that_are_none_are_refused(own: Airport, body: bytes):
    for action in ("list_schemas", "endpoints", "column_statistics", "create_table", "flight_info"):
        with pytest.raises(pa.ArrowInvalid, match="body is no m"):
            list(own.client.do_action(flight.Action(action, body), own.attached()))
    assert own.scan(own.tables("main_")["things"]).num_rows == 10


def test_workers_as_processes_serve_it_as_well(alone: Proxy, sub: str):
    client = Airport(alone.location, alone.token(sub), "pg").begin()
    assert client.scan(client.tables("public")["users"]).num_rows == 100

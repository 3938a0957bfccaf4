"""POST /quack: DuckDB 1.5 (version 1 of the protocol, as the PondPilot app has it) and DuckDB 2.0 (version 3) as clients that
ATTACH the proxy, and ADBC's driver for it."""

import http.client
import subprocess
import threading
import time

import pytest

from tests.support.engine import command, docker
from tests.support.proxy import Proxy, idle
from tests.support.raw_http import exchange
from tests.support.waiting import eventually

ENDLESS = "SELECT count(*) FROM range(10000000) a, range(10000000) b WHERE a.range + b.range = -1"


@pytest.fixture
def old(product: Proxy, sub: str):
    """DuckDB 1.5.5 with the proxy attached as `r`; runs SQL and gives its rows."""
    try:
        import duckdb
        import duckdb_extensions
    except ImportError as error:
        pytest.skip(f"DuckDB 1.5 is not installed: {error}")
    assert duckdb.__version__.startswith("1.5."), duckdb.__version__
    connection = duckdb.connect()
    for name in ("httpfs", "quack"):
        duckdb_extensions.import_extension(name, connection)
    connection.execute("LOAD httpfs; LOAD quack")

    def run(sql: str) -> list[tuple]:
        return connection.execute(sql).fetchall()

    run.attach = lambda token: run(f"ATTACH 'quack:localhost:{product.port(8080)}' AS r (TOKEN '{token}')")
    run.attach(product.token(sub))
    run.connection = connection
    run.error = duckdb.Error
    yield run
    connection.close()


class New:
    """DuckDB 2.0's command line in a container, with the proxy attached as `r`."""

    def __init__(self, proxy: Proxy, token: str) -> None:
        self.proxy, self.token = proxy, token
        self.name = proxy.engine.name("duckdb")

    def words(self, script: str) -> list[str]:
        attach = f"ATTACH 'quack:{self.proxy.container}:8080' AS r (TOKEN '{self.token}', DISABLE_SSL true);"
        return ["docker", "run", "--rm", "--init", "--name", self.name, "--network", self.proxy.network, "-m", "1g", "-e", "HOME=/tmp",
                "--entrypoint", "duckdb", self.proxy.engine.worker_image, "-csv", "-noheader", "-c",
                f"LOAD quack; SET threads = 2; {attach} {script}"]

    def __call__(self, script: str, check: bool = True) -> list[str]:
        done = command(*self.words(script), check=check, seconds=60)
        return (done.stdout if check else done.stdout + done.stderr).split("\n")[:-1]


@pytest.fixture
def new(product: Proxy, sub: str) -> New:
    return New(product, product.token(sub))


# -- version 1


def test_old_query_function(old):
    assert old("SELECT * FROM r.query('SELECT 42 AS a, [1, 2] AS b, ''x'' AS c')") == [(42, [1, 2], "x")]
    assert old("SELECT count(*), sum(a), count(b) FROM r.query('SELECT range AS a, ''row '' || range AS b FROM range(300000)')") == [
        (300000, 44999850000, 300000)]


def test_old_types(old):
    sql = ("SELECT 1::TINYINT, 2::UBIGINT, 3::HUGEINT, 1.5::DECIMAL(10,2), 2.5::DOUBLE, DATE '2026-01-02', TIME '12:30:00', "
           "TIMESTAMP '2026-01-02 03:04:05', INTERVAL 90 MINUTE, 'b'::BLOB, '00000000-0000-0000-0000-000000000001'::UUID, NULL, "
           "[[1], NULL, []], {'a': 1, 'b': ['x']}, MAP {'k': 1}, 'y'::ENUM('x', 'y'), [1, 2]::INTEGER[2], '101'::BIT, '[1]'::JSON, "
           "true, '\U0001f986'")
    quoted = sql.replace("'", "''")
    assert old(f"SELECT * FROM r.query('{quoted}')") == old(sql)


def test_old_creates_and_changes(old):
    assert old("CREATE TABLE r.made AS SELECT range AS a, 'row ' || range AS b FROM range(5000)") == [(5000,)]
    assert old("INSERT INTO r.made VALUES (5000, NULL)") == [(1,)]
    assert old("SELECT count(*), count(b), sum(a) FROM r.made") == [(5001, 5000, 12502500)]
    assert old("SELECT b FROM r.main.made WHERE a = 7") == [("row 7",)]
    old("CREATE VIEW r.seen AS SELECT a FROM made WHERE a < 3")
    assert old("SELECT sum(a) FROM r.seen") == [(3,)]
    old("DROP VIEW r.seen; DROP TABLE r.made")
    with pytest.raises(old.error, match="made"):
        old("SELECT * FROM r.made")


def test_old_transactions(old):
    old("SELECT * FROM r.query('CREATE TABLE kept (a INTEGER)')")
    old("SELECT * FROM r.query('BEGIN')")
    old("SELECT * FROM r.query('INSERT INTO kept VALUES (1)')")
    old("SELECT * FROM r.query('ROLLBACK')")
    assert old("SELECT * FROM r.query('SELECT count(*) FROM kept')") == [(0,)]


def test_old_errors_say_what_is_wrong(old):
    with pytest.raises(old.error, match="Parser Error: syntax error"):
        old("SELECT * FROM r.query('SELECT 1/')")
    with pytest.raises(old.error, match="Permission Error"):
        old("SELECT * FROM r.query('COPY (SELECT 1) TO ''/tmp/x''')")
    with pytest.raises(old.error, match="stop"):
        old("SELECT sum(n) FROM r.query('SELECT CASE WHEN range = 290000 THEN error(''stop'') END AS n FROM range(300000)')")
    assert old("SELECT * FROM r.query('SELECT 1')") == [(1,)]


@pytest.mark.parametrize("token", ["", "nonsense", "a.b.c"])
def test_old_bad_tokens(old, token):
    old("DETACH r")
    with pytest.raises(old.error, match="(?i)token"):
        old.attach(token)


def test_old_expired_token(old, product, sub):
    old("DETACH r")
    old.attach(product.token(sub, seconds=2))
    expired = time.time() + 2.1
    eventually(lambda: time.time() > expired, "the token has expired", 5)
    with pytest.raises(old.error, match="The token has expired"):
        old("SELECT * FROM r.query('SELECT 1')")


@pytest.fixture
def other_schemas(postgres, mariadb):
    """A table in a schema that is not the default one, on each server."""
    postgres.run("CREATE SCHEMA sales; CREATE TABLE sales.\"the deals\" AS SELECT 7 AS a, 'x' AS b")
    mariadb.run("CREATE DATABASE second; CREATE TABLE second.far AS SELECT 5 AS a; GRANT SELECT ON second.* TO reader@'%'")
    yield
    postgres.run("DROP SCHEMA sales CASCADE")
    mariadb.run("DROP DATABASE second; REVOKE SELECT ON second.* FROM reader@'%'")


def test_old_reaches_other_schemas(other_schemas, old):
    assert old('SELECT b, a FROM r."pg.sales"."the deals"') == [("x", 7)]
    assert old('FROM r."my.second".far') == [(5,)]
    assert old("""SELECT schema_name, column_name FROM r.query('SELECT * FROM duckdb_columns() AS c WHERE c.database_name = current_database()')
                  WHERE table_name = 'the deals' ORDER BY ALL""") == [("pg.sales", "a"), ("pg.sales", "b")]
    assert old("SELECT * FROM r.query('SELECT a FROM pg.sales.\"the deals\"')") == [(7,)]


def test_old_sees_attached_databases(old):
    """As views in schemas that have the databases' names."""
    assert old("SELECT count(*) FROM r.pg.orders") == [(1000,)]
    assert old("SELECT count(*) FROM r.my.customers") == old("SELECT * FROM r.query('SELECT count(*) FROM my.customers')")
    assert old("SELECT a, b FROM r.sl.small ORDER BY a") == [(1, "one"), (2, "two")]
    assert old("SELECT o.id FROM r.pg.orders o JOIN (SELECT 7 AS id) x USING (id)") == [(7,)]
    listed = ("SELECT c.schema_name, c.table_name, c.column_name FROM duckdb_columns() c LEFT JOIN duckdb_tables() t USING "
              "(database_name, schema_name, table_name) WHERE c.database_name = current_database() AND NOT c.internal")
    found = old("SELECT * FROM r.query('" + listed + "')")
    assert {("pg", "orders", "id"), ("sl", "small", "b")} <= set(found)


def test_users_have_databases_of_their_own(old, product, sub):
    old("SELECT * FROM r.query('CREATE TABLE mine (a INTEGER)')")
    other = New(product, product.token(sub + "-other"))
    assert "mine" not in "".join(other("SELECT table_name FROM r.query('SELECT table_name FROM duckdb_tables()');"))


# -- version 3


def test_new_reads_and_changes(new):
    out = new("CREATE TABLE r.t (i INTEGER, s VARCHAR, d DECIMAL(10,2)); INSERT INTO r.t VALUES (1, 'a', 1.5), (2, NULL, 2.25);"
              "SELECT * FROM r.t ORDER BY i; UPDATE r.t SET s = 'b' WHERE i = 1; DELETE FROM r.t WHERE i = 2;"
              "SELECT * FROM r.t; SELECT count(*) FROM r.t; DROP TABLE r.t;")
    assert "1,a,1.50" in out and ("2,NULL,2.25" in out or "2,,2.25" in out)
    assert "1,b,1.50" in out


def test_new_fetches_in_parallel(new):
    out = new("CREATE TABLE r.big AS SELECT range AS a, 'row ' || range AS b FROM range(1000000);"
              "CREATE TEMP TABLE here AS FROM r.big; SELECT count(*), sum(a), count(DISTINCT b) FROM here; DROP TABLE r.big;")
    assert "1000000,499999500000,1000000" in out


def test_new_uploads(new):
    out = new("CREATE TEMP TABLE here AS SELECT range AS a, 'row ' || range AS b FROM range(500000);"
              "CREATE TABLE r.up (a BIGINT, b VARCHAR); INSERT INTO r.up SELECT * FROM here;"
              "BEGIN; INSERT INTO r.up (a) SELECT a FROM here; ROLLBACK;"
              "SELECT count(*), sum(a), count(b) FROM r.up; DROP TABLE r.up;")
    assert "500000,124999750000,500000" in out


def test_new_failed_upload_leaves_nothing(new):
    out = new("CREATE TEMP TABLE here AS SELECT CASE WHEN range < 499999 THEN range ELSE 5 END AS a FROM range(500000);"
              "CREATE TABLE r.keys (a BIGINT PRIMARY KEY); INSERT INTO r.keys SELECT * FROM here;", check=False)
    assert "uplicate key" in "".join(out)
    assert new("SELECT count(*) FROM r.keys; DROP TABLE r.keys;")[0] == "0"


def test_new_transactions(new):
    out = new("CREATE TABLE r.tx (a INTEGER); BEGIN; INSERT INTO r.tx VALUES (1); SELECT 'inside', count(*) FROM r.tx; ROLLBACK;"
              "SELECT 'after', count(*) FROM r.tx; DROP TABLE r.tx;")
    assert "inside,1" in out and "after,0" in out


def test_new_errors_keep_their_class(new):
    out = "\n".join(new("SELECT * FROM r.query('SELECT 1/');", check=False))
    assert "Parser Error: syntax error" in out and "Invalid Input" not in out
    assert "Permission Error" in "\n".join(new("SELECT * FROM r.query('LOAD quack');", check=False))
    assert "token" in "\n".join(New(new.proxy, "wrong-token")("SELECT 1;", check=False))


def test_new_reads_attached_databases(new):
    assert "1000" in new("SELECT * FROM r.query('SELECT count(*) FROM pg.public.orders');")


def test_a_client_that_vanishes_stops_its_statement(new, product, sub):
    client = subprocess.Popen(new.words(f"SELECT * FROM r.query('{ENDLESS}');"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        eventually(lambda: product.log_lines("Quack client attached") and not idle(product.worker_of(sub)), "the statement runs", 30)
        docker("kill", new.name)
        gone = time.monotonic()
        eventually(lambda: idle(product.worker_of(sub)), "the statement has stopped", 10)
        # Two looks of a quarter of a second, and what starting them takes.
        assert time.monotonic() - gone < 3
    finally:
        client.wait(30)


# -- other clients


def test_adbc(product, sub):
    try:
        import adbc_driver_quack.dbapi as quack
        import pyarrow as pa
    except ImportError as error:
        pytest.skip(f"adbc-driver-quack is not installed: {error}")
    connection = quack.connect(f"quack://localhost:{product.port(8080)}", db_kwargs={"adbc.quack.token": product.token(sub)})
    cursor = connection.cursor()
    cursor.adbc_ingest("sent", pa.table({"a": list(range(5000)), "s": [f"v{n}" for n in range(5000)]}), mode="create")
    connection.commit()
    cursor.execute("SELECT count(*) AS n, sum(a) AS s FROM sent")
    assert cursor.fetch_arrow_table().to_pylist() == [{"n": 5000, "s": 12497500}]
    cursor.execute("SELECT range AS a FROM range(200000)")
    assert cursor.fetch_arrow_table().num_rows == 200000
    connection.close()


def post(product: Proxy, body: bytes, **headers: str) -> tuple[int, dict, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", product.port(8080), timeout=30)
    try:
        connection.request("POST", "/quack", body, headers)
        answer = connection.getresponse()
        return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()
    finally:
        connection.close()


def test_what_is_no_message_is_an_error_of_the_protocol(product):
    for body in (b"", b"{}", b"\x01\x00", b"\x00" * 100, b"\xff" * 1000, b"\x01\x00\x63\xff\xff"):
        status, headers, answer = post(product, body)
        assert (status, headers["content-type"], answer[2]) == (200, "application/vnd.duckdb", 100), body
    unknown = b"\x01\x00\x03\x02\x00\x20" + b"0" * 32 + b"\x03\x00\x01\xff\xff\x01\x00\x01x\xff\xff"
    assert b"Invalid connection id" in post(product, unknown)[2]


def test_a_large_message_of_a_stranger_is_not_waited_for(product):
    head = b"POST /quack HTTP/1.1\r\nHost: x\r\nContent-Type: application/vnd.duckdb\r\n"
    unknown = b"\x01\x00\x09\x02\x00\x20" + b"0" * 32 + b"\x03\x00\x01\xff\xff" + b"x" * 100
    for begin, said in ((unknown, b"Invalid connection id"), (b"{" * 100, b"can't be read"), (b"\x01\x00\x01\xff\xff" + b"x" * 100, b"up to 73728 bytes")):
        answer = exchange(product, head + b"Content-Length: 40000000\r\n\r\n" + begin)
        assert answer.startswith(b"HTTP/1.1 200 ") and said in answer, answer
    # Where the length isn't said, not beyond what is always read.
    answer = exchange(product, head + b"Transfer-Encoding: chunked\r\n\r\n20000\r\n" + unknown + b"x" * (0x20000 - len(unknown)))
    assert b"Invalid connection id" in answer


def test_many_at_once_do_not_meet(product, sub):
    """Connections of one user at the same time, each with temporary tables of its own."""
    outcomes: list[list[str]] = []

    def one(number: int) -> None:
        client = New(product, product.token(sub))
        outcomes.append(client(f"SELECT * FROM r.query('CREATE TEMP TABLE own AS SELECT {number} AS n');"
                               "SELECT n FROM r.query('SELECT n FROM own');"))

    threads = [threading.Thread(target=one, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(90)
    assert sorted(out[-1] for out in outcomes) == ["0", "1", "2"]

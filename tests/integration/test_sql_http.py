"""POST /sql and GET /catalog: a worker behind plain HTTP."""

import concurrent.futures
import gzip
import http.client
import io
import json
import threading

import pyarrow as pa
import pytest
import requests

from tests.support.engine import docker
from tests.support.proxy import Proxy, base_config, idle
from tests.support.waiting import eventually


@pytest.fixture
def proxy(product: Proxy) -> Proxy:
    return product


@pytest.fixture
def ask(proxy: Proxy, sub: str):
    def post(sql: str, accept: str | None = None, headers: dict | None = None, stream: bool = False, **fields):
        sent = {"Authorization": f"Bearer {proxy.token(sub)}", **(headers or {})}
        if accept is not None:
            sent["Accept"] = accept
        return proxy.post("/sql", json={"sql": sql, **fields}, headers=sent, stream=stream, timeout=60)

    return post


def rows(answer: requests.Response) -> list:
    assert answer.status_code == 200, answer.text
    return answer.json()["rows"]


def test_databases_joined_over_http(ask):
    answer = ask("SELECT c.country, count(*) AS n FROM pg.public.orders o JOIN my.customers c ON o.customer_id = c.id "
                 "GROUP BY ALL ORDER BY ALL")
    assert answer.headers["Content-Type"] == "application/json"
    assert "Content-Length" in answer.headers
    assert answer.json() == {
        "columns": [{"name": "country", "type": "VARCHAR"}, {"name": "n", "type": "BIGINT"}],
        "rows": [{"country": "Chile", "n": 500}, {"country": "Norway", "n": 500}], "row_count": 2}


def test_formats_say_the_same(ask):
    sql = "SELECT range AS n, 'row ' || range AS s, CASE WHEN range % 2 = 0 THEN range / 2 END AS h FROM range(100000)"
    as_json = rows(ask(sql))
    assert [len(as_json), as_json[3]] == [100000, {"n": 3, "s": "row 3", "h": None}]
    assert rows(ask(sql, shape="arrays"))[3] == [3, "row 3", None]
    ndjson = ask(sql, "application/x-ndjson")
    assert [json.loads(line) for line in ndjson.text.splitlines()] == as_json
    csv = ask(sql, "text/csv").text.splitlines()
    assert (csv[0], csv[4], len(csv)) == ("n,s,h", "3,row 3,", 100001)
    table = pa.ipc.open_stream(io.BytesIO(ask(sql, "application/vnd.apache.arrow.stream").content)).read_all()
    assert table.to_pylist() == as_json
    columns = ask("SELECT range AS n FROM range(3)", shape="columns").json()
    assert columns["data"] == {"n": [0, 1, 2]}


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
def test_codings(ask, proxy, sub, coding):
    sql = "SELECT range AS n, repeat('x', 50) AS s FROM range(200000)"
    answer = ask(sql, "text/csv", headers={"Accept-Encoding": coding}, stream=True)
    assert answer.headers["Content-Encoding"] == coding
    assert "Accept-Encoding" in answer.headers["Vary"]
    raw = answer.raw.read(decode_content=False)
    assert len(raw) < 2_000_000
    plain = gzip.decompress(raw) if coding == "gzip" else pa.input_stream(io.BytesIO(raw), compression="zstd").read()
    assert plain == ask(sql, "text/csv", headers={"Accept-Encoding": "identity"}).content
    assert "Content-Encoding" not in ask("SELECT 42", headers={"Accept-Encoding": coding}).headers


def test_parameters(ask):
    assert rows(ask("SELECT $1 + 1 AS a, $2 AS b, DATE '2026-01-02' = $3 AS c", parameters=[41, None, "2026-01-02"])) == [
        {"a": 42, "b": None, "c": True}]
    assert rows(ask("SELECT name FROM pg.public.users WHERE id = $id", parameters={"id": 7})) == [{"name": "user 7"}]
    assert rows(ask("SELECT count(*) AS n FROM pg.public.users WHERE list_contains($ids, id)",
                    parameters={"ids": [1, 2, 3]})) == [{"n": 3}]
    hostile = "x'; DROP TABLE users; --"
    assert rows(ask("SELECT $1 AS v", parameters=[hostile])) == [{"v": hostile}]


def test_errors_before_the_first_byte(ask):
    for sql, status, code in [("SELECT * FROM nowhere", 400, "sql_error"), ("SELEC 1", 400, "sql_error"),
                              ("COPY (SELECT 1) TO '/tmp/x'", 403, "permission_denied"),
                              ("SELECT repeat('x', 4000000000)", 422, "resources_exhausted")]:
        answer = ask(sql, "text/csv")
        assert (answer.status_code, answer.headers["Content-Type"]) == (status, "application/problem+json"), answer.text
        problem = answer.json()
        assert problem["code"] == code and problem["request_id"] == answer.headers["X-Request-Id"], problem


BREAKS = "SELECT CASE WHEN range < 5000000 THEN range ELSE error('boom') END AS n FROM range(50000000)"


def test_an_error_in_the_middle_is_seen(ask):
    answer = ask(BREAKS)
    assert answer.status_code == 200
    document = answer.json()
    assert document["error"]["code"] == "sql_error" and "boom" in document["error"]["detail"]
    assert document["row_count"] == len(document["rows"]) > 1000
    for accept in ("application/x-ndjson", "text/csv", "application/vnd.apache.arrow.stream"):
        answer = ask(BREAKS, accept, stream=True)
        assert answer.status_code == 200
        received = b""
        with pytest.raises((requests.exceptions.ChunkedEncodingError, requests.exceptions.ConnectionError)):
            for piece in answer.iter_content(1 << 16):
                received = received[-1000:] + piece
        if accept == "application/x-ndjson":
            assert "boom" in json.loads(received.splitlines()[-1])["error"]["detail"]


def running(proxy: Proxy, sub: str) -> int:
    answer = proxy.get("/admin/workers", headers={"Authorization": f"Bearer {proxy.token('olga', pondpilot_admin=True)}"})
    return sum(row["calls"] for row in answer.json()["workers"] if row["user_id"] == sub)


LONG = "SELECT sum(a.range * b.range) AS s FROM range(10000000) a, range(10000000) b"


def test_a_client_that_goes_ends_its_statement(ask, proxy, sub):
    ask("SELECT 42")
    connection = http.client.HTTPConnection("127.0.0.1", proxy.port(8080), timeout=30)
    connection.request("POST", "/sql", json.dumps({"sql": LONG}), {"Authorization": f"Bearer {proxy.token(sub)}",
                                                                   "Content-Type": "application/json"})
    eventually(lambda: running(proxy, sub) == 1, "it runs", 10)
    connection.close()
    eventually(lambda: running(proxy, sub) == 0, "it is cancelled", 5)
    eventually(lambda: idle(proxy.worker_of(sub)), "the worker too has ended it", 10)


def test_a_slow_reader_holds_the_statement_back(ask, proxy, sub):
    answer = ask("SELECT repeat('x', 1000) AS s FROM range(20000000)", "text/csv", {"Accept-Encoding": "identity"}, stream=True)
    pieces = answer.iter_content(1 << 16)
    next(pieces)
    eventually(lambda: idle(proxy.worker_of(sub)), "the worker waits", 20)
    assert running(proxy, sub) == 1
    assert proxy.memory_mb() < 200
    answer.close()
    eventually(lambda: running(proxy, sub) == 0, "it is cancelled", 10)


def test_timeouts(ask):
    answer = ask(LONG, timeout_seconds=1)
    assert (answer.status_code, answer.json()["code"]) == (504, "timeout"), answer.text
    assert rows(ask("SELECT 1 AS a", timeout_seconds=30)) == [{"a": 1}]


def test_state_lasts_for_a_request_or_a_named_session(ask):
    assert rows(ask("CREATE TEMP TABLE t AS SELECT 7 AS a; SELECT a FROM t")) == [{"a": 7}]
    assert ask("SELECT a FROM t").status_code == 400
    ask("CREATE TEMP TABLE t AS SELECT 8 AS a", session="mine")
    assert rows(ask("SELECT a FROM t", session="mine")) == [{"a": 8}]
    assert ask("SELECT a FROM t", session="other").status_code == 400


def test_tables_are_shared_with_flight_and_no_other_user(ask, proxy, sub):
    ask("CREATE OR REPLACE TABLE shared AS SELECT 5 AS a")
    assert proxy.user(sub).value("SELECT a FROM shared") == 5
    other = proxy.post("/sql", json={"sql": "SELECT a FROM shared"},
                       headers={"Authorization": f"Bearer {proxy.token(sub + '-other')}"}, timeout=60)
    assert other.status_code == 400, other.text


def test_the_worker_that_dies_is_seen(ask, proxy, sub):
    ask("SELECT 42")
    answer = ask("SELECT repeat('x', 1000) AS s FROM range(20000000)", stream=True)
    pieces = answer.iter_content(1 << 16)
    next(pieces)
    docker("kill", proxy.worker_of(sub))
    with pytest.raises((requests.exceptions.ChunkedEncodingError, requests.exceptions.ConnectionError)):
        for _ in pieces:
            pass
    assert rows(ask("SELECT 42 AS a")) == [{"a": 42}]


def test_who_may_not(proxy, sub):
    assert proxy.post("/sql", json={"sql": "SELECT 1"}).status_code == 401
    assert proxy.get("/catalog").status_code == 401
    authorized = {"Authorization": f"Bearer {proxy.token(sub)}"}
    assert proxy.get("/sql", headers=authorized).headers["Allow"] == "POST, OPTIONS"
    assert proxy.post("/sql", data="a=b", headers={**authorized, "Content-Type": "application/x-www-form-urlencoded"}).status_code == 415
    assert proxy.post("/sql", json={"sql": "SELECT 1"}, headers={**authorized, "Accept": "image/png"}).status_code == 406
    assert proxy.post("/sql", data=b"SELECT 42 AS a", headers={**authorized, "Content-Type": "application/sql"}).json()["rows"] == [{"a": 42}]


def test_many_at_once(ask):
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda i: rows(ask("SELECT $1 AS i", parameters=[i])), range(200)))
    assert answers == [[{"i": i}] for i in range(200)]


def test_catalog(proxy, ask, sub):
    ask("CREATE OR REPLACE TABLE own (id INTEGER, tags VARCHAR[])")
    headers = {"Authorization": f"Bearer {proxy.token(sub)}"}
    databases = {row["name"]: row for row in proxy.get("/catalog", headers=headers, timeout=60).json()["databases"]}

    def columns(database: str, schema: str, table: str) -> list:
        (found,) = [s for s in databases[database]["schemas"] if s["name"] == schema]
        (table,) = [t for t in found["tables"] if t["name"] == table]
        return [(column["name"], column["type"]) for column in table["columns"]]

    assert columns("memory", "main", "own") == [("id", "INTEGER"), ("tags", "VARCHAR[]")]
    assert columns("pg", "public", "orders")[3] == ("amount", "DECIMAL(10,2)")
    assert ("country", "VARCHAR") in [pair for schema in databases["my"]["schemas"] for pair in
                                      columns("my", schema["name"], "customers")]
    one = proxy.get("/catalog?database=pg", headers=headers, timeout=60).json()["databases"]
    assert [row["name"] for row in one] == ["pg"]
    assert proxy.get("/catalog?schema=x", headers=headers).status_code == 400


def test_a_database_that_is_not_there_says_why(start_proxy, engine, own_network, sub):
    proxy = start_proxy(own_network, base_config(engine, own_network, [
        {"alias": "gone", "type": "postgres", "connection_string": "postgresql://u:pw-5ecr3t@nowhere.invalid:5432/db"}]))
    answer = proxy.get("/catalog", headers={"Authorization": f"Bearer {proxy.token(sub)}"}, timeout=60)
    assert answer.status_code == 200, answer.text
    (gone,) = [row for row in answer.json()["databases"] if row["name"] == "gone"]
    assert gone["available"] is False and gone["reason"] and "5ecr3t" not in answer.text


def test_requests_wait_for_one_worker(start_proxy, engine, own_network, sub):
    proxy = start_proxy(own_network, base_config(engine, own_network))
    headers = {"Authorization": f"Bearer {proxy.token(sub)}"}
    started = threading.Barrier(8)

    def first(_):
        started.wait()
        return proxy.post("/sql", json={"sql": "SELECT 42 AS a"}, headers=headers, timeout=60).json()["rows"]

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert list(pool.map(first, range(8))) == [[{"a": 42}]] * 8
    assert proxy.counts()["total_spawned"] == 1

"""What a user gets from SQL: joins across databases, a DuckDB of one's own, streams, cancel, databases that are down."""

import subprocess
import sys
import threading
import time

import pyarrow as pa
import pyarrow.compute
import pytest
from pyarrow import flight

from tests.support.databases import start_postgres
from tests.support.engine import ROOT, docker
from tests.support.proxy import base_config, idle
from tests.support.waiting import eventually

JOIN = """
SELECT c.country, COUNT(*) AS orders, SUM(o.amount) AS revenue, ANY_VALUE(t.target) AS target
FROM pg.public.orders o
  JOIN my.customers c ON c.id = o.customer_id
  JOIN tg.targets t ON t.country = c.country
GROUP BY c.country ORDER BY c.country
"""

ENDLESS = "SELECT COUNT(*) FROM range(10000000) a, range(10000000) b WHERE a.range + b.range = -1"


def test_one_statement_joins_three_databases(user):
    # Orders 1…1000 cost 1.25 times their number; even customers live in Chile, odd ones in Norway.
    even = sum(i for i in range(1, 1001) if i % 20 % 2 == 0)
    odd = sum(i for i in range(1, 1001) if i % 20 % 2 == 1)
    assert [(c, n, float(r), t) for c, n, r, t in user.rows(JOIN)] == [
        ("Chile", 500, even * 1.25, 2000.0),
        ("Norway", 500, odd * 1.25, 1000.0),
    ]


def test_the_sample_shop_is_there(user):
    assert user.value("SELECT COUNT(*) FROM shop.orders") == 360


def test_each_database_answers_metadata_statements(user):
    assert ("users",) in user.rows("SELECT table_name FROM duckdb_tables() WHERE database_name = 'pg'")
    described = user.query("DESCRIBE pg.public.users")
    assert described.column("column_name").to_pylist() == ["id", "name", "email"]


def test_attached_databases_are_read_only(user, postgres):
    customers = user.value("SELECT COUNT(*) FROM my.customers")
    for statement in ("INSERT INTO pg.public.users VALUES (1000, 'x', 'y')", "CREATE TABLE my.t (a INT)",
                      "UPDATE tg.targets SET target = 0", "DROP TABLE pg.public.users", "CREATE TABLE pg.public.t (a INT)"):
        assert "read-only" in str(user.refusal(statement)).lower(), statement
    user.refusal("DELETE FROM my.customers")  # DuckDB has no DELETE for MySQL at all, and says so
    assert user.value("SELECT COUNT(*) FROM my.customers") == customers
    assert postgres.run("SELECT COUNT(*) FROM users") == "100"


def test_two_users_have_two_workers_and_do_not_see_each_other(product, sub):
    alice, bob = product.user(f"{sub}-a"), product.user(f"{sub}-b")
    alice.query("CREATE TABLE secret_plans AS SELECT 42 AS answer")
    assert alice.value("SELECT answer FROM secret_plans") == 42

    assert "secret_plans" in str(bob.refusal("SELECT * FROM secret_plans"))
    assert ("secret_plans",) not in bob.rows("SELECT table_name FROM duckdb_tables()")
    bob.query("CREATE TABLE secret_plans AS SELECT 7 AS answer")
    assert bob.value("SELECT answer FROM secret_plans") == 7
    assert alice.value("SELECT answer FROM secret_plans") == 42
    assert product.worker_of(f"{sub}-a") != product.worker_of(f"{sub}-b")


def test_a_users_tables_stay_while_the_worker_is_warm(product, sub):
    with product.user(sub) as first:
        first.query("CREATE TABLE mine AS SELECT 1 AS a")
    with product.user(sub) as second:
        assert second.value("SELECT a FROM mine") == 1


def test_concurrent_first_queries_start_one_worker(product, sub):
    before = len([line for line in product.log_lines("Container spawned") if line["user_id"] == sub])
    assert before == 0
    answers: list[object] = []

    def ask() -> None:
        with product.user(sub) as each:
            answers.append(each.value("SELECT 42"))

    threads = [threading.Thread(target=ask) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert answers == [42] * 12
    assert len([line for line in product.log_lines("Container spawned") if line["user_id"] == sub]) == 1


def test_a_large_result_arrives_whole_and_in_large_batches(user):
    rows, total, batches = 0, 0, 0
    for batch in user.batches("SELECT range AS i, range * 2 AS twice, 'row ' || range AS name FROM range(3000000)"):
        rows += batch.num_rows
        total += pa.compute.sum(batch.column("i")).as_py()
        batches += 1
    assert (rows, total) == (3_000_000, 3_000_000 * 2_999_999 // 2)
    assert batches <= 3_000_000 / 60_000, "64k to 128k rows in a batch"


def test_the_first_batch_comes_before_the_query_has_ended(user):
    user.value("SELECT 42")
    reader = user.stream(
        "SELECT range, sum(range * 3 % 7) OVER (ROWS BETWEEN 100 PRECEDING AND CURRENT ROW) FROM range(200000)"
        " UNION ALL SELECT a.range, b.range FROM range(1000000) a, range(1000000) b")
    started = time.monotonic()
    reader.read_chunk()
    assert time.monotonic() - started < 30
    reader.cancel()


def test_an_empty_result_has_its_schema(user):
    table = user.query("SELECT 1 AS a, 'x' AS b WHERE false")
    assert table.num_rows == 0 and table.column_names == ["a", "b"]


def test_the_schema_in_the_info_is_the_streams(user):
    sql = "SELECT 1::TINYINT AS a, 1.5::DECIMAL(9, 2) AS b, DATE '2025-01-01' AS c, [1, 2] AS d, {'k': 'v'} AS e, NULL AS f"
    info = user.info(sql)
    reader = user.client.do_get(info.endpoints[0].ticket, user.options)
    assert info.schema.equals(reader.schema)
    assert reader.read_all().num_rows == 1


def test_a_small_result_outlives_its_worker(product, sub):
    user = product.user(sub)
    small = user.info("SELECT 42 AS answer, NULL AS nothing").endpoints[0].ticket
    large = user.info("SELECT range FROM range(1000)").endpoints[0].ticket
    docker("kill", product.worker_of(sub))
    assert user.client.do_get(small, user.options).read_all().to_pylist() == [{"answer": 42, "nothing": None}]
    with pytest.raises((flight.FlightError, pa.ArrowException)):
        user.client.do_get(large, user.options).read_all()


def test_of_two_changes_of_a_session_at_once_the_later_is_told(product, sub):
    user = product.user(sub)
    assert user.value("SELECT 42") == 42
    errors: list[Exception] = []
    slow = threading.Thread(target=lambda: errors.append(user.refusal(
        "CREATE TEMP TABLE slow AS SELECT count(*) AS n FROM range(30000) a, range(30000) b WHERE a.range + b.range = -1")))
    slow.start()
    eventually(lambda: not idle(product.worker_of(sub)), "the slow one runs", 20)
    user.query("BEGIN")
    user.query("CREATE TABLE kept AS SELECT 1 AS a")
    slow.join(60)
    assert len(errors) == 1 and "one after the other" in str(errors[0]), errors
    user.query("COMMIT")
    assert user.value("SELECT a FROM kept") == 1
    assert "slow" in str(user.refusal("SELECT * FROM slow"))


def test_types_and_nulls_survive(user):
    table = user.query("""
        SELECT * FROM (VALUES (1::BIGINT, 'ä€😀', true, TIMESTAMP '2025-03-04 05:06:07', 12.34::DECIMAL(10, 2), 'x'::BLOB),
                              (NULL, NULL, NULL, NULL, NULL, NULL)) v (i, s, b, t, d, x)""")
    first, second = table.to_pylist()
    assert (first["i"], first["s"], first["b"], str(first["d"]), first["x"]) == (1, "ä€😀", True, "12.34", b"x")
    assert first["t"].isoformat() == "2025-03-04T05:06:07"
    assert list(second.values()) == [None] * 6


def test_cancelling_a_stream_stops_the_worker(product, sub):
    user = product.user(sub)
    assert user.value("SELECT 42") == 42
    reader = user.stream("SELECT a.range, b.range FROM range(1000000) a, range(1000000) b")
    reader.read_chunk()
    reader.cancel()
    eventually(lambda: idle(product.worker_of(sub)), "the worker's CPU is idle", 5)
    assert user.value("SELECT 42") == 42


def test_a_deadline_stops_a_running_statement(product, sub):
    user = product.user(sub, timeout=3)
    assert user.value("SELECT 42") == 42
    started = time.monotonic()
    with pytest.raises(flight.FlightTimedOutError):
        user.query(ENDLESS)
    assert time.monotonic() - started < 10
    eventually(lambda: idle(product.worker_of(sub)), "the worker's CPU is idle", 5)
    assert user.value("SELECT 42") == 42


def test_a_client_that_is_killed_stops_its_statement(product, sub):
    user = product.user(sub)
    assert user.value("SELECT 42") == 42
    worker = product.worker_of(sub)
    script = f"from tests.support.flight import FlightUser\nFlightUser({product.location!r}, {product.token(sub)!r}).query({ENDLESS!r})"
    client = subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        eventually(lambda: not idle(worker), "the statement keeps the worker busy", 20)
    finally:
        client.kill()
        client.wait(10)
    eventually(lambda: idle(worker), "the worker's CPU is idle", 5)
    assert user.value("SELECT 42") == 42


def test_a_database_that_is_down_costs_only_its_own_queries(start_proxy, engine, network, databases, sqlite_mounts, sub):
    broken = [
        *databases,
        {"alias": "gone", "type": "postgres", "connection_string": "postgresql://u:hush-hush-pw@nowhere.invalid:5432/d"},
        {"alias": "mygone", "type": "mysql", "connection_string": "mysql://u:hush-hush-pw@nowhere.invalid:3306/d"},
        {"alias": "nofile", "type": "sqlite", "connection_string": "/data/not-there.db"},
    ]
    proxy = start_proxy(network, base_config(engine, network, broken), options=sqlite_mounts)
    user = proxy.user(sub)
    assert len(user.rows(JOIN)) == 2
    for alias, table in (("gone", "gone.public.t"), ("mygone", "mygone.t"), ("nofile", "nofile.t")):
        message = str(user.refusal(f"SELECT * FROM {table}"))
        assert alias in message, message
        assert "hush-hush-pw" not in message
        assert any(word in message.lower() for word in ("reach", "available", "connect", "resolve", "open", "exist")), message
    assert user.value("SELECT COUNT(*) FROM pg.public.users") == 100

    detailed = proxy.get("/health/detailed")
    assert "hush-hush-pw" not in detailed.text and "nowhere.invalid" not in detailed.text
    assert "gone" in detailed.text


def test_silent_databases_are_waited_for_together(start_proxy, engine, network, sub):
    silent = start_postgres(engine, network, f"silent-{engine.run_id}")
    silent.pause()  # the kernel goes on accepting connections for it
    url = silent.url
    proxy = start_proxy(network, base_config(engine, network, [
        {"alias": f"s{number}", "type": "postgres", "connection_string": url} for number in range(3)]))
    # One after the other they take 18 s.
    assert proxy.user(sub, timeout=9).value("SELECT 42") == 42
    assert "does not answer" in str(proxy.user(sub).refusal("SELECT * FROM s2.public.t"))
    silent.unpause()
    silent.remove()


def test_a_database_that_comes_up_late_is_attached(start_proxy, engine, network, sub):
    host = f"late-{engine.run_id}"
    late = [{"alias": "late", "type": "postgres",
             "connection_string": f"postgresql://user:pw-of-the-database-5ecr3t@{host}:5432/database"}]
    proxy = start_proxy(network, base_config(engine, network, late))
    user = proxy.user(sub)
    assert "late" in str(user.refusal("SELECT * FROM late.public.t"))
    user.query("CREATE TABLE mine AS SELECT 1 AS a")

    database = start_postgres(engine, network, host)
    database.run("CREATE TABLE t AS SELECT 7 AS a")

    def attached() -> bool:
        try:
            return user.value("SELECT a FROM late.public.t") == 7
        except (flight.FlightError, pa.ArrowException):
            return False

    eventually(attached, "the late database answers", 60, every=0.5)
    assert user.value("SELECT a FROM mine") == 1, "the worker is still the same"
    database.remove()


def test_a_database_that_restarts_is_found_again(start_proxy, engine, network, sub):
    host = f"restarts-{engine.run_id}"
    database = start_postgres(engine, network, host)
    database.run("CREATE TABLE t AS SELECT 7 AS a")
    proxy = start_proxy(network, base_config(engine, network, [
        {"alias": "db", "type": "postgres", "connection_string": database.url}]))
    user = proxy.user(sub)
    assert user.value("SELECT a FROM db.public.t") == 7
    database.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
                 " AND backend_type = 'client backend'")

    def answers() -> bool:
        try:
            return user.value("SELECT a FROM db.public.t") == 7
        except (flight.FlightError, pa.ArrowException):
            return False

    eventually(answers, "the database answers again", 30, every=0.3)
    database.remove()

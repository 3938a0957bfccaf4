"""POST /quack, as bytes: what goes on beneath an open connection, and clients that mean no good."""

import random
import struct
import threading
import time
import uuid

import pytest

from tests.support.engine import docker, inspect
from tests.support.proxy import Proxy, base_config, idle
from tests.support.quack import (APPEND, END, ERROR, FETCHED, HEARTBEAT, PREPARED, SENT, SUCCESS, Answer, RawQuack, Vector, chunk, field,
                                 number, text)
from tests.support.waiting import eventually

ENDLESS = "SELECT count(*) FROM range(10000000) a, range(10000000) b WHERE a.range + b.range = -1"
RESULT = uuid.UUID(int=7)


@pytest.fixture
def raw(product: Proxy, sub: str) -> RawQuack:
    return RawQuack(product, product.token(sub))


def busy(product: Proxy, sub: str) -> None:
    eventually(lambda: not idle(product.worker_of(sub)), "the statement runs", 30)


# -- life of a connection


def test_a_lease_runs_out_and_heartbeats_renew_it(product, sub, raw):
    """Three clients: one falls silent within a transaction, one only says that it is there, one waits for the first."""
    alive = RawQuack(product, product.token(sub))
    other = RawQuack(product, product.token(sub))
    alive.must("CREATE TEMP TABLE mine AS SELECT 41 AS n")
    other.must("CREATE TABLE fought_for AS SELECT 1 AS n")
    for sql in ("BEGIN", "UPDATE fought_for SET n = 2"):
        raw.must(sql)
    silent_since = time.monotonic()

    def updated() -> bool:
        assert alive.send(HEARTBEAT).type == SUCCESS
        answer = other.run("UPDATE fought_for SET n = 3")
        assert answer.type == PREPARED or "conflict" in answer.error.lower(), answer.whole
        return answer.type == PREPARED

    assert not updated(), "the first one's transaction is open"
    eventually(updated, "the silent one's transaction was rolled back", 90, every=2)
    assert time.monotonic() - silent_since >= 59, "not before its lease was over"
    assert "lease" in raw.run("SELECT 1").error
    assert raw.run("SELECT 1").type == PREPARED, "said once; then it goes on"
    assert alive.run("FROM mine").type == PREPARED


def test_cancel_stops_a_statement_from_another_connection_of_tcp(product, sub, raw):
    outcome: list[Answer] = []
    waits = threading.Thread(target=lambda: outcome.append(raw.run(ENDLESS, RESULT)))
    waits.start()
    busy(product, sub)
    assert raw.cancel(RESULT).type == SUCCESS
    waits.join(10)
    assert "cancelled" in outcome[0].error
    eventually(lambda: idle(product.worker_of(sub)), "nothing of it runs on", 5)
    assert raw.run("SELECT 1").type == PREPARED


def test_cancel_ends_an_open_result(raw):
    assert raw.run("SELECT range FROM range(50000000)", RESULT).type == PREPARED
    assert raw.fetch(RESULT, 1).type == FETCHED
    assert raw.cancel(RESULT).type == SUCCESS
    assert "closed" in raw.fetch(RESULT, 2).error
    assert raw.cancel(uuid.UUID(int=8)).type == SUCCESS, "what has ended needs no cancelling"


@pytest.mark.parametrize("version", [1, 3])
def test_a_statement_that_takes_too_long_is_stopped(start_proxy, engine, own_network, sub, version):
    config = base_config(engine, own_network)
    config["duckdb"]["statement_timeout"] = "1s"
    proxy = start_proxy(own_network, config)
    client = RawQuack(proxy, proxy.token(sub), version)
    error = client.run(ENDLESS).error
    assert "longer than 1 s" in error and "statement_timeout" in error
    worker = proxy.worker_of(sub)
    eventually(lambda: idle(worker), "nothing of it runs on", 5)
    assert client.run("SELECT 1").type == PREPARED and proxy.worker_of(sub) == worker


@pytest.mark.parametrize("version", [1, 3])
def test_a_worker_that_is_replaced(product, sub, version):
    client = RawQuack(product, product.token(sub), version)
    client.must("CREATE TEMP TABLE mine AS SELECT 41 AS n")
    first = product.worker_of(sub)
    docker("kill", first)
    error = client.run("FROM mine").error
    assert "worker" in error and ("replaced" in error or "ended" in error or "killed" in error), error
    # Said once; what needs nothing of the old worker's goes on, and so does a client that attaches anew.
    again = eventually(lambda: next((a for a in [client.run("SELECT 1")] if a.type == PREPARED), None), "it goes on", 20)
    assert again.type == PREPARED and product.worker_of(sub) != first
    assert "mine" in client.run("FROM mine").error
    assert RawQuack(product, product.token(sub), version).run("SELECT 42").type == PREPARED


@pytest.mark.parametrize("version", [1, 3])
def test_a_client_that_vanishes_stops_its_statement_within_a_second(product, sub, version):
    client = RawQuack(product, product.token(sub), version)
    connection = client.start(ENDLESS)
    busy(product, sub)
    connection.close()
    second = time.monotonic() + 1
    eventually(lambda: time.monotonic() >= second, "a second is over", 5)
    assert idle(product.worker_of(sub))
    assert client.run("SELECT 1").type == PREPARED


# -- rows such as no honest client sends


def flat(values: bytes) -> bytes:
    return field(100, b"\x00") + field(102, text(values))


def old_texts(count: int, *texts: bytes) -> bytes:
    return field(100, b"\x00") + field(102, number(count) + b"".join(texts))


def new_texts(total: int, lengths: list[int], raw_bytes: bytes) -> bytes:
    return (field(100, b"\x00") + field(107, number(total)) + field(108, text(struct.pack(f"<{len(lengths)}I", *lengths))) +
            field(109, text(raw_bytes)))


def lists(child_rows: int, entries: list[tuple[int, int]], child: bytes) -> bytes:
    spans = b"".join(field(100, number(offset)) + field(101, number(length)) + END for offset, length in entries)
    return field(100, b"\x00") + field(104, number(child_rows)) + field(105, number(len(entries)) + spans) + field(106, child + END)


def dictionary(selection: bytes, count: int, values: bytes) -> bytes:
    return field(90, number(3)) + field(91, text(selection)) + field(92, number(count)) + values


def with_validity(bits: bytes, values: bytes) -> bytes:
    return field(100, b"\x01") + field(101, text(bits)) + field(102, text(values))


def type_of(kind: int, info: bytes = b"") -> bytes:
    return field(100, number(kind)) + (field(101, b"\x01" + info + END) if info else b"")


INTEGER, VARCHAR, BOOLEAN = type_of(13), type_of(25), type_of(10)
LIST = type_of(101, field(100, number(4)) + field(200, INTEGER + END))
ENUM = type_of(104, field(100, number(6)) + field(200, number(2)) + field(201, number(2) + text("x") + text("y")))
STRUCT = type_of(100, field(100, number(5)) + field(200, number(1) + field(0, text("a")) + field(1, INTEGER + END) + END))

ONE = struct.pack("<i", 7)
HUGE = (1 << 64) - 1

# Tables, and rows that each of them takes.
TABLES = {"ints": "a INTEGER", "texts": "a VARCHAR", "lists": "a INTEGER[]", "enums": "a ENUM('x', 'y')", "flags": "a BOOLEAN",
          "structs": "a STRUCT(a INTEGER)"}
GOOD = [
    ("ints", chunk(1, Vector(INTEGER, flat(ONE)))),
    ("ints", chunk(3, Vector(INTEGER, dictionary(struct.pack("<3I", 0, 1, 0), 2, flat(ONE + ONE))))),
    ("ints", chunk(2, Vector(INTEGER, with_validity(b"\x01" + b"\x00" * 7, ONE + ONE)))),
    ("texts", chunk(1, Vector(VARCHAR, old_texts(1, text("größe"))))),
    ("texts", chunk(2, Vector(VARCHAR, new_texts(3, [1, 2], b"abc")))),
    ("lists", chunk(1, Vector(LIST, lists(2, [(0, 2)], flat(ONE + ONE))))),
    ("enums", chunk(1, Vector(ENUM, flat(b"\x01")))),
    ("flags", chunk(1, Vector(BOOLEAN, flat(b"\x01")))),
    ("structs", chunk(1, Vector(STRUCT, field(100, b"\x00") + field(103, number(1) + flat(ONE) + END)))),
]
# The frame is right in each; a value lies.
HOSTILE = {
    "too few values": ("ints", chunk(2, Vector(INTEGER, flat(ONE)))),
    "too many values": ("ints", chunk(1, Vector(INTEGER, flat(ONE * 1000)))),
    "half a value": ("ints", chunk(1, Vector(INTEGER, flat(b"\x01\x02")))),
    "validity too small": ("ints", chunk(65, Vector(INTEGER, with_validity(b"\xff" * 8, ONE * 65)))),
    "validity too large": ("ints", chunk(1, Vector(INTEGER, with_validity(b"\xff" * 64, ONE)))),
    "no validity": ("ints", chunk(1, Vector(INTEGER, with_validity(b"", ONE)))),
    "rows of a sequence": ("ints", chunk(HUGE, Vector(INTEGER, field(90, number(4)) + field(91, b"\x00") + field(92, b"\x01")))),
    "rows of a constant": ("ints", chunk(1 << 40, Vector(INTEGER, field(90, number(2)) + flat(ONE)))),
    "a selection beyond": ("ints", chunk(1, Vector(INTEGER, dictionary(struct.pack("<I", 1), 1, flat(ONE))))),
    "a selection far beyond": ("ints", chunk(1, Vector(INTEGER, dictionary(struct.pack("<I", 0xFFFFFFFF), 1, flat(ONE))))),
    "a selection too short": ("ints", chunk(2, Vector(INTEGER, dictionary(struct.pack("<I", 0), 1, flat(ONE))))),
    "a selection from nothing": ("ints", chunk(1, Vector(INTEGER, dictionary(struct.pack("<I", 0), 0, flat(b""))))),
    "a dictionary too large": ("ints", chunk(1, Vector(INTEGER, dictionary(struct.pack("<I", 0), 1 << 40, flat(ONE))))),
    "a sequence of texts": ("texts", chunk(2, Vector(VARCHAR, field(90, number(4)) + field(91, b"\x00") + field(92, b"\x01")))),
    "an unknown kind of vector": ("ints", chunk(1, Vector(INTEGER, field(90, number(9)) + flat(ONE)))),
    "invalid UTF-8": ("texts", chunk(1, Vector(VARCHAR, old_texts(1, text(b"\xff\xfe"))))),
    "invalid UTF-8, new form": ("texts", chunk(1, Vector(VARCHAR, new_texts(2, [2], b"\xc3\x28")))),
    "half a character each": ("texts", chunk(2, Vector(VARCHAR, new_texts(2, [1, 1], "ß".encode())))),
    "a text beyond the end": ("texts", chunk(1, Vector(VARCHAR, old_texts(1, number(1000) + b"x")))),
    "a text of all memory": ("texts", chunk(1, Vector(VARCHAR, old_texts(1, number(HUGE) + b"x")))),
    "texts without end": ("texts", chunk(1, Vector(VARCHAR, old_texts(1 << 40, text("x"))))),
    "lengths above their sum": ("texts", chunk(2, Vector(VARCHAR, new_texts(2, [1, 0xFFFFFFFF], b"ab")))),
    "lengths below their sum": ("texts", chunk(2, Vector(VARCHAR, new_texts(3, [1, 1], b"abc")))),
    "a sum of all memory": ("texts", chunk(1, Vector(VARCHAR, new_texts(HUGE, [1], b"a")))),
    "too few lengths": ("texts", chunk(2, Vector(VARCHAR, new_texts(1, [1], b"a")))),
    "an offset beyond": ("lists", chunk(1, Vector(LIST, lists(2, [(3, 0)], flat(ONE + ONE))))),
    "a length beyond": ("lists", chunk(1, Vector(LIST, lists(2, [(1, 2)], flat(ONE + ONE))))),
    "a length that wraps around": ("lists", chunk(1, Vector(LIST, lists(2, [(2, HUGE)], flat(ONE + ONE))))),
    "an offset that wraps around": ("lists", chunk(1, Vector(LIST, lists(2, [(HUGE, 2)], flat(ONE + ONE))))),
    "too few lists": ("lists", chunk(2, Vector(LIST, lists(2, [(0, 2)], flat(ONE + ONE))))),
    "values that a list does not have": ("lists", chunk(1, Vector(LIST, lists(1 << 31, [(0, 2)], flat(ONE + ONE))))),
    "values of a constant in a list": ("lists", chunk(1, Vector(LIST, lists(1 << 62, [(0, 1 << 62)], field(90, number(2)) + flat(ONE))))),
    "a member beyond": ("enums", chunk(1, Vector(ENUM, flat(b"\x02")))),
    "a member far beyond": ("enums", chunk(1, Vector(ENUM, flat(b"\xff")))),
    "neither true nor false": ("flags", chunk(1, Vector(BOOLEAN, flat(b"\x02")))),
    "a struct without members": ("structs", chunk(1, Vector(STRUCT, field(100, b"\x00") + field(103, number(0))))),
    "a struct with too many members": ("structs", chunk(1, Vector(STRUCT, field(100, b"\x00") + field(103, number(2) + (flat(ONE) + END) * 2)))),
    "another type than the table's": ("ints", chunk(1, Vector(VARCHAR, old_texts(1, text("no number"))))),
    "more columns than the table": ("ints", chunk(1, Vector(INTEGER, flat(ONE)), Vector(INTEGER, flat(ONE)))),
    "no columns": ("ints", chunk(1)),
    "JSON by its name": ("texts", chunk(1, Vector(type_of(25, field(100, number(1)) + field(101, text("JSON"))), old_texts(1, text("{"))))),
    "a type that there is not": ("ints", chunk(1, Vector(type_of(250), flat(ONE)))),
    "a member's name that is no UTF-8": ("enums", chunk(1, Vector(type_of(104, field(100, number(6)) + field(200, number(1)) +
                                                                          field(201, number(1) + text(b"\xff"))), flat(b"\x00")))),
}


def deep_list(levels: int) -> bytes:
    kind = INTEGER
    for _ in range(levels):
        kind = type_of(101, field(100, number(4)) + field(200, kind + END))
    return kind


HOSTILE["lists in lists in lists"] = ("lists", chunk(0, Vector(deep_list(5000), b"")))


class Target:
    """A worker that must be the same all the time, and its tables, whose values must be readable."""

    def __init__(self, product: Proxy, sub: str) -> None:
        self.product, self.sub = product, sub
        self.token = product.token(sub)
        self.sql = RawQuack(product, self.token, 1)
        for name, columns in TABLES.items():
            self.sql.must(f"CREATE TABLE {name} ({columns})")
        self.worker = product.worker_of(sub)

    def check(self) -> None:
        assert inspect(self.worker)["State"]["Running"] and self.product.worker_of(self.sub) == self.worker
        for name in TABLES:
            self.sql.must(f"SELECT count(*), max(a), sum(hash(a)), sum(length(a::VARCHAR)) FROM {name}")


@pytest.fixture
def target(product: Proxy, sub: str) -> Target:
    return Target(product, sub)


def test_appended_rows_that_lie(target):
    for table, rows in GOOD:
        assert target.sql.append(table, rows).type == SUCCESS, (table, rows)
    for name, (table, rows) in HOSTILE.items():
        assert target.sql.append(table, rows).type == ERROR, name
    target.check()


def test_streamed_rows_that_lie(product, target):
    """The same in version 3: the INSERT that waits for them fails, and stores nothing."""
    client = RawQuack(product, target.token)
    client.must("CREATE TABLE counted (a INTEGER)")
    for index, (name, (table, rows)) in enumerate(HOSTILE.items()):
        stream, result = f"stream-{index}", uuid.UUID(int=100 + index)
        insert = f"INSERT INTO main.{table} SELECT * FROM scan_data_from_quack_client('{stream}', NULL::STRUCT(col0 INTEGER), ordered := true)"
        assert client.run(insert, result).type == PREPARED, name
        said = [client.exchange(field(1, bytes([APPEND])) + field(2, text(client.id)) + END + body) for body in (
            field(1, text(stream)) + field(2, number(1)) + field(4, number(1)) + END + rows,
            field(1, text(stream)) + field(3, number(1)) + END)]
        assert ERROR in [one.type for one in said] and set(one.type for one in said) <= {ERROR, SENT}, name
        assert client.fetch(result, 1).type == ERROR, name
    target.check()
    for table in TABLES:
        target.sql.must(f"SELECT CASE WHEN count(*) > 0 THEN error('{table} has rows') END FROM {table}")


def test_mutated_rows(target):
    """Bytes of good rows changed at random: what is not refused is stored as values that can be read."""
    source = random.Random(20260128)
    outcomes = {SUCCESS: 0, ERROR: 0}
    for _ in range(150):
        for table, rows in GOOD:
            mutated = bytearray(rows)
            for _ in range(source.randint(1, 3)):
                at = source.randrange(len(mutated))
                mutated[at] = source.choice((0, 1, 0x7F, 0x80, 0xFF, source.randrange(256)))
            outcomes[target.sql.append(table, bytes(mutated)).type] += 1
    assert min(outcomes.values()) > 20, outcomes
    target.check()

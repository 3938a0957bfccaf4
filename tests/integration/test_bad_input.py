"""Missing, malformed, huge and hostile input: each ends in a clear error, and everything works afterwards."""

import base64
import hmac
import json
import socket
import time

import grpc
import pyarrow as pa
import pytest
from pyarrow import flight

from tests.support.engine import inspect
from tests.support.flight import FlightUser
from tests.support.proxy import Proxy, base_config
from tests.support.tokens import SECRET, token


@pytest.fixture(autouse=True)
def still_well(product: Proxy):
    """After each test the same proxy process serves on."""
    before = inspect(product.container)["State"]["StartedAt"], inspect(product.container)["RestartCount"]
    yield
    after = inspect(product.container)
    assert after["State"]["Running"] and (after["State"]["StartedAt"], after["RestartCount"]) == before
    assert product.get("/health").json() == {"status": "healthy"}


def part(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def unsigned(header: dict, body: dict) -> str:
    return f"{part(header)}.{part(body)}."


def signed(body: object) -> str:
    """Under the right secret, but with a body that no JWT library would make."""
    text = f"{part({'alg': 'HS256', 'typ': 'JWT'})}.{part(body)}"
    mac = hmac.digest(SECRET.encode(), text.encode(), "sha256")
    return f"{text}.{base64.urlsafe_b64encode(mac).decode().rstrip('=')}"


# name, token, words of which the refusal has one
TOKENS = [
    ("nothing", "", ("token",)),
    ("not a token", "hello", ("malformed", "not a", "three", "jwt")),
    ("two dots only", "..", ("malformed", "not a", "jwt", "three")),
    ("wrong signature", token("alice", secret="another-secret-that-is-long-enough-0123"), ("signature",)),
    ("cut signature", token("alice")[:-4], ("signature", "malformed")),
    ("alg none", unsigned({"alg": "none", "typ": "JWT"}, {"sub": "alice", "exp": 4102444800}), ("algorithm", "alg")),
    ("alg None in capitals", unsigned({"alg": "NONE", "typ": "JWT"}, {"sub": "alice", "exp": 4102444800}), ("algorithm", "alg")),
    ("alg HS512", token("alice", algorithm="HS512"), ("algorithm", "alg")),
    ("expired", token("alice", seconds=-60), ("expired",)),
    ("not yet valid", token("alice", nbf=int(time.time()) + 600), ("not valid yet", "not yet valid", "nbf")),
    ("no exp", token("alice", exp=None), ("exp",)),
    ("no sub", token(None), ("sub",)),
    ("empty sub", token(""), ("sub",)),
    ("long sub", token("x" * 5000), ("sub",)),
    ("exp is text", signed({"sub": "alice", "exp": "tomorrow"}), ("exp",)),
    ("sub is a number", signed({"sub": 7, "exp": 4102444800}), ("sub",)),
    ("payload is a list", signed(["alice"]), ("claims", "object", "payload", "malformed", "not a")),
]


@pytest.mark.parametrize("given, words", [entry[1:] for entry in TOKENS], ids=[entry[0] for entry in TOKENS])
def test_a_bad_token_is_refused_by_its_reason(product: Proxy, given: str, words: tuple[str, ...]):
    with FlightUser(product.location, given) as client:
        error = client.refusal("SELECT 1")
    assert isinstance(error, flight.FlightUnauthenticatedError), repr(error)
    text = str(error)
    assert any(word in text.lower() for word in words), text
    assert len(given) < 8 or given not in text, "the refusal repeats the token"


def test_no_token_at_all(product: Proxy):
    with FlightUser(product.location, None) as client:
        error = client.refusal("SELECT 1")
    assert isinstance(error, flight.FlightUnauthenticatedError) and "authorization" in str(error).lower(), error


@pytest.mark.parametrize("header", [b"", b"Bearer", b"Bearer ", b"Token abc", b"bearerabc", b"Basic !!!", b"Basic " + b"A" * 4000])
def test_malformed_authorization(product: Proxy, header: bytes):
    with FlightUser(product.location, None, headers=[(b"authorization", header)]) as client:
        assert isinstance(client.refusal("SELECT 1"), flight.FlightUnauthenticatedError)


def test_two_authorizations(product: Proxy, sub: str):
    first, second = product.token(sub).encode(), product.token(f"{sub}-other").encode()
    with FlightUser(product.location, None, headers=[(b"authorization", b"Bearer " + first),
                                                     (b"authorization", b"Bearer " + second)]) as client:
        assert isinstance(client.refusal("SELECT 1"), flight.FlightUnauthenticatedError)


# -- SQL


@pytest.mark.parametrize("sql", ["", " ", ";", "-- nothing", "/* nothing */"], ids=["nothing", "space", "semicolon", "comment", "block"])
def test_empty_sql(user: FlightUser, sql: str):
    error = user.refusal(sql)
    assert "statement" in str(error).lower() or "empty" in str(error).lower(), error
    assert user.value("SELECT 42") == 42


def test_several_statements(user: FlightUser):
    """One answer for several statements would hide the others: they are refused or all run, never silently dropped."""
    try:
        user.query("CREATE TABLE a AS SELECT 1 AS x; CREATE TABLE b AS SELECT 2 AS x; SELECT 3 AS x")
    except (flight.FlightError, pa.ArrowException) as error:
        assert "one statement" in str(error).lower() or "statements" in str(error).lower(), error
        assert "a" not in [name for (name,) in user.rows("SELECT table_name FROM duckdb_tables() WHERE NOT internal AND database_name NOT IN ('pg', 'my', 'sl', 'shop')")]
    else:
        assert user.rows("SELECT a.x AS ax, b.x AS bx FROM a, b") == [(1, 2)]


def test_sql_of_three_megabytes(user: FlightUser):
    text = "SELECT length('" + "x" * 3_000_000 + "') AS n"
    try:
        assert user.value(text) == 3_000_000
    except (flight.FlightError, pa.ArrowException) as error:
        assert any(word in str(error).lower() for word in ("long", "large", "size", "limit")), str(error)[:500]
    assert user.value("SELECT 42") == 42


def test_sql_of_sixty_megabytes_is_refused(user: FlightUser):
    error = user.refusal(b"SELECT '" + b"x" * 60_000_000 + b"'")
    assert any(word in str(error).lower() for word in ("long", "large", "size", "limit")), str(error)[:500]
    assert user.value("SELECT 42") == 42


@pytest.mark.parametrize("sql", [b"SELECT '\xff\xfe'", b"\x80\x81\x82", b"SELECT 1 \x00 FROM", b"SELECT '\xed\xa0\x80'"],
                         ids=["in a string", "only", "zero byte", "surrogate"])
def test_sql_that_is_not_text(user: FlightUser, sql: bytes):
    error = user.refusal(sql)
    assert any(word in str(error).lower() for word in ("utf-8", "utf8", "zero byte", "nul", "syntax", "parser")), error
    assert user.value("SELECT 42") == 42


def test_deep_nesting(user: FlightUser):
    user.refusal("SELECT " + "(" * 20000 + "1" + ")" * 20000)
    user.refusal("SELECT " + "NOT " * 50000 + "true")
    assert user.value("SELECT 42") == 42


def test_an_error_in_the_middle_of_a_stream_reaches_the_client(user: FlightUser):
    with pytest.raises((flight.FlightError, pa.ArrowException), match="(?i)boom|conver"):
        user.query("SELECT CASE WHEN range < 900000 THEN range ELSE CAST('boom' || range AS BIGINT) END FROM range(1000000)")
    assert user.value("SELECT 42") == 42


def test_an_error_names_what_is_wrong(user: FlightUser):
    assert "no_such_column" in str(user.refusal("SELECT no_such_column FROM pg.public.users"))
    assert "selct" in str(user.refusal("SELCT 1")).lower()


def test_a_query_that_wants_too_much_memory(user: FlightUser):
    assert "memory" in str(user.refusal("SELECT len(repeat('abc', 1000000000))")).lower()
    assert user.value("SELECT 42") == 42


# -- Flight


ANY_PREFIX = b"type.googleapis.com/arrow.flight.protocol.sql."


def any_command(name: bytes, value: bytes = b"") -> bytes:
    url = ANY_PREFIX + name
    return b"\x0a" + bytes([len(url)]) + url + (b"\x12" + bytes([len(value)]) + value if value else b"")


@pytest.mark.parametrize("name", [b"CommandNoSuchThing", b"CommandStatementSubstraitPlan", b""])
def test_unknown_commands(user: FlightUser, name: bytes):
    error = user.refusal(any_command(name))
    assert len(str(error)) > 20, error
    assert user.value("SELECT 42") == 42


def test_a_flight_sql_command_with_a_broken_body(user: FlightUser):
    user.refusal(any_command(b"CommandStatementQuery", b"\xff\xff\xff\xff"))
    assert user.value("SELECT 42") == 42


@pytest.mark.parametrize("ticket", [b"", b"garbage", b"\x00" * 64, b"\xff" * 3000, any_command(b"TicketStatementQuery", b"\x0a\x04none")],
                         ids=["empty", "text", "zeros", "long", "unknown handle"])
def test_a_garbage_ticket(user: FlightUser, ticket: bytes):
    with pytest.raises((flight.FlightError, pa.ArrowException), match="(?i)ticket|statement"):
        user.client.do_get(flight.Ticket(ticket), user.options).read_all()
    assert user.value("SELECT 42") == 42


def test_a_ticket_is_good_for_one_reader(user: FlightUser):
    info = user.info("SELECT 42 AS a")
    assert user.client.do_get(info.endpoints[0].ticket, user.options).read_all().num_rows == 1
    try:
        again = user.client.do_get(info.endpoints[0].ticket, user.options).read_all()
    except (flight.FlightError, pa.ArrowException) as error:
        assert "ticket" in str(error).lower(), error
    else:
        assert again.to_pylist() == [{"a": 42}]


def test_anothers_ticket(product: Proxy, sub: str):
    with product.user(f"{sub}-a") as alice, product.user(f"{sub}-b") as bob:
        alice.query("CREATE TABLE mine AS SELECT 'alice only' AS a")
        bob.value("SELECT 1")
        ticket = alice.info("SELECT a FROM mine").endpoints[0].ticket
        with pytest.raises((flight.FlightError, pa.ArrowException)) as refused:
            bob.client.do_get(ticket, bob.options).read_all()
        assert "alice only" not in str(refused.value)
        assert alice.client.do_get(ticket, alice.options).read_all().num_rows == 1, "the owner's still works"


def test_unknown_actions(user: FlightUser):
    with pytest.raises((flight.FlightError, pa.ArrowException, NotImplementedError)):
        list(user.client.do_action(flight.Action("MakeCoffee", b"\xff"), user.options))
    assert user.value("SELECT 42") == 42


def test_a_path_descriptor(user: FlightUser):
    with pytest.raises((flight.FlightError, pa.ArrowException, NotImplementedError)) as refused:
        user.client.get_flight_info(flight.FlightDescriptor.for_path("a", "b"), user.options)
    assert len(str(refused.value)) > 10


# -- gRPC


def generic(product: Proxy, method: str, metadata: list[tuple[str, str]], body: bytes = b"") -> grpc.RpcError | bytes:
    with grpc.insecure_channel(product.location.removeprefix("grpc://")) as channel:
        try:
            return channel.unary_unary(method)(body, timeout=20, metadata=metadata)
        except grpc.RpcError as error:
            return error


@pytest.mark.parametrize("method", ["/no.such.Service/Call", "/arrow.flight.protocol.FlightService/NoSuchMethod",
                                    "/pondpilot.control.v1.Worker/Status", "/pondpilot.control.v1.Worker/Assign",
                                    "/pondpilot.control.v1.Worker/Drain", "/grpc.reflection.v1alpha.ServerReflection/Info"])
def test_other_methods_are_not_relayed(product: Proxy, sub: str, method: str):
    answer = generic(product, method, [("authorization", f"Bearer {product.token(sub)}")])
    assert isinstance(answer, grpc.RpcError) and answer.code() == grpc.StatusCode.UNIMPLEMENTED, answer


@pytest.mark.parametrize(("sql", "code"), [
    ("SELECT len(list(repeat('x' || range, 100000))) FROM range(20000)", grpc.StatusCode.RESOURCE_EXHAUSTED),
    ("SELECT nothing", grpc.StatusCode.INVALID_ARGUMENT),
])
def test_the_status_that_clients_in_other_languages_see(product: Proxy, sub: str, sql: str, code: grpc.StatusCode):
    descriptor = b"\x08\x02\x12" + bytes([len(sql)]) + sql.encode()
    answer = generic(product, "/arrow.flight.protocol.FlightService/GetFlightInfo",
                     [("authorization", f"Bearer {product.token(sub)}")], descriptor)
    assert isinstance(answer, grpc.RpcError) and answer.code() == code, answer
    assert "pondpilot-error-code" not in str(answer.details()) + str(answer.trailing_metadata())


def test_a_message_that_is_not_protobuf(product: Proxy, sub: str):
    answer = generic(product, "/arrow.flight.protocol.FlightService/GetFlightInfo",
                     [("authorization", f"Bearer {product.token(sub)}")], b"\xff" * 100)
    assert isinstance(answer, grpc.RpcError), answer
    assert product.user(sub).value("SELECT 42") == 42


def test_metadata_of_sixty_kilobytes(product: Proxy, sub: str):
    """Taken or refused, but answered."""
    with FlightUser(product.location, product.token(sub), headers=[(b"x-filler", b"x" * 60_000)]) as client:
        try:
            assert client.value("SELECT 42") == 42
        except (flight.FlightError, pa.ArrowException) as error:
            assert any(word in str(error).lower() for word in ("metadata", "header", "large", "size")), error


def test_a_token_of_sixty_kilobytes(product: Proxy, sub: str):
    with FlightUser(product.location, product.token(sub, filler="x" * 45_000)) as client:
        try:
            assert client.value("SELECT 42") == 42
        except (flight.FlightError, pa.ArrowException) as error:
            assert any(word in str(error).lower() for word in ("metadata", "header", "large", "long", "size", "token")), error


def test_internal_headers_of_a_client_are_removed(product: Proxy, sub: str):
    spoofed = [(b"x-pondpilot-worker-token", b"mine"), (b"x-pondpilot-connection", b"somebody-elses")]
    with FlightUser(product.location, product.token(sub), headers=spoofed) as client:
        assert client.value("SELECT 42") == 42


def test_the_grpc_port_survives_other_protocols(product: Proxy, sub: str):
    for data in (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x16\x03\x01\x02\x00", b"\x00" * 4096, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\xff" * 2000):
        with socket.create_connection(("127.0.0.1", product.port(8081)), timeout=5) as connection:
            connection.sendall(data)
    assert product.user(sub).value("SELECT 42") == 42


# -- HTTP


def problem(response) -> dict:
    assert response.headers["content-type"].split(";")[0] == "application/problem+json", response.headers
    body = response.json()
    assert body["status"] == response.status_code
    assert len(body.get("detail") or body.get("title", "")) > 10, body
    return body


def test_http_not_found_and_wrong_method(product: Proxy):
    missing = product.get("/no/such/page")
    assert missing.status_code == 404
    problem(missing)
    wrong = product.post("/health")
    assert wrong.status_code == 405 and "GET" in wrong.headers["allow"]
    problem(wrong)


def raw_http(product: Proxy, data: bytes) -> bytes:
    answer = b""
    # A request that does not end is given up after fifteen seconds.
    with socket.create_connection(("127.0.0.1", product.port(8080)), timeout=30) as connection:
        try:
            connection.sendall(data)
            while piece := connection.recv(65536):
                answer += piece
        except ConnectionError:
            pass
    return answer


@pytest.mark.parametrize(("data", "status"), [
    (b"nonsense\r\n\r\n", b"400"),
    (b"GET /health HTTP/9.9\r\n\r\n", b"400"),
    (b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", b"431"),
    (b"GET /health HTTP/1.1\r\nHost: x\r\nX-Filler: " + b"x" * 200_000 + b"\r\n\r\n", b"431"),
    (b"POST /auth/demo-token HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", b"400"),
    (b"POST /auth/demo-token HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n", b"400"),
    (b"POST /auth/demo-token HTTP/1.1\r\nHost: x\r\nContent-Length: 65537\r\n\r\n", b"413"),
    (b"POST /auth/demo-token HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", b"400"),
    (b"\x16\x03\x01\x02\x00\x01\x00", b"400"),
], ids=["nonsense", "version", "long target", "long header", "negative length", "huge length", "long body", "length and chunked", "TLS"])
def test_malformed_http(product: Proxy, data: bytes, status: bytes):
    answer = raw_http(product, data)
    assert answer.startswith(b"HTTP/1.1 " + status + b" ") and answer.count(b"HTTP/1.1 ") == 1, answer[:200]


def test_a_demo_token_is_limited_per_address(start_proxy, engine, network):
    proxy = start_proxy(network, base_config(engine, network))
    answers = [proxy.post("/auth/demo-token") for _ in range(60)]
    refused = [answer for answer in answers if answer.status_code == 429]
    assert answers[0].status_code == 200 and refused, [answer.status_code for answer in answers]
    problem(refused[0])
    assert int(refused[0].headers["retry-after"]) >= 1


def test_the_rate_limit_says_when_to_come_back(start_proxy, engine, network, sub):
    config = base_config(engine, network)
    config["security"]["rate_limit"] = {"requests_per_minute": 6, "burst_size": 4}
    proxy = start_proxy(network, config)
    user = proxy.user(sub)
    errors = []
    for _ in range(6):
        try:
            user.query("SELECT 1")
        except (flight.FlightError, pa.ArrowException) as error:
            errors.append(str(error))
    assert errors and "rate" in errors[0].lower() and any(c.isdigit() for c in errors[0]), errors
    assert [line["user_id"] for line in proxy.log_lines("Rate limit exceeded")][:1] == [sub]
    assert proxy.user(f"{sub}-other").value("SELECT 1") == 1, "another user is not concerned"


def nested(before: str, innermost: str, after: str, levels: int) -> str:
    return before * levels + innermost + after * levels


def chain(levels: int) -> str:
    steps = "".join(f", c{n} AS (SELECT * FROM c{n - 1})" for n in range(1, levels))
    return f"WITH c0 AS (SELECT 1 AS a){steps} SELECT * FROM c{levels - 1}"


# Each in as many levels as asked for.
DEEP = {
    "parentheses": lambda levels: "SELECT " + nested("(", "1", ")", levels),
    "functions of a column": lambda levels: "SELECT " + nested("abs(", "range", ")", levels) + " FROM range(1)",
    "subqueries": lambda levels: "SELECT " + nested("(SELECT ", "1", ")", levels),
    "subqueries in FROM": lambda levels: nested("SELECT * FROM (", "SELECT 1", ")", levels),
    "common table expressions": chain,
    "unions": lambda levels: nested("(SELECT 1 UNION ", "SELECT 1", ")", levels),
    "lists": lambda levels: "SELECT " + nested("[", "1", "]", levels) + " IS NULL",
    "types": lambda levels: "SELECT NULL::INTEGER" + "[]" * levels + " IS NULL",
}


@pytest.mark.parametrize("levels", [100, 990, 30000])
@pytest.mark.parametrize("shape", DEEP)
def test_a_deep_statement_costs_nobody_the_worker(product: Proxy, sub: str, shape: str, levels: int):
    user = product.user(sub)
    user.query("CREATE TEMP TABLE mine AS SELECT 42 AS a")
    try:
        user.query(DEEP[shape](levels))
    except pa.ArrowException as error:
        assert levels > 100 and ("depth" in str(error) or "Out of Memory" in str(error)), error
    assert user.value("SELECT a FROM mine") == 42, "the same worker answers"

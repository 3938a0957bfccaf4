"""What a client may do wrong on the HTTP port, against the real one."""

import gzip
import json
import threading
import time

import pytest
import requests

from tests.support.proxy import Proxy, base_config
from tests.support.raw_http import RawConnection, exchange
from tests.support.waiting import eventually


@pytest.fixture
def proxy(product: Proxy) -> Proxy:
    return product


BEHIND = b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


def post(headers: str, body: bytes = b"") -> bytes:
    return f"POST /sql HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n{headers}\r\n".encode() + body


SMUGGLED = {
    "length and chunks": post("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\n"),
    "chunks and length": post("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", b"0\r\n\r\n"),
    "two lengths": post("Content-Length: 2\r\nContent-Length: 3\r\n", b"{}"),
    "the same length twice": post("Content-Length: 2\r\nContent-Length: 2\r\n", b"{}"),
    "a list of lengths": post("Content-Length: 2, 2\r\n", b"{}"),
    "a signed length": post("Content-Length: +2\r\n", b"{}"),
    "a negative length": post("Content-Length: -2\r\n", b"{}"),
    "a hexadecimal length": post("Content-Length: 0x2\r\n", b"{}"),
    "a length beyond 64 bits": post("Content-Length: 18446744073709551618\r\n", b"{}"),
    "a length with a blank inside": post("Content-Length: 1 0\r\n", b"{}"),
    "an unknown coding": post("Transfer-Encoding: xchunked\r\n", b"0\r\n\r\n"),
    "chunked is not the last coding": post("Transfer-Encoding: chunked, identity\r\n", b"0\r\n\r\n"),
    "a coding before chunked": post("Transfer-Encoding: gzip, chunked\r\n", b"0\r\n\r\n"),
    "two codings": post("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", b"0\r\n\r\n"),
    "a tab before the coding's name": post("Transfer-Encoding\t: chunked\r\n", b"0\r\n\r\n"),
    "a blank before the colon": post("Content-Length : 2\r\n", b"{}"),
    "a folded header": post("X-Folded: a\r\n Content-Length: 2\r\nContent-Length: 2\r\n", b"{}"),
    "folded with a tab": post("X-Folded: a\r\n\tb\r\nContent-Length: 2\r\n", b"{}"),
    "bare line feeds": b"GET /health HTTP/1.1\nHost: x\n\n",
    "a bare line feed between headers": b"GET /health HTTP/1.1\r\nHost: x\nX: y\r\n\r\n",
    "a bare carriage return": b"GET /health HTTP/1.1\r\nHost: x\rX: y\r\n\r\n",
    "a zero byte in a header": b"GET /health HTTP/1.1\r\nHost: x\r\nX: a\x00b\r\n\r\n",
    "a blank in the path": b"GET /health /x HTTP/1.1\r\nHost: x\r\n\r\n",
    "no version": b"GET /health\r\nHost: x\r\n\r\n",
    "a version that isn't": b"GET /health HTTP/9.9\r\nHost: x\r\n\r\n",
    "HTTP/2 without asking": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "TLS": b"\x16\x03\x01\x00\xf8\x01\x00\x00\xf4\x03\x03\r\n\r\n",
}


@pytest.mark.parametrize("how", SMUGGLED)
def test_what_has_two_meanings_is_refused_with_all_behind_it(proxy, how):
    answer = exchange(proxy, SMUGGLED[how] + BEHIND)
    assert answer.startswith(b"HTTP/1.1 400 "), answer
    assert b'"code":"malformed_request"' in answer and b"X-Request-Id: " in answer
    assert answer.count(b"HTTP/1.1 ") == 1 and b"healthy" not in answer, "nothing behind it was read as a request"


@pytest.mark.parametrize("body", [b"zz\r\n", b"-1\r\n", b"+1\r\na\r\n0\r\n\r\n", b"0x1\r\na\r\n0\r\n\r\n", b"FFFFFFFFFFFFFFFFF\r\n",
                                  b"1\nab\n0\n\n", b"1\r\nab\r\n0\r\n\r\n", b" 1\r\na\r\n0\r\n\r\n", b"\r\n0\r\n\r\n"])
def test_chunks_whose_size_is_wrong(proxy, body):
    answer = exchange(proxy, post("Transfer-Encoding: chunked\r\n", body) + BEHIND)
    assert answer.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 413 ")), answer
    assert answer.count(b"HTTP/1.1 ") == 1, answer


def test_what_is_too_large(proxy, sub):
    token = f"Authorization: Bearer {proxy.token(sub)}\r\n"
    for data, status, code in [
        (f"GET /health HTTP/1.1\r\nHost: x\r\nX-Large: {'a' * 100_000}\r\n\r\n".encode(), 431, b"headers_too_large"),
        (("GET /health HTTP/1.1\r\nHost: x\r\n" + "".join(f"X-{i}: {i}\r\n" for i in range(20_000)) + "\r\n").encode(), 431, b"headers_too_large"),
        (f"GET /{'a' * 100_000} HTTP/1.1\r\nHost: x\r\n\r\n".encode(), 431, b"headers_too_large"),
        (post(token + "Content-Length: 1048577\r\n"), 413, b"body_too_large"),
        (post(token + "Transfer-Encoding: chunked\r\n", b"110000\r\n" + b"a" * 0x110000 + b"\r\n"), 413, b"body_too_large"),
    ]:
        answer = exchange(proxy, data)
        assert answer.startswith(f"HTTP/1.1 {status} ".encode()) and code in answer, answer[:300]
    # The largest that there may be is taken.
    sql = json.dumps({"sql": "SELECT 42 AS a" + " " * ((1 << 20) - 30)})
    answer = requests.post(proxy.url("/sql"), sql, headers={"Authorization": f"Bearer {proxy.token(sub)}", "Content-Type": "application/json"}, timeout=60)
    assert answer.status_code == 200, answer.text


def test_large_bodies_of_strangers_are_not_waited_for(proxy, sub):
    """Nor taken into account: the token is in the headers."""
    for path in ("/sql", "/ai/chat", "/ai/embed"):
        head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000000\r\n"
        for headers in ("", "Expect: 100-continue\r\n", "Authorization: Bearer x\r\n"):
            answer = exchange(proxy, f"{head}{headers}\r\n".encode())
            assert answer.startswith(b"HTTP/1.1 401 ") and b'"code":"unauthenticated"' in answer, (path, headers, answer)
        with RawConnection(proxy) as connection:
            connection.send(f"{head}Authorization: Bearer {proxy.token(sub)}\r\nExpect: 100-continue\r\n\r\n".encode())
            assert connection.answer()[0] == 100


def test_methods_and_media_types(proxy, sub):
    headers = {"Authorization": f"Bearer {proxy.token(sub)}"}
    for method, path, allowed in [("DELETE", "/sql", "POST, OPTIONS"), ("POST", "/catalog", "GET, HEAD, OPTIONS"), ("PUT", "/health", "GET, HEAD, OPTIONS"),
                                  ("TRACE", "/ai/chat", "POST, OPTIONS"), ("BREW", "/admin/workers", "GET, HEAD, DELETE, OPTIONS")]:
        answer = requests.request(method, proxy.url(path), headers=headers, timeout=15)
        assert (answer.status_code, answer.headers["Allow"], answer.json()["code"]) == (405, allowed, "method_not_allowed"), (method, path)
    # As bytes: client libraries tidy paths up before they send them.
    for path in ("/nowhere", "/sql/", "//sql", "/%73ql", "/health/../sql", "*", "http://x/health"):
        answer = exchange(proxy, f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        assert answer.startswith(b"HTTP/1.1 404 "), path
    for path in ("/sql", "/ai/chat", "/ai/embed"):
        answer = proxy.post(path, data="<sql/>", headers={**headers, "Content-Type": "application/xml"})
        assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type"), path
    assert proxy.post("/sql", data=gzip.compress(b'{"sql": "SELECT 1"}'),
                      headers={**headers, "Content-Type": "application/json", "Content-Encoding": "gzip"}).status_code == 400


def test_head_is_get_without_its_body(proxy, sub):
    token = f"Authorization: Bearer {proxy.token(sub)}"
    with RawConnection(proxy) as connection:
        for path in ("/health", "/openapi.json"):
            connection.send(f"HEAD {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            status, headers, _ = connection.answer(head=True)
            connection.send(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            as_get = connection.answer()
            assert status == as_get[0] == 200 and headers["content-length"] == as_get[1]["content-length"]
            assert headers["content-type"] == as_get[1]["content-type"]
        connection.send(f"HEAD /nowhere HTTP/1.1\r\nHost: x\r\n{token}\r\n\r\n".encode())
        assert connection.answer(head=True)[0] == 404


def test_pipelined_requests_are_answered_in_order(proxy, sub):
    token = f"Authorization: Bearer {proxy.token(sub)}\r\n"
    bodies = [json.dumps({"sql": f"SELECT {i} AS i"}).encode() for i in range(20)]
    data = b"".join(post(f"{token}Content-Length: {len(body)}\r\n", body) + b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n" for body in bodies)
    with RawConnection(proxy, 60) as connection:
        connection.send(data)
        for i in range(20):
            status, _, body = connection.answer()
            assert status == 200 and json.loads(body)["rows"] == [{"i": i}]
            assert connection.answer()[2] == b'{"status":"healthy"}'


def test_a_connection_is_kept_and_closed_as_it_is_asked(proxy):
    with RawConnection(proxy) as connection:
        for _ in range(100):
            connection.send(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
            assert connection.answer()[0] == 200
        connection.send(b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        status, headers, _ = connection.answer()
        assert (status, headers["connection"]) == (200, "close")
        assert connection.rest() == b""
    answer = exchange(proxy, b"GET /health HTTP/1.0\r\n\r\n")
    assert answer.startswith(b"HTTP/1.0 200 ") and b"healthy" in answer, "closed without being asked, as HTTP/1.0 has it"


def test_expect_100(proxy, sub):
    body = b'{"sql": "SELECT 42 AS a"}'
    with RawConnection(proxy, 60) as connection:
        connection.send(post(f"Authorization: Bearer {proxy.token(sub)}\r\nExpect: 100-continue\r\nContent-Length: {len(body)}\r\n"))
        assert connection.answer()[0] == 100
        connection.send(body)
        assert json.loads(connection.answer()[2])["rows"] == [{"a": 42}]


@pytest.mark.parametrize("begun", [b"GET /health HTTP/1.1\r\nHost: x\r\nX-Slow: ", post("Content-Length: 1000\r\n", b'{"sql": "'),
                                   post("Transfer-Encoding: chunked\r\n", b"ff\r\nab")], ids=["headers", "body", "chunk"])
def test_whoever_sends_slowly_is_given_up(proxy, begun):
    """A byte a second keeps no connection: the whole request has fifteen."""
    with RawConnection(proxy, 40) as connection:
        began = time.monotonic()
        connection.send(begun)
        ended = threading.Event()

        def drip() -> None:
            while not ended.wait(1):
                try:
                    connection.send(b"a")
                except OSError:
                    return

        dripping = threading.Thread(target=drip)
        dripping.start()
        try:
            connection.rest()
        finally:
            ended.set()
            dripping.join()
        assert 10 < time.monotonic() - began < 25
        assert proxy.get("/health").status_code == 200


def test_a_reader_that_does_not_read_costs_a_bounded_memory(proxy, sub):
    before = proxy.memory_mb()
    with RawConnection(proxy) as connection:
        body = b'{"sql": "SELECT repeat(\'x\', 1000) AS s FROM range(2000000)"}'
        connection.send(post(f"Authorization: Bearer {proxy.token(sub)}\r\nContent-Length: {len(body)}\r\n", body))
        while b"HTTP/1.1 200" not in connection.socket.recv(4096):
            pass
        threading.Event().wait(2)  # two gigabytes would be on their way by now
        assert proxy.memory_mb() - before < 60


def test_thousands_of_idle_connections(proxy):
    """Beyond Docker's forwarder, which has limits of its own: the descriptors of this test bound them here; ./dev bench http
    opens 9,900."""
    open_ones = []
    try:
        for _ in range(400):
            one = RawConnection(proxy)
            open_ones.append(one)
            one.send(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        for one in open_ones:
            assert one.answer()[0] == 200
        assert proxy.get("/health").status_code == 200
    finally:
        for one in open_ones:
            one.socket.close()


def test_pages_of_named_origins_may_call(start_proxy, engine, own_network, sub):
    config = base_config(engine, own_network)
    config["security"]["cors_allowed_origins"] = ["https://app.example.com"]
    proxy = start_proxy(own_network, config)
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization, content-type"}
    allowed = requests.options(proxy.url("/sql"), headers={**asked, "Origin": "https://app.example.com"}, timeout=15)
    assert allowed.status_code == 204
    assert allowed.headers["Access-Control-Allow-Origin"] == "https://app.example.com"
    assert "POST" in allowed.headers["Access-Control-Allow-Methods"] and "Authorization" in allowed.headers["Access-Control-Allow-Headers"]
    assert "Access-Control-Allow-Credentials" not in allowed.headers
    for origin in ("https://evil.example.com", "https://app.example.com.evil.com", "http://app.example.com", "null"):
        refused = requests.options(proxy.url("/sql"), headers={**asked, "Origin": origin}, timeout=15)
        assert not [name for name in refused.headers if name.startswith("Access-Control")], origin
        assert "Access-Control-Allow-Origin" not in proxy.get("/health", headers={"Origin": origin}).headers
    # Refusals too can be read by the page that is told of them.
    refusal = proxy.post("/sql", json={"sql": "SELECT 1"}, headers={"Origin": "https://app.example.com"})
    assert refusal.status_code == 401 and refusal.headers["Access-Control-Allow-Origin"] == "https://app.example.com"
    assert refusal.headers["Vary"] == "Origin"


def test_every_answer_has_an_id_that_the_log_knows(proxy, sub):
    answer = proxy.get("/admin/workers", headers={"Authorization": f"Bearer {proxy.token(sub)}", "X-Request-Id": f"{sub[:40]}-1"})
    assert answer.status_code == 403 and answer.headers["X-Request-Id"] == answer.json()["request_id"] == f"{sub[:40]}-1"
    eventually(lambda: any(line["request_id"] == f"{sub[:40]}-1" for line in proxy.log_lines("HTTP request")), "it stands in the log", 5)
    odd = proxy.get("/health", headers={"X-Request-Id": 'a"b\tc'})
    assert odd.headers["X-Request-Id"] != 'a"b\tc'

"""How much one user may ask for, over both doors together, and what counts."""

import re
import time

import grpc
import pyarrow as pa
import pytest
import requests
from pyarrow import flight

from tests.support.proxy import Proxy, base_config


def limited(start_proxy, engine, network, per_minute: int, burst: int) -> Proxy:
    config = base_config(engine, network)
    config["security"]["rate_limit"] = {"requests_per_minute": per_minute, "burst_size": burst}
    return start_proxy(network, config)


def test_a_query_over_flight_is_one_request_and_http_shares_the_budget(start_proxy, engine, own_network, sub):
    proxy = limited(start_proxy, engine, own_network, 1, 6)
    headers = {"Authorization": f"Bearer {proxy.token(sub)}"}
    user = proxy.user(sub)
    for _ in range(3):  # GetFlightInfo and DoGet: one
        assert user.value("SELECT 42") == 42
    remaining = []
    for _ in range(3):
        answer = proxy.post("/sql", json={"sql": "SELECT 42 AS a"}, headers=headers, timeout=60)
        assert answer.status_code == 200, answer.text
        assert answer.headers["RateLimit-Limit"] == "6"
        remaining.append(answer.headers["RateLimit-Remaining"])
    assert remaining == ["2", "1", "0"]
    refused = proxy.post("/sql", json={"sql": "SELECT 42 AS a"}, headers=headers)
    assert (refused.status_code, refused.json()["code"]) == (429, "rate_limited")
    assert 0 < int(refused.headers["Retry-After"]) <= 60
    assert refused.headers["RateLimit-Remaining"] == "0" and int(refused.headers["RateLimit-Reset"]) > 300
    error = user.refusal("SELECT 42")
    assert "Rate limit exceeded" in str(error) and "Try again in" in str(error), error
    assert len(proxy.log_lines("Rate limit exceeded")) == 2
    assert {line["user_id"] for line in proxy.log_lines("Rate limit exceeded")} == {sub}
    # A statement that is refused costs nothing, and neither do other users.
    assert proxy.user(f"{sub}-other").value("SELECT 42") == 42


def test_the_refusal_over_grpc_says_how_long_to_wait(start_proxy, engine, own_network, sub):
    proxy = limited(start_proxy, engine, own_network, 60, 1)
    proxy.user(sub).value("SELECT 42")
    channel = grpc.insecure_channel(proxy.location.removeprefix("grpc://"))
    call = channel.unary_unary("/arrow.flight.protocol.FlightService/GetFlightInfo")
    metadata = (("authorization", f"Bearer {proxy.token(sub)}"),)
    descriptor = b"\x08\x02\x12\x09SELECT 42"
    with pytest.raises(grpc.RpcError) as refused:
        for _ in range(10):
            call(descriptor, metadata=metadata, timeout=30)
    assert refused.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    (wait,) = [int(value) for name, value in refused.value.trailing_metadata() if name == "grpc-retry-pushback-ms"]
    assert 0 < wait <= 1000
    deadline = time.monotonic() + 10
    while True:  # as long as it says, the next one is let in
        try:
            call(descriptor, metadata=metadata, timeout=30)
            break
        except grpc.RpcError as error:
            assert error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED and time.monotonic() < deadline, error
    channel.close()


def test_invented_tokens_are_limited_by_address(start_proxy, engine, own_network, sub):
    proxy = limited(start_proxy, engine, own_network, 1000, 1000)
    statuses = [proxy.get("/catalog", headers={"Authorization": f"Bearer invented-{i}"}).status_code for i in range(130)]
    assert statuses[:120] == [401] * 120 and 429 in statuses[120:]
    with pytest.raises(pa.ArrowException, match="without a valid token"):
        for _ in range(10):
            try:
                flight.connect(proxy.location).get_flight_info(
                    flight.FlightDescriptor.for_command(b"SELECT 42"),
                    flight.FlightCallOptions(timeout=30, headers=[(b"authorization", b"Bearer invented")]))
            except flight.FlightUnauthenticatedError:
                pass
    (line, *_) = proxy.log_lines("Rate limit exceeded")
    assert line["user_id"] == "anonymous"
    # Whoever has a token is let in, from the same address.
    assert proxy.user(sub).value("SELECT 42") == 42


def test_many_users_cost_little(start_proxy, engine, own_network, sub):
    """Tokens of users who do not exist otherwise, refused later than at the limiter: no worker is started for them."""
    proxy = limited(start_proxy, engine, own_network, 60, 1)
    session = requests.Session()
    for i in range(200):
        session.post(proxy.url("/ai/chat"), json={}, headers={"Authorization": f"Bearer {proxy.token(f'warm-{i}')}"}, timeout=15)
    before = proxy.memory_mb()
    for i in range(5000):
        answer = session.post(proxy.url("/ai/chat"), json={}, headers={"Authorization": f"Bearer {proxy.token(f'{sub}-{i}')}"}, timeout=15)
        assert answer.status_code == 400, answer.text
    assert proxy.memory_mb() - before < 20
    assert not re.search(r"Container spawned", proxy.logs())

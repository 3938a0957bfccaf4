"""What operators see: metrics on a port of their own, the client's address behind proxies, traces."""

import json
import secrets

import pyarrow as pa
import pytest
import requests
from pyarrow import flight

from tests.support.databases import start_postgres
from tests.support.engine import LABEL, ROOT, docker, inspect
from tests.support.proxy import Proxy, base_config
from tests.support.waiting import eventually


def address_of(container: str, network: str) -> str:
    return inspect(container)["NetworkSettings"]["Networks"][network]["IPAddress"]


def gateway_of(network: str) -> str:
    return json.loads(docker("network", "inspect", network))[0]["IPAM"]["Config"][0]["Gateway"]


def admin(proxy: Proxy) -> dict[str, str]:
    return {"Authorization": f"Bearer {proxy.token('olga', pondpilot_admin=True)}"}


def test_metrics_have_a_port_of_their_own(start_proxy, engine, own_network, sub):
    config = base_config(engine, own_network)
    config["server"] = {"metrics_port": 9464, "metrics_host": "0.0.0.0"}
    proxy = start_proxy(own_network, config)
    url = f"http://{address_of(proxy.container, own_network)}:9464"
    before = requests.get(f"{url}/metrics", timeout=15)
    assert before.status_code == 200 and before.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    body = {"sql": "SELECT 42 AS a"}
    sent = proxy.post("/sql", json=body, headers={"Authorization": f"Bearer {proxy.token(sub)}"}, timeout=60)
    assert sent.status_code == 200
    proxy.user(sub).value("SELECT 42")
    text = requests.get(f"{url}/metrics", timeout=15).text
    assert 'pondpilot_http_requests_total{route="/sql",status="2xx"} 1' in text
    assert f'pondpilot_http_received_bytes_total{{route="/sql"}} {len(json.dumps(body))}' in text
    assert f'pondpilot_http_sent_bytes_total{{route="/sql"}} {len(sent.content)}' in text
    received = next(line for line in text.splitlines() if line.startswith('pondpilot_flight_received_bytes_total{method="GetFlightInfo"}'))
    assert float(received.rsplit(" ", 1)[1]) > len("SELECT 42")
    # Nothing else is there, and the other port goes on asking for a token.
    assert requests.get(f"{url}/admin/workers", timeout=15).status_code == 404
    assert requests.post(f"{url}/sql", json=body, timeout=15).status_code == 404
    assert proxy.get("/metrics").status_code == 401
    assert proxy.get("/metrics", headers=admin(proxy)).status_code == 200


def test_without_a_host_metrics_are_the_containers_own(start_proxy, engine, own_network):
    config = base_config(engine, own_network)
    config["server"] = {"metrics_port": 9464}
    proxy = start_proxy(own_network, config)
    with pytest.raises(requests.ConnectionError):
        requests.get(f"http://{address_of(proxy.container, own_network)}:9464/metrics", timeout=15)
    # Beside it, in its network namespace, Prometheus gets them.
    said = docker("run", "--rm", "--label", f"{LABEL}={engine.run_id}", "--network", f"container:{proxy.container}", "--entrypoint", "",
                  engine.test_image, "curl", "-sS", "--max-time", "15", "http://127.0.0.1:9464/metrics")
    assert "pondpilot_build_info" in said


def test_a_trusted_proxy_names_the_client(start_proxy, engine, own_network, sub):
    """Requests come from the network's gateway, as those of a load balancer would."""
    config = base_config(engine, own_network)
    config["server"] = {"trusted_proxies": [gateway_of(own_network)]}
    config["security"]["rate_limit"].update(anonymous_burst_size=5, anonymous_requests_per_minute=1, demo_tokens_per_minute=2)
    proxy = start_proxy(own_network, config)

    def statuses(forwarded: str | None, count: int) -> list[int]:
        headers = {} if forwarded is None else {"X-Forwarded-For": forwarded}
        return [proxy.get("/catalog", headers=headers).status_code for _ in range(count)]

    assert statuses("203.0.113.9", 7) == [401] * 5 + [429] * 2
    assert statuses("203.0.113.10", 1) == [401], "another client behind the same proxy"
    assert statuses("198.51.100.7, 203.0.113.9", 1) == [429], "what the client itself has written first is not believed"
    assert statuses("2001:db8::1", 5) == [401] * 5 and statuses("2001:db8::ffff", 1) == [429], "one /64 is one client"
    assert statuses(None, 1) == [401]
    tokens = [proxy.post("/auth/demo-token", headers={"X-Forwarded-For": address}).status_code
              for address in ("203.0.113.9", "203.0.113.9", "203.0.113.9", "203.0.113.10")]
    assert tokens == [200, 200, 429, 200]
    assert {line["peer"] for line in proxy.log_lines("Rate limit exceeded") if line.get("route") == "/catalog"} == {"203.0.113.9", "2001:db8::ffff"}
    with pytest.raises(pa.ArrowException, match="without a valid token"):
        flight.connect(proxy.location).get_flight_info(
            flight.FlightDescriptor.for_command(b"SELECT 42"),
            flight.FlightCallOptions(timeout=30, headers=[(b"authorization", b"Bearer x"), (b"x-forwarded-for", b"203.0.113.9")]))


def test_nobody_else_is_believed(start_proxy, engine, own_network, sub):
    config = base_config(engine, own_network)
    config["security"]["rate_limit"].update(anonymous_burst_size=5, anonymous_requests_per_minute=1)
    proxy = start_proxy(own_network, config)
    statuses = [proxy.get("/catalog", headers={"X-Forwarded-For": f"203.0.113.{i}"}).status_code for i in range(7)]
    assert statuses == [401] * 5 + [429] * 2


def test_demo_users_have_limits_of_their_own(start_proxy, engine, own_network):
    config = base_config(engine, own_network)
    config["security"]["rate_limit"].update(demo_burst_size=3, demo_requests_per_minute=1)
    proxy = start_proxy(own_network, config)
    headers = {"Authorization": f"Bearer {proxy.post('/auth/demo-token').json()['token']}"}
    answers = [proxy.post("/ai/chat", json={}, headers=headers) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [400, 400, 400, 429]
    assert answers[0].headers["RateLimit-Limit"] == "3"


class Collector:
    def __init__(self, engine, network: str) -> None:
        self.container = engine.start("collector", engine.test_image, "python3", "/support/collector.py", network=network,
                                      aliases=("collector",),
                                      options=("--init", "--entrypoint", "", "-v", f"{ROOT}/tests/support:/support:ro"))

    def spans(self, trace_id: str) -> list[dict]:
        spans = [json.loads(line) for line in docker("logs", self.container).splitlines() if line.startswith("{")]
        return [span for span in spans if span["traceId"] == trace_id]


def attributes(span: dict) -> dict:
    return {a["key"]: next(iter(a["value"].values())) for a in span["attributes"]}


def trace() -> tuple[str, str, str]:
    """(trace id, span id, traceparent)"""
    trace_id, span_id = secrets.token_hex(16), secrets.token_hex(8)
    return trace_id, span_id, f"00-{trace_id}-{span_id}-01"


def test_spans_go_to_a_collector(start_proxy, engine, own_network, sub):
    collector = Collector(engine, own_network)
    config = base_config(engine, own_network)
    config["tracing"] = {"otlp_endpoint": "http://collector:4318", "sample_ratio": 0}
    proxy = start_proxy(own_network, config, environment={"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/json",
                                                          "OTEL_EXPORTER_OTLP_HEADERS": "x-key=5ecr3t"})
    trace_id, span_id, traceparent = trace()
    answer = proxy.post("/sql", json={"sql": "SELECT count(*) AS n FROM range(50000000) t(i) WHERE i % 7 = 0"},
                        headers={"Authorization": f"Bearer {proxy.token(sub)}", "traceparent": traceparent, "X-Request-Id": "r-1"}, timeout=60)
    assert answer.status_code == 200, answer.text
    # Whoever has no token does not decide that a span is exported.
    assert proxy.get("/catalog", headers={"traceparent": traceparent}).status_code == 401
    assert requests.request("BREW", proxy.url("/health"), timeout=15,
                            headers={"Authorization": f"Bearer {proxy.token(sub)}", "traceparent": traceparent}).status_code == 405
    options = flight.FlightCallOptions(timeout=60, headers=[(b"authorization", f"Bearer {proxy.token(sub)}".encode()),
                                                            (b"traceparent", traceparent.encode())])
    client = flight.connect(proxy.location)
    with pytest.raises(pa.ArrowException):
        client.get_flight_info(flight.FlightDescriptor.for_command(b"SELECT * FROM nowhere"), options)
    client.get_flight_info(flight.FlightDescriptor.for_command(b"SELECT 42"), options)
    eventually(lambda: len(collector.spans(trace_id)) >= 4, "four spans have come", 20)
    spans = collector.spans(trace_id)
    assert {span["parentSpanId"] for span in spans} == {span_id} and len({span["spanId"] for span in spans}) == 4
    assert {span["path"] for span in spans} == {"/v1/traces"} and {span["key"] for span in spans} == {"5ecr3t"}
    assert spans[0]["service"]["service.name"]["stringValue"] == "pondpilot-proxy"
    (sql,) = [span for span in spans if span["name"] == "POST /sql"]
    said = attributes(sql)
    assert (said["http.request.method"], said["http.route"], said["user.id"], said["pondpilot.request_id"]) == ("POST", "/sql", sub, "r-1")
    assert int(said["http.response.status_code"]) == 200
    took = (int(sql["endTimeUnixNano"]) - int(sql["startTimeUnixNano"])) / 1000
    waited, worked = int(said["pondpilot.worker.wait_us"]), int(said["pondpilot.worker.us"])
    assert waited > 10_000, "a worker was started for it"
    assert worked > 1_000 and waited + worked <= took * 1.05
    (refused,) = [span for span in spans if span["name"] == "HTTP /health"]
    assert int(attributes(refused)["http.response.status_code"]) == 405 and "user.id" not in attributes(refused)
    flights = [span for span in spans if span["name"] == "arrow.flight.protocol.FlightService/GetFlightInfo"]
    assert {int(attributes(span)["rpc.grpc.status_code"]) == 0 for span in flights} == {True, False}
    assert all(attributes(span)["user.id"] == sub and int(attributes(span)["pondpilot.worker.us"]) > 0 for span in flights)
    # Nobody asked for spans of this one, and a client that says so gets none.
    assert proxy.get("/health").status_code == 200
    not_sampled, _, header = trace()
    assert proxy.get("/health", headers={"traceparent": header[:-2] + "00"}).status_code == 200
    exported = [line for line in proxy.get("/metrics", headers=admin(proxy)).text.splitlines() if line.startswith("pondpilot_spans_total")]
    assert exported == ['pondpilot_spans_total{result="exported"} 4', 'pondpilot_spans_total{result="failed"} 0', 'pondpilot_spans_total{result="dropped"} 0']
    assert not collector.spans(not_sampled) and "5ecr3t" not in proxy.logs()
    engine.remove(collector.container)


def test_a_collector_that_is_gone_costs_spans_only(start_proxy, engine, own_network, sub):
    config = base_config(engine, own_network)
    config["tracing"] = {"otlp_endpoint": "http://nowhere.invalid:4318"}
    proxy = start_proxy(own_network, config)
    for _ in range(5):
        answer = proxy.post("/sql", json={"sql": "SELECT 42 AS a"}, headers={"Authorization": f"Bearer {proxy.token(sub)}"}, timeout=60)
        assert answer.json()["rows"] == [{"a": 42}]
    failed = 'pondpilot_spans_total{result="failed"} '

    def counted() -> bool:
        line = next(line for line in proxy.get("/metrics", headers=admin(proxy)).text.splitlines() if line.startswith(failed))
        return float(line.removeprefix(failed)) >= 5

    eventually(counted, "they are counted", 30)
    assert proxy.log_lines("OpenTelemetry")
    assert proxy.stop() == 0


@pytest.mark.parametrize("exported", [False, True], ids=["as it came", "with spans"])
def test_the_workers_log_names_request_and_trace(start_proxy, engine, own_network, sub, exported):
    """A database that ends its connection is what a worker itself logs of a statement."""
    database = start_postgres(engine, own_network)
    database.run("CREATE TABLE big AS SELECT i AS id, repeat('x', 200) AS s FROM generate_series(1, 400000) i")
    config = base_config(engine, own_network, [{"alias": "pg", "type": "postgres", "connection_string": database.url}])
    if exported:
        config["tracing"] = {"otlp_endpoint": "http://nowhere.invalid:4318"}
    proxy = start_proxy(own_network, config)
    trace_id, _, traceparent = trace()
    answer = proxy.post("/sql", json={"sql": "SELECT a.id, a.s FROM pg.public.big a, range(20)"}, stream=True, timeout=60,
                        headers={"Authorization": f"Bearer {proxy.token(sub)}", "traceparent": traceparent, "X-Request-Id": "lost-1"})
    pieces = answer.iter_content(1 << 16)
    next(pieces)
    database.crash()
    for _ in pieces:
        pass
    worker = proxy.worker_of(sub)
    eventually(lambda: f"request_id=lost-1 trace_id={trace_id}" in docker("logs", worker), "the worker's log says so", 15)
    assert "SQL over HTTP failed" in docker("logs", worker)

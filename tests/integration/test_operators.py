"""What operators see and steer."""

import concurrent.futures
import json
import re
from pathlib import Path

import requests
import yaml

from tests.support.engine import docker, inspect, workers_on
from tests.support.proxy import base_config
from tests.support.waiting import eventually


def admin(proxy) -> dict[str, str]:
    return {"Authorization": f"Bearer {proxy.token('olga', pondpilot_admin=True)}"}


def workers(proxy) -> list[dict]:
    answer = proxy.get("/admin/workers", headers=admin(proxy))
    assert answer.status_code == 200, answer.text
    return answer.json()["workers"]


def test_ordinary_users_are_no_operators(product, sub):
    for method, path in (("GET", "/admin/workers"), ("DELETE", "/admin/workers"), ("POST", "/admin/drain"), ("GET", "/metrics")):
        bare = requests.request(method, product.url(path), timeout=15)
        assert bare.status_code == 401, path
        user = requests.request(method, product.url(path), timeout=15, headers={"Authorization": f"Bearer {product.token(sub)}"})
        assert user.status_code == 403, path
        demo = product.post("/auth/demo-token").json()["token"]
        assert requests.request(method, product.url(path), timeout=15, headers={"Authorization": f"Bearer {demo}"}).status_code == 403


def test_a_worker_is_seen_and_stopped(start_proxy, engine, own_network, sub):
    proxy = start_proxy(own_network, base_config(engine, own_network, warm=1))
    user = proxy.user(sub)
    user.value("SELECT 42")
    reader = user.stream("SELECT a.range, b.range FROM range(1000000) a, range(1000000) b")
    reader.read_chunk()
    eventually(lambda: {row["state"] for row in workers(proxy)} == {"ready", "warm"}, "one of each", 30)
    (mine,) = [row for row in workers(proxy) if row["user_id"] == sub]
    assert mine["container_id"] == inspect(proxy.worker_of(sub))["Id"]
    assert mine["calls"] == 1

    def reported() -> bool:
        (row,) = [row for row in workers(proxy) if row["user_id"] == sub]
        return row["open_streams"] == 1 and row["memory_bytes"] > 10_000_000 and row["cpu_ms"] > 0

    eventually(reported, "the heartbeat has told", 20)
    stopped = requests.delete(proxy.url("/admin/workers"), params={"worker_id": mine["worker_id"]}, headers=admin(proxy), timeout=15)
    assert stopped.status_code == 202, stopped.text
    try:
        for _ in reader:
            pass
        raise AssertionError("the stream went on")
    except Exception as error:  # noqa: BLE001 - what it says is the point
        assert "operator has stopped" in str(error), error
    assert user.value("SELECT 42") == 42
    again = requests.delete(proxy.url("/admin/workers"), params={"worker_id": mine["worker_id"]}, headers=admin(proxy), timeout=15)
    assert again.status_code == 404


def test_metrics_tell_of_starts_and_stops(start_proxy, engine, own_network, sub):
    proxy = start_proxy(own_network, base_config(engine, own_network, idle_timeout="1s"))
    proxy.user(sub).value("SELECT 42")
    eventually(lambda: workers_on(own_network) == [], "it is idle", 30)
    text = proxy.get("/metrics", headers=admin(proxy)).text
    lines = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    assert lines['pondpilot_worker_start_seconds_count{source="cold",phase="total"}'] == "1"
    assert 0 < float(lines['pondpilot_worker_start_seconds_sum{source="cold",phase="start"}']) < 30
    eventually(lambda: 'pondpilot_workers_stopped_total{reason="idle_timeout"} 1' in proxy.get("/metrics", headers=admin(proxy)).text,
               "the stop is counted", 10)
    assert sub not in text, "no user is a label"


def test_a_drain_lets_what_runs_end(start_proxy, engine, own_network, sub):
    proxy = start_proxy(own_network, base_config(engine, own_network))
    user = proxy.user(sub)
    user.value("SELECT 42")
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        # Longer than a SIGTERM would let it run, shorter than the grace.
        slow = pool.submit(lambda: user.value(
            "SELECT sum(sqrt(a.range * b.range)) > 0 FROM range(30000) a, range(30000) b"))
        eventually(lambda: any(row["calls"] == 1 for row in workers(proxy)), "it runs", 10)
        answer = requests.post(proxy.url("/admin/drain"), json={"grace_seconds": 120}, headers=admin(proxy), timeout=15)
        assert answer.status_code == 202, answer.text
        assert proxy.get("/ready").status_code == 503
        assert slow.result(timeout=120) is True
    assert proxy.wait_exit(60) == 0
    assert workers_on(own_network, running_only=False) == []


def test_a_reload_takes_what_can_change(start_proxy, engine, own_network, sub):
    config = base_config(engine, own_network)
    proxy = start_proxy(own_network, config)
    assert proxy.counts()["warm"] == 0
    config["containers"]["warm"] = 1
    config["containers"]["memory_limit"] = "300m"
    config["server"] = {"port": 9999}
    (proxy.folder / "config.yaml").write_text(yaml.safe_dump(config))
    docker("kill", "--signal", "HUP", proxy.container)
    eventually(lambda: proxy.counts()["warm"] == 1, "a warm worker", 30)
    (worker,) = workers_on(own_network)
    assert inspect(worker)["HostConfig"]["Memory"] == 300 << 20
    (line,) = proxy.log_lines("Configuration reloaded")
    assert line["changed"] == "containers.memory_limit,containers.warm", line
    (line,) = proxy.log_lines("Changes that need a restart")
    assert line["keys"] == "server.port", line
    (proxy.folder / "config.yaml").write_text("containers: {warm: lots}\n")
    docker("kill", "--signal", "HUP", proxy.container)
    eventually(lambda: proxy.log_lines("Configuration not reloaded"), "the mistake is told", 10)
    assert "containers.warm" in proxy.log_lines("Configuration not reloaded")[0]["error"]
    assert proxy.user(sub).value("SELECT 42") == 42


def test_a_database_that_comes_with_a_reload(start_proxy, engine, own_network, sub, databases):
    config = base_config(engine, own_network)
    proxy = start_proxy(own_network, config)
    before = proxy.user(f"{sub}-before")
    assert before.value("SELECT count(*) FROM duckdb_databases() WHERE database_name = 'late'") == 0
    config["duckdb"]["attached_databases"] = [{"alias": "late", "type": "sqlite",
                                               "connection_string": "/usr/share/pondpilot/samples/shop.db"}]
    (proxy.folder / "config.yaml").write_text(yaml.safe_dump(config))
    docker("kill", "--signal", "HUP", proxy.container)
    eventually(lambda: proxy.log_lines("Configuration reloaded"), "it is reloaded", 10)
    assert proxy.user(f"{sub}-after").value("SELECT count(*) > 0 FROM late.customers") is True
    assert before.value("SELECT 42") == 42


def test_a_profile_gives_other_limits(start_proxy, engine, own_network, sub):
    config = base_config(engine, own_network, warm=1, profiles=["large:700m:1.5"])
    proxy = start_proxy(own_network, config)
    large = proxy.user(f"{sub}-large", claims={"pondpilot_profile": "large"})
    assert large.value("SELECT 42") == 42
    limits = inspect(proxy.worker_of(f"{sub}-large"))["HostConfig"]
    assert (limits["Memory"], limits["NanoCpus"]) == (700 << 20, 1_500_000_000)
    assert proxy.user(f"{sub}-usual").value("SELECT 42") == 42
    assert inspect(proxy.worker_of(f"{sub}-usual"))["HostConfig"]["Memory"] == 512 << 20
    error = proxy.user(f"{sub}-huge", claims={"pondpilot_profile": "huge"}).refusal("SELECT 42")
    assert "containers.profiles" in str(error), error


def test_metrics_tell_of_requests_and_calls(start_proxy, engine, own_network, sub):
    proxy = start_proxy(own_network, base_config(engine, own_network))
    mine = {"Authorization": f"Bearer {proxy.token(sub)}"}
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    assert proxy.post("/sql", json={"sql": "SELECT range FROM range(100000)"}, headers={**mine, "Accept-Encoding": "identity"}, timeout=60).status_code == 200
    assert proxy.get("/catalog", headers={"traceparent": f"00-{trace}-00f067aa0ba902b7-01"}).status_code == 401
    proxy.get(f"/nothing/{sub}")
    assert proxy.user(sub).value("SELECT 42") == 42
    text = proxy.get("/metrics", headers=admin(proxy)).text
    lines = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    assert lines['pondpilot_http_requests_total{route="/sql",status="2xx"}'] == "1"
    assert lines['pondpilot_http_requests_total{route="other",status="4xx"}'] == "1"
    assert lines['pondpilot_http_request_seconds_count{route="/sql"}'] == "1"
    assert int(lines['pondpilot_http_sent_bytes_total{route="/sql"}']) > 1_000_000
    assert lines['pondpilot_refusals_total{door="http",reason="unauthenticated"}'] == "1"
    assert lines['pondpilot_flight_calls_total{method="GetFlightInfo",result="ok"}'] == "1"
    assert int(lines['pondpilot_flight_sent_bytes_total{method="DoGet"}']) > 0
    assert any(line.startswith('pondpilot_build_info{version="') for line in lines)
    assert sub not in text
    assert [line["trace_id"] for line in proxy.log_lines("HTTP request") if line["path"] == "/catalog"] == [trace]


def test_the_dashboard_asks_for_what_there_is(product):
    """Every metric of deploy/grafana-dashboard.json is one of the proxy's."""
    dashboard = json.loads((Path(__file__).parents[2] / "deploy" / "grafana-dashboard.json").read_text())
    asked = {name for panel in dashboard["panels"] for target in panel["targets"]
             for name in re.findall(r"pondpilot_[a-z_]+", target["expr"])}
    text = product.get("/metrics", headers=admin(product)).text
    served = set(re.findall(r"^(pondpilot_[a-z_]+)", text, re.M))
    assert asked and asked <= served, asked - served

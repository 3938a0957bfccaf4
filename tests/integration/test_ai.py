"""Chat and embeddings through the real proxy, against a provider that does what providers do on bad days."""

import http.client
import json
import time
from collections.abc import Iterator

import pytest
import requests

from tests.support.engine import ROOT, Engine, docker
from tests.support.provider import HARD_PIECES, PIECES, USAGE
from tests.support.proxy import Proxy, ProxyOptions, base_config
from tests.support.waiting import eventually

KEYS = {"claude_api_key": "sk-claude-5ecr3t", "openai_api_key": "sk-openai-5ecr3t"}
SHAPES = ["claude-test", "gpt-test"]
SHOP = {"alias": "shop", "type": "sqlite", "connection_string": "/usr/share/pondpilot/samples/shop.db"}


class Provider:
    def __init__(self, engine: Engine, network: str) -> None:
        self.container = engine.start("provider", engine.test_image, "python3", "/support/provider.py", network=network,
                                      aliases=("provider",),
                                      options=("--init", "--entrypoint", "", "-v", f"{ROOT}/tests/support:/support:ro"))

    def said(self) -> list[dict]:
        return [json.loads(line) for line in docker("logs", self.container).splitlines() if line.startswith("{")]

    def calls(self, model: str) -> int:
        return sum(1 for line in self.said() if line.get("model") == model)

    def closed(self, model: str) -> bool:
        return any(line.get("closed") == model for line in self.said())


@pytest.fixture(scope="module")
def provider(engine: Engine, network: str) -> Iterator[Provider]:
    running = Provider(engine, network)
    yield running
    engine.remove(running.container)


@pytest.fixture(scope="module")
def proxy(engine: Engine, network: str, provider: Provider) -> Iterator[Proxy]:
    config = base_config(engine, network, [SHOP], idle_timeout="15s")
    config["ai"] = {**KEYS, "claude_base_url": "http://provider:8000", "openai_base_url": "http://provider:8000/v1",
                    "embed_batch_size": 3}
    running = Proxy(engine, ProxyOptions(network, config)).wait_ready()

    def answers() -> bool:
        return ask(running, "alice", "claude-test.good", stream=False).status_code == 200

    eventually(answers, "the provider answers", 30)
    yield running
    assert "5ecr3t" not in running.logs()
    running.remove()


def ask(proxy: Proxy, user: str, model: str, stream: bool | None = None, **fields) -> requests.Response:
    body = {"messages": [{"role": "user", "content": "Hi"}], "model": model, **fields}
    if stream is not None:
        body["stream"] = stream
    answer = proxy.post("/ai/chat", json=body, headers={"Authorization": f"Bearer {proxy.token(user)}"}, timeout=60)
    answer.encoding = "utf-8"
    assert "5ecr3t" not in answer.text
    return answer


def events(answer: requests.Response) -> list[tuple[str, dict]]:
    """(name, data) of each event of our own format."""
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Type"] == "text/event-stream"
    found = []
    for block in answer.text.split("\n\n"):
        lines = [line for line in block.split("\n") if line and not line.startswith(":")]
        if lines:
            fields = dict(line.split(": ", 1) for line in lines)
            found.append((fields["event"], json.loads(fields["data"])))
    return found


def text_of(found: list[tuple[str, dict]]) -> str:
    return "".join(data["text"] for name, data in found if name == "delta")


@pytest.mark.parametrize("shape", SHAPES)
def test_both_apis_give_the_same_events(proxy, sub, shape):
    found = events(ask(proxy, sub, f"{shape}.good"))
    assert [data["text"] for name, data in found if name == "delta"] == PIECES
    assert found[-1] == ("done", {"model": f"{shape}.good", "stop_reason": "end_turn",
                                  "usage": {"input_tokens": USAGE[0], "output_tokens": USAGE[1]}})
    whole = ask(proxy, sub, f"{shape}.good", stream=False)
    assert whole.json() == {"model": f"{shape}.good", "text": "".join(PIECES), "stop_reason": "end_turn",
                            "usage": {"input_tokens": USAGE[0], "output_tokens": USAGE[1]}}


@pytest.mark.parametrize("shape", SHAPES)
def test_openais_own_shape(proxy, sub, shape):
    answer = ask(proxy, sub, f"{shape}.bytes", format="openai")
    data = [line.removeprefix("data: ") for line in answer.text.split("\n") if line.startswith("data: ")]
    assert data[-1] == "[DONE]" and "event:" not in answer.text
    chunks = [json.loads(one) for one in data[:-1]]
    assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"} and len({chunk["id"] for chunk in chunks}) == 1
    assert chunks[0]["choices"][0]["delta"]["role"] == "assistant"
    assert "".join(c["choices"][0]["delta"].get("content", "") for c in chunks if c["choices"]) == "".join(HARD_PIECES)
    assert [c["choices"][0]["finish_reason"] for c in chunks if c["choices"]][-1] == "stop"
    assert chunks[-1]["usage"] == {"prompt_tokens": USAGE[0], "completion_tokens": USAGE[1], "total_tokens": sum(USAGE)}
    whole = ask(proxy, sub, f"{shape}.good", stream=False, format="openai").json()
    assert whole["object"] == "chat.completion"
    assert whole["choices"] == [{"index": 0, "message": {"role": "assistant", "content": "".join(PIECES)}, "finish_reason": "stop"}]


@pytest.mark.parametrize("shape", SHAPES)
def test_events_that_come_byte_by_byte(proxy, sub, shape):
    found = events(ask(proxy, sub, f"{shape}.bytes"))
    assert text_of(found) == "".join(HARD_PIECES)
    assert found[-1][0] == "done"


@pytest.mark.parametrize("shape", SHAPES)
def test_words_leave_as_they_come(proxy, provider, sub, shape):
    """The provider says its first words and nothing more: the client has them, and its going ends the provider's call."""
    model = f"{shape}.stall.{sub}"
    connection = http.client.HTTPConnection("127.0.0.1", proxy.port(8080), timeout=30)
    connection.request("POST", "/ai/chat", json.dumps({"messages": [{"role": "user", "content": "Hi"}], "model": model}),
                       {"Authorization": f"Bearer {proxy.token(sub)}", "Content-Type": "application/json"})
    answer = connection.getresponse()
    said = b""
    while b"event: delta" not in said:
        piece = answer.read1(4096)
        assert piece, said
        said += piece
    assert not provider.closed(model)
    answer.close()
    connection.close()
    eventually(lambda: provider.closed(model), "the provider's call has ended", 5)
    eventually(lambda: any(line["model"] == model and line["result"] == "client_gone" for line in proxy.log_lines("AI call")),
               "the log says so", 5)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_client_that_goes_before_the_first_word_ends_the_call(proxy, provider, sub, shape):
    model = f"{shape}.silent.{sub}"
    connection = http.client.HTTPConnection("127.0.0.1", proxy.port(8080), timeout=30)
    connection.request("POST", "/ai/chat", json.dumps({"messages": [{"role": "user", "content": "Hi"}], "model": model}),
                       {"Authorization": f"Bearer {proxy.token(sub)}", "Content-Type": "application/json"})
    eventually(lambda: provider.calls(model) == 1, "it has arrived", 10)
    connection.close()
    eventually(lambda: provider.closed(model), "the provider's call has ended", 5)
    assert provider.calls(model) == 1, "nobody is there to try again for"


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("how", ["drop", "drop-end", "error", "garbage-event", "garbage-utf8", "garbage-list", "garbage-chunk"])
def test_an_answer_that_breaks_in_the_middle_ends_with_an_error(proxy, provider, sub, shape, how):
    model = f"{shape}.{how}.{sub}"
    found = events(ask(proxy, sub, model))
    name, problem = found[-1]
    assert name == "error" and [name for name, _ in found].count("error") == 1, found
    assert problem["code"] in ("ai_interrupted", "ai_unreachable", "ai_bad_answer"), problem
    assert problem["request_id"] and "busy inside" not in json.dumps(problem)
    assert "done" not in [name for name, _ in found]
    assert provider.calls(model) == 1, "what has begun is not tried again"
    if how in ("drop", "error"):
        assert text_of(found) and PIECES[0].startswith(text_of(found)[:10])
    in_openais = ask(proxy, sub, model, format="openai").text
    assert '"error":{"message":' in in_openais and "[DONE]" not in in_openais


@pytest.mark.parametrize("shape", SHAPES)
def test_what_is_no_answer_is_a_502(proxy, sub, shape):
    for how, code in [("garbage-http", "ai_unreachable"), ("garbage-page", "ai_bad_answer")]:
        answer = ask(proxy, sub, f"{shape}.{how}.{sub}", stream=False)
        assert (answer.status_code, answer.json()["code"]) == (502, code), answer.text


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("status, ours, code, calls", [
    (429, 429, "ai_rate_limited", 2), (529, 502, "ai_provider_failed", 2), (500, 502, "ai_provider_failed", 2),
    (503, 502, "ai_provider_failed", 2), (400, 400, "ai_request_refused", 1), (404, 400, "ai_request_refused", 1),
    (401, 502, "ai_credentials_refused", 1), (403, 502, "ai_credentials_refused", 1), (302, 502, "ai_provider_failed", 1)])
def test_refusals_are_translated_and_tried_once_more_at_most(proxy, provider, sub, shape, status, ours, code, calls):
    model = f"{shape}.status-{status}.{sub}"
    answer = ask(proxy, sub, model)
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (ours, code), problem
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert provider.calls(model) == calls
    # What the provider says is passed on where it is about the request, and nowhere else.
    assert ("as it was asked for" in problem["detail"]) == (code == "ai_request_refused")
    if code == "ai_credentials_refused":
        assert "operator" in problem["detail"]
        assert any(line["level"] == "error" for line in proxy.log_lines(
            "AI provider does not accept the key: check CLAUDE_API_KEY or OPENAI_API_KEY"))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("how", ["once-429", "once-529", "once-500", "drop-once"])
def test_a_failure_before_the_first_byte_is_not_seen(proxy, provider, sub, shape, how):
    model = f"{shape}.{how}.{sub}"
    began = time.monotonic()
    found = events(ask(proxy, sub, model))
    assert text_of(found) == "".join(PIECES) and provider.calls(model) == 2
    if how != "drop-once":
        assert time.monotonic() - began >= 1, "Retry-After is honoured"


def test_a_long_retry_after_is_the_callers(proxy, provider, sub):
    answer = ask(proxy, sub, f"claude-test.later-40.{sub}")
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "40")
    assert provider.calls(f"claude-test.later-40.{sub}") == 1


def test_nobody_there(start_proxy, engine, own_network, sub):
    config = base_config(engine, own_network)
    config["ai"] = {**KEYS, "claude_base_url": "http://127.0.0.1:1", "openai_base_url": "http://nowhere.invalid/v1"}
    proxy = start_proxy(own_network, config)
    for model in SHAPES:
        answer = ask(proxy, sub, model)
        assert (answer.status_code, answer.json()["code"]) == (502, "ai_unreachable")
        assert "127.0.0.1" not in answer.text and "nowhere.invalid" not in answer.text
    assert len(proxy.log_lines("AI provider is asked again")) == 2


@pytest.mark.parametrize("shape", SHAPES)
def test_images_are_refused_by_name(proxy, provider, sub, shape):
    for part in ({"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}},
                 {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGk="}}):
        answer = ask(proxy, sub, f"{shape}.good.{sub}", messages=[{"role": "user", "content": [{"type": "text", "text": "?"}, part]}])
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")
        assert "images" in answer.json()["detail"] and "messages[0].content" in answer.json()["detail"]
    assert provider.calls(f"{shape}.good.{sub}") == 0


@pytest.mark.parametrize("shape", SHAPES)
def test_the_callers_own_catalog_goes_before_the_model(proxy, sub, shape):
    headers = {"Authorization": f"Bearer {proxy.token(sub)}"}
    made = proxy.post("/sql", json={"sql": 'CREATE OR REPLACE TABLE "My own" (id INTEGER, tags VARCHAR[])'}, headers=headers, timeout=60)
    assert made.status_code == 200, made.text
    told = ask(proxy, sub, f"{shape}.echo", stream=False, schema=True, system="Be brief.").json()["text"]
    assert told.startswith("Be brief.\n")
    assert '\nmemory.main."My own" (id INTEGER, tags VARCHAR[])\n' in told
    (customers,) = [line for line in told.splitlines() if line.startswith("shop.main.customers (")]
    # What is told can be run as it stands.
    name = customers.split(" (")[0]
    counted = proxy.post("/sql", json={"sql": f"SELECT count(*) AS n FROM {name}"}, headers=headers, timeout=60)
    assert counted.json()["rows"][0]["n"] > 0
    # Nobody else's.
    other = ask(proxy, f"{sub}-other", f"{shape}.echo", stream=False, schema=True).json()["text"]
    assert "shop.main.customers" in other and "My own" not in other
    assert ask(proxy, sub, f"{shape}.echo", stream=False).json()["text"] == ""


def test_a_large_catalog_is_cut_and_says_so(proxy, sub):
    headers = {"Authorization": f"Bearer {proxy.token(sub)}"}
    tables = "; ".join(f"CREATE TABLE table_with_a_long_name_{i} (a_column_with_a_long_name INTEGER, another_one VARCHAR)" for i in range(1000))
    made = proxy.post("/sql", json={"sql": tables}, headers=headers, timeout=120)
    assert made.status_code == 200, made.text
    told = ask(proxy, sub, "claude-test.echo", stream=False, schema=True).json()["text"]
    assert 40_000 < len(told) < 50_000
    assert "more, which are not shown here" in told.splitlines()[-1]
    demo = proxy.post("/auth/demo-token").json()["token"]
    answer = proxy.post("/ai/chat", json={"messages": [{"role": "user", "content": "Hi"}], "model": "claude-test.echo", "stream": False,
                                          "schema": True}, headers={"Authorization": f"Bearer {demo}"}, timeout=60)
    assert answer.status_code == 200 and len(answer.json()["text"]) < 9_000


def test_embeddings_in_batches(proxy, provider, sub):
    model = f"embed-test.{sub}"
    answer = proxy.post("/ai/embed", json={"input": ["a" * n for n in range(1, 9)], "model": model},
                        headers={"Authorization": f"Bearer {proxy.token(sub)}"}, timeout=30)
    assert answer.status_code == 200, answer.text
    assert answer.json() == {"model": model, "embeddings": [[float(n), 0.5] for n in range(1, 9)],
                             "usage": {"input_tokens": 8, "output_tokens": 0}}
    assert [line["inputs"] for line in provider.said() if line.get("model") == model] == [3, 3, 2]
    one = proxy.post("/ai/embed", json={"input": "four", "model": model}, headers={"Authorization": f"Bearer {proxy.token(sub)}"})
    assert one.json()["embeddings"] == [[4.0, 0.5]]


def test_what_it_cost_is_counted(proxy, sub):
    def count(name: str) -> float:
        text = proxy.get("/metrics", headers={"Authorization": f"Bearer {proxy.token('olga', pondpilot_admin=True)}"}).text
        return float(next(line.rsplit(" ", 1)[1] for line in text.splitlines() if line.startswith(name)))

    names = ['pondpilot_ai_tokens_total{provider="openai",kind="input"}', 'pondpilot_ai_tokens_total{provider="openai",kind="output"}',
             'pondpilot_ai_retries_total{provider="openai"}', 'pondpilot_ai_calls_total{provider="openai",result="ok"}']
    before = [count(name) for name in names]
    events(ask(proxy, sub, f"gpt-test.drop-once.{sub}"))
    after = [count(name) for name in names]
    assert [b - a for a, b in zip(before, after, strict=True)] == [USAGE[0], USAGE[1], 1, 1]

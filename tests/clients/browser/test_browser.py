"""A page in Chromium that calls the proxy across origins, with the browser's own fetch."""

import json
import queue
import shutil
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlencode

import pytest

from tests.support.engine import ROOT, Engine, docker
from tests.support.provider import HARD_PIECES, USAGE
from tests.support.proxy import Proxy, ProxyOptions, base_config
from tests.support.quack import CONNECTED, PREPARE, PREPARED, connect_message, field, framed, text
from tests.support.waiting import eventually

PAGE = (Path(__file__).parent / "page.html").read_bytes()


class Site:
    """Where the page is from. Chromium brings what came of it back here."""

    def __init__(self) -> None:
        self.results: queue.Queue[dict] = queue.Queue()
        site = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_) -> None:
                pass

            def do_GET(self) -> None:  # noqa: N802 - the base class's name
                self.reply(PAGE if self.path.startswith("/?") else b"", "text/html")

            def do_POST(self) -> None:  # noqa: N802 - the base class's name
                site.results.put(json.loads(self.rfile.read(int(self.headers["content-length"]))))
                self.reply(b"", "text/plain")

            def reply(self, body: bytes, kind: str) -> None:
                self.send_response(200)
                self.send_header("content-type", kind)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def origin(self, host: str) -> str:
        return f"http://{host}:{self.server.server_address[1]}"


@pytest.fixture(scope="module")
def chromium() -> str:
    found = shutil.which("chromium-headless-shell") or shutil.which("chromium")
    if found is None:
        pytest.skip("there is no Chromium here: the image with the tools of other languages has one")
    return found


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    running = Site()
    yield running
    running.server.shutdown()


@pytest.fixture(scope="module")
def provider(engine: Engine, network: str) -> Iterator[str]:
    container = engine.start("provider", engine.test_image, "python3", "/support/provider.py", network=network,
                             aliases=("browser-provider",),
                             options=("--init", "--entrypoint", "", "-v", f"{ROOT}/tests/support:/support:ro"))
    yield container
    engine.remove(container)


@pytest.fixture(scope="module")
def proxy(engine: Engine, network: str, provider: str, site: Site) -> Iterator[Proxy]:
    config = base_config(engine, network)
    config["security"]["cors_allowed_origins"] = [site.origin("127.0.0.1")]
    config["ai"] = {"claude_api_key": "sk-test", "claude_base_url": "http://browser-provider:8000"}
    running = Proxy(engine, ProxyOptions(network, config)).wait_ready()
    yield running
    running.remove()


def visit(chromium: str, folder: Path, site: Site, origin: str, proxy: Proxy) -> dict:
    """What the page says when it is opened from this origin."""
    token = proxy.token("browser")
    prepare = framed("0" * 32, PREPARE, field(1, text("SELECT 'grüße 🦆' AS word")))
    query = urlencode({"proxy": proxy.url(""), "token": token, "model": "claude-test",
                       "connect": connect_message(token, 1).hex(), "prepare": prepare.hex()})
    browser = subprocess.Popen(
        [chromium, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
         f"--user-data-dir={folder}", "--remote-debugging-port=0", f"{origin}/?{query}"],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        return site.results.get(timeout=60)
    except queue.Empty:
        browser.kill()
        raise AssertionError(f"the page said nothing: {browser.stderr.read()[-2000:]!r}") from None
    finally:
        browser.kill()
        browser.wait(timeout=30)


def test_a_page_of_an_allowed_origin(chromium, site, provider, proxy, tmp_path):
    said = visit(chromium, tmp_path, site, site.origin("127.0.0.1"), proxy)
    assert said["sql"]["status"] == 200 and said["sql"]["rows"] == [{"word": "größe 🦆"}]
    assert int(said["sql"]["remaining"]) > 0, "the page may read where its user stands"
    assert (said["chat"]["status"], said["chat"]["type"]) == (200, "text/event-stream")
    assert said["chat"]["text"] == "".join(HARD_PIECES)
    assert said["chat"]["last"] == ["done", {"model": "claude-test.bytes", "stop_reason": "end_turn",
                                            "usage": {"input_tokens": USAGE[0], "output_tokens": USAGE[1]}}]
    # It had the first words while the provider had not ended, and its going ended the provider's call.
    assert said["left"]["first"][0] == "delta"
    eventually(lambda: '"closed": "claude-test.stall.browser"' in docker("logs", provider), "the provider's call has ended", 10)
    assert said["quack"]["types"] == [CONNECTED, PREPARED] and said["quack"]["statuses"] == [200, 200]
    assert "grüße 🦆" in said["quack"]["text"]
    assert said["refused"]["status"] == 401 and said["refused"]["problem"]["code"] == "unauthenticated"
    assert said["refused"]["id"] == said["refused"]["problem"]["request_id"]


def test_a_page_of_another_origin_gets_nothing(chromium, site, proxy, tmp_path):
    """The same page, under a name that is not listed."""
    said = visit(chromium, tmp_path, site, site.origin("localhost"), proxy)
    assert said == {**{name: {"error": "TypeError"} for name in ("sql", "chat", "left", "refused")},
                    "quack": {"error": "NetworkError"}}

"""The description of the HTTP door, and a fuzzer that believes it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import requests

from tests.support.proxy import Proxy


@pytest.fixture(scope="module")
def fuzzer() -> str:
    # Beside the interpreter of the environment that tests/support/requirements.txt makes.
    found = shutil.which("schemathesis", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    if found is None:
        pytest.skip("schemathesis is not installed: the package index was not reachable")
    return found


def fuzz(program: str, proxy: Proxy, folder: Path, *options: str) -> None:
    done = subprocess.run(
        [program, "run", proxy.url("/openapi.json"), "--checks", "all", "--mode", "all", "--seed", "1",
         "--phases", "examples,coverage,fuzzing", "--max-examples", "40", "--request-timeout", "30", "--no-color",
         "--generation-database", "none", *options],
        cwd=folder, capture_output=True, text=True, timeout=500, check=False)
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]


def test_a_fuzzer_finds_nothing_as_a_user(product: Proxy, sub: str, fuzzer: str, tmp_path: Path):
    fuzz(fuzzer, product, tmp_path, "-H", f"Authorization: Bearer {product.token(sub)}",
         "--include-path-regex", "^/(catalog|health|ready|openapi)")
    assert "HTTP handler failed" not in product.logs()


def test_a_fuzzer_finds_nothing_in_sql(product: Proxy, sub: str, fuzzer: str, tmp_path: Path):
    """What it sends is no SQL, most of the time: that is refused although the description has no grammar for it."""
    fuzz(fuzzer, product, tmp_path, "-H", f"Authorization: Bearer {product.token(sub)}", "--include-path", "/sql",
         "--exclude-checks", "positive_data_acceptance")
    assert "HTTP handler failed" not in product.logs()


def test_a_fuzzer_finds_nothing_in_ai(product: Proxy, sub: str, fuzzer: str, tmp_path: Path):
    """No provider stands behind this proxy: what is sensible is answered 503, and that it is described is checked. 1.0 is a
    whole number to a JSON schema, and no number of tokens to the proxy."""
    fuzz(fuzzer, product, tmp_path, "-H", f"Authorization: Bearer {product.token(sub)}", "--include-path-regex", "^/ai/",
         "--exclude-checks", "not_a_server_error,positive_data_acceptance")
    assert "HTTP handler failed" not in product.logs()


def test_a_fuzzer_finds_nothing_as_an_operator(product: Proxy, fuzzer: str, tmp_path: Path):
    """Without what would end the proxy."""
    token = product.token("olga", pondpilot_admin=True)
    fuzz(fuzzer, product, tmp_path, "-H", f"Authorization: Bearer {token}", "--include-path-regex", "^/(admin/workers|metrics)")


def test_the_description_is_there_for_everyone(product: Proxy):
    answer = product.get("/openapi.json")
    assert answer.status_code == 200 and answer.json()["openapi"] == "3.1.0"
    for path, methods in answer.json()["paths"].items():
        allowed = set(requests.options(product.url(path), timeout=15).headers["Allow"].split(", "))
        assert allowed - {"HEAD", "OPTIONS"} == {method.upper() for method in methods}, path

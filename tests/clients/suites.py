"""Test programs in other languages. Each is run once, by its language's own runner, and its cases are shown one by one."""

import os
import re
import subprocess
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.engine import ROOT
from tests.support.proxy import Proxy

SOURCES = ROOT / "tests" / "clients"
MADE = ROOT / "build" / "clients"

# What ended well is "". Anything else is what the runner said about the failure.
Outcomes = dict[str, str]


@dataclass(frozen=True)
class Suite:
    client: str
    files: str  # of the sources, as a pattern
    case: str  # what a case's declaration looks like; its group is the case's name
    seconds: int = 170

    def cases(self) -> list[str]:
        """As the sources have them: a case that the runner does not report is a failure."""
        found = []
        for file in sorted((SOURCES / self.client).glob(self.files)):
            prefix = f"{file.stem}." if self.client == "jdbc" else ""
            found += [prefix + name for name in re.findall(self.case, file.read_text())]
        assert found, f"no case in {self.client}/{self.files}"
        return found

    def run(self, proxy: Proxy) -> Outcomes:
        made = MADE / self.client
        if not (made / "prepared").exists():
            log = made / "prepare.log"
            said = log.read_text().strip().splitlines()[-1:] if log.exists() else ["./dev test clients prepares them"]
            pytest.skip(f"the {self.client} client could not be fetched or compiled: {' '.join(said)[:300]}")
        environment = {
            "PONDPILOT_HOST": "127.0.0.1",
            "PONDPILOT_PORT": str(proxy.port(8081)),
            "PONDPILOT_TOKEN": proxy.token(f"client-{self.client}"),
        }
        return RUNNERS[self.client](made, environment, self.seconds)


def run(words: list[str], folder: Path, environment: dict[str, str], seconds: int) -> str:
    done = subprocess.run(words, cwd=folder, env={**os.environ, **environment}, text=True, timeout=seconds,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    return done.stdout


def jdbc(made: Path, environment: dict[str, str], seconds: int) -> Outcomes:
    reports = made / "surefire-reports"
    for old in reports.glob("*.xml"):
        old.unlink()
    said = run(["mvn", "-B", "-q", "--offline", "-f", str(SOURCES / "jdbc" / "pom.xml"),
                f"-Dmaven.repo.local={MADE / 'maven'}", f"-Dbuild.folder={made}", "test"], ROOT, environment, seconds)
    outcomes = {}
    for file in reports.glob("*.xml"):
        for case in ET.parse(file).getroot().iter("testcase"):
            failed = case.find("failure") if case.find("failure") is not None else case.find("error")
            name = case.get("classname", "").rsplit(".", 1)[-1] + "." + case.get("name", "").split("(")[0]
            outcomes[name] = "" if failed is None else failed.text or "failed"
    assert outcomes, f"Maven reports no case:\n{said[-3000:]}"
    return outcomes


def go(made: Path, environment: dict[str, str], seconds: int) -> Outcomes:
    said = run(["./client.test", "-test.v", f"-test.timeout={seconds - 10}s"], made, environment, seconds)
    outcomes = {}
    for state, name in re.findall(r"^--- (PASS|FAIL|SKIP): (\w+)", said, re.MULTILINE):
        output = re.search(rf"^=== RUN   {name}\n(.*?)^--- {state}: {name}", said, re.MULTILINE | re.DOTALL)
        outcomes[name] = "" if state == "PASS" else (output[1] if output else state)
    assert outcomes, f"The Go program reports no case:\n{said[-3000:]}"
    return outcomes


def rust(made: Path, environment: dict[str, str], seconds: int) -> Outcomes:
    said = run(["cargo", "test", "--quiet", "--offline", "--", "--format=pretty", "--test-threads=2"], made,
               {**environment, "CARGO_HOME": str(MADE / "cargo")}, seconds)
    outcomes = {}
    for name, state in re.findall(r"^test (\w+) \.\.\. (\w+)", said, re.MULTILINE):
        output = re.search(rf"^---- {name} stdout ----\n(.*?)^(?:----|failures:)", said, re.MULTILINE | re.DOTALL)
        outcomes[name] = "" if state == "ok" else (output[1] if output else state)
    assert outcomes, f"cargo reports no case:\n{said[-3000:]}"
    return outcomes


def node(made: Path, environment: dict[str, str], seconds: int) -> Outcomes:
    said = run(["node", "--test", "--test-force-exit", "--test-reporter=junit", "flight_sql.test.mjs"], made, environment, seconds)
    begin = said.find("<?xml")
    assert begin >= 0, f"Node reports no case:\n{said[-3000:]}"
    outcomes = {}
    for case in ET.fromstring(said[begin:said.rindex("</testsuites>") + len("</testsuites>")]).iter("testcase"):
        failed = case.find("failure")
        outcomes[case.get("name", "")] = "" if failed is None else (failed.text or failed.get("message") or "failed")
    return outcomes


def superset(made: Path, environment: dict[str, str], seconds: int) -> Outcomes:
    report = made / "report.xml"
    report.unlink(missing_ok=True)
    said = run([str(made / "python" / "bin" / "python3"), "-m", "pytest", "--noconftest", "-c", "/dev/null", "-p", "no:cacheprovider",
                f"--junitxml={report}", str(SOURCES / "sqlalchemy" / "superset_cases.py")], made, environment, seconds)
    assert report.exists(), f"pytest reports no case:\n{said[-3000:]}"
    outcomes = {}
    for case in ET.parse(report).getroot().iter("testcase"):
        failed = case.find("failure") if case.find("failure") is not None else case.find("error")
        outcomes[case.get("name", "")] = "" if failed is None else failed.text or "failed"
    return outcomes


RUNNERS = {"jdbc": jdbc, "go": go, "rust": rust, "node": node, "sqlalchemy": superset}


def check(outcomes: Outcomes, case: str) -> None:
    assert case in outcomes, f"the run reports no case {case}; it reports {sorted(outcomes)}"
    assert outcomes[case] == "", outcomes[case][-3000:]

"""A proxy container with a configuration of its own, on ports that the engine chose."""

import re
import threading
from dataclasses import dataclass, field
from pathlib import Path

import requests
import yaml

from tests.support.engine import SOCKET, Engine, command, docker, inspect, workers_on
from tests.support.flight import FlightUser
from tests.support.tokens import SECRET, token
from tests.support.waiting import eventually


@dataclass
class ProxyOptions:
    network: str
    config: dict | str | None = None
    environment: dict[str, str] = field(default_factory=dict)
    # Docker options besides the usual ones, for example a SQLite file's mount.
    options: tuple[str, ...] = ()
    secret: str | None = SECRET
    socket: bool = True
    memory: str = "512m"
    restart: str = "no"
    # Of this machine, for HTTP and Flight; the engine chooses others with each start when none are given.
    ports: tuple[int, int] | None = None


def base_config(engine: Engine, network: str, databases: list[dict] | None = None, **containers) -> dict:
    """Small workers, none before it is asked for, and no rate limit worth the name: a test that is about one of these
    says so itself."""
    return {
        "containers": {"image": engine.worker_image, "network": network, "memory_limit": "512m", "cpu_limit": 1,
                       "warm": 0, "session_timeout": "1s", **containers},
        "duckdb": {"extensions": ["arrow", "postgres", "mysql", "sqlite"], "attached_databases": databases or []},
        "security": {"rate_limit": {"requests_per_minute": 100000, "burst_size": 100000}},
    }


class Proxy:
    def __init__(self, engine: Engine, options: ProxyOptions) -> None:
        self.engine = engine
        self.network = options.network
        self.folder: Path = engine.new_folder("proxy")
        self.secret = options.secret or SECRET
        words: list[str] = ["--restart", options.restart]
        if options.config is not None:
            text = options.config if isinstance(options.config, str) else yaml.safe_dump(options.config)
            (self.folder / "config.yaml").write_text(text)
            words += ["-v", f"{self.folder}/config.yaml:/config.yaml:ro"]
        if options.socket:
            words += ["-v", f"{SOCKET}:{SOCKET}"]
        environment = {} if options.secret is None else {"JWT_SECRET": options.secret}
        for name, value in {**environment, **options.environment}.items():
            words += ["-e", f"{name}={value}"]
        http, grpc = options.ports or ("", "")
        self.container = engine.start("proxy", engine.proxy_image, network=options.network, memory=options.memory,
                                      options=(*words, "-p", f"127.0.0.1:{http}:8080", "-p", f"127.0.0.1:{grpc}:8081",
                                               *options.options))
        self._ports: dict[int, int] = {}

    # -- life

    def port(self, inside: int) -> int:
        if inside not in self._ports:
            self._ports[inside] = int(docker("port", self.container, f"{inside}/tcp").splitlines()[0].rsplit(":", 1)[1])
        return self._ports[inside]

    def wait_ready(self, seconds: float = 30) -> "Proxy":
        def look() -> bool:
            state = inspect(self.container)["State"]
            if state["Status"] == "exited":
                raise RuntimeError(f"the proxy ended with {state['ExitCode']}:\n{self.logs()}")
            try:
                return self.get("/ready").status_code == 200
            except requests.ConnectionError:
                return False

        try:
            eventually(look, "GET /ready answers 200", seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.logs()}") from None
        return self

    def wait_exit(self, seconds: float = 30) -> int:
        return int(docker("wait", self.container, seconds=seconds))

    def stop(self, grace: int = 30) -> int:
        """SIGTERM; returns the exit code."""
        docker("stop", "-t", str(grace), self.container, seconds=grace + 30)
        return int(inspect(self.container)["State"]["ExitCode"])

    def kill(self) -> None:
        docker("kill", self.container)

    def start(self) -> "Proxy":
        docker("start", self.container)
        self._ports.clear()
        return self.wait_ready()

    def remove(self) -> None:
        """The proxy stops its workers first, unless it is beyond that."""
        command("docker", "stop", "-t", "30", self.container, check=False, seconds=60)
        self.engine.remove(self.container)

    # -- what it says

    def logs(self) -> str:
        done = command("docker", "logs", self.container, check=False)
        return done.stdout + done.stderr

    def log_lines(self, message: str) -> list[dict[str, str]]:
        """The logfmt lines with this msg, taken apart."""
        lines = []
        for line in self.logs().splitlines():
            values = {k: v.strip('"') for k, v in re.findall(r'(\w+)=("(?:[^"\\]|\\.)*"|\S*)', line)}
            if values.get("msg") == message:
                lines.append(values)
        return lines

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port(8080)}{path}"

    def get(self, path: str, **how) -> requests.Response:
        return requests.get(self.url(path), timeout=how.pop("timeout", 15), **how)

    def post(self, path: str, **how) -> requests.Response:
        return requests.post(self.url(path), timeout=how.pop("timeout", 15), **how)

    def metrics(self) -> dict[str, float]:
        """What /metrics says now, by name and labels."""
        answer = self.get("/metrics", headers={"Authorization": f"Bearer {self.token('olga', pondpilot_admin=True)}"})
        assert answer.status_code == 200, answer.text
        lines = (line.rsplit(" ", 1) for line in answer.text.splitlines() if not line.startswith("#"))
        return {name: float(value) for name, value in lines}

    def counts(self) -> dict[str, int]:
        return self.get("/health/detailed").json()["containers"]

    # -- users

    @property
    def location(self) -> str:
        return f"grpc://127.0.0.1:{self.port(8081)}"

    def token(self, sub: str = "alice", **claims) -> str:
        return token(sub, secret=self.secret, **claims)

    def user(self, sub: str = "alice", claims: dict | None = None, **how) -> FlightUser:
        return FlightUser(self.location, self.token(sub, **(claims or {})), **how)

    # -- its workers

    def worker_of(self, sub: str) -> str:
        """The container of the user's worker, as the log names it."""
        lines = self.log_lines("Container spawned") + self.log_lines("Container adopted")
        theirs = [line["container_id"] for line in lines if line["user_id"] == sub]
        assert theirs, f"{sub} has no worker:\n{self.logs()}"
        return theirs[-1]

    def workers(self) -> list[str]:
        return workers_on(self.network)

    def memory_mb(self) -> float:
        """What the proxy's process has resident, in MiB."""
        status = docker("exec", self.container, "cat", "/proc/1/status")
        assert "Name:\tpondpilot-proxy" in status, status[:200]
        return int(re.search(r"VmRSS:\s+(\d+) kB", status).group(1)) / 1024

    def cpu_seconds(self) -> float:
        return cpu_seconds(self.container)


def cpu_seconds(container: str) -> float:
    """Processor time that the container's first process and its children have used."""
    stat = docker("exec", container, "cat", "/proc/1/stat").rsplit(")", 1)[1].split()
    return (int(stat[11]) + int(stat[12])) / 100


def idle(container: str) -> bool:
    """The container uses no processor time in a quarter of a second."""
    before = cpu_seconds(container)
    threading.Event().wait(0.25)
    return cpu_seconds(container) - before <= 0.02

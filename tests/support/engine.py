"""The Docker engine as a test run uses it: everything it makes carries the run's label and is removed at the end."""

import json
import os
import secrets
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LABEL = "pondpilot.test-run"
BRIEF_LABEL = f"{LABEL}.brief"
SOCKET = "/var/run/docker.sock"


class CommandFailed(AssertionError):
    pass


def command(*words: str, seconds: float = 60, stdin: str | None = None, check: bool = True, cwd: Path | None = None,
            env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Runs a command to its end. With `check`, any other exit code than 0 is an error that shows the output."""
    done = subprocess.run(words, input=stdin, capture_output=True, text=True, timeout=seconds, cwd=cwd,
                          env=None if env is None else {**os.environ, **env})
    if check and done.returncode != 0:
        raise CommandFailed(f"{' '.join(words[:6])} … ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
    return done


def docker(*words: str, **how) -> str:
    return command("docker", *words, **how).stdout.strip()


def inspect(container: str) -> dict:
    return json.loads(docker("inspect", container))[0]


class Engine:
    """One test run on the engine."""

    def __init__(self) -> None:
        self.run_id = secrets.token_hex(4)
        self.proxy_image = os.environ.get("PONDPILOT_PROXY_IMAGE", "ghcr.io/pondpilot/proxy:latest")
        self.worker_image = os.environ.get("PONDPILOT_WORKER_IMAGE", "ghcr.io/pondpilot/sqlflite:latest")
        self.test_image = os.environ.get("PONDPILOT_TEST_IMAGE", "pondpilot-test")
        # In the tree, which is mounted at the same path here and on the engine's machine: containers can mount it.
        self.folder = ROOT / "build" / "itest" / self.run_id
        self.folder.mkdir(parents=True)
        self._counter = 0

    def name(self, kind: str) -> str:
        self._counter += 1
        return f"pptest-{self.run_id}-{kind}-{self._counter}"

    def new_folder(self, kind: str) -> Path:
        folder = self.folder / self.name(kind)
        folder.mkdir()
        return folder

    def network(self, kind: str, lasting: bool = False) -> str:
        """A network of this run's. The engine has addresses for some thirty: those that only one test needs are removed
        when others are made after it, `lasting` ones at the end."""
        docker("network", "prune", "-f", "--filter", f"label={BRIEF_LABEL}={self.run_id}", "--filter", "until=30s")
        name = self.name(kind)
        labels = [f"{LABEL}={self.run_id}"] + ([] if lasting else [f"{BRIEF_LABEL}={self.run_id}"])
        docker("network", "create", *(word for label in labels for word in ("--label", label)), name)
        return name

    def start(self, kind: str, image: str, *arguments: str, options: tuple[str, ...] = (), memory: str = "512m",
              network: str | None = None, aliases: tuple[str, ...] = ()) -> str:
        """Starts a container and returns its name."""
        name = self.name(kind)
        words = ["run", "-d", "--name", name, "--label", f"{LABEL}={self.run_id}", "-m", memory]
        if network:
            words += ["--network", network]
            for alias in aliases:
                words += ["--network-alias", alias]
        docker(*words, *options, image, *arguments)
        return name

    def remove(self, container: str) -> None:
        command("docker", "rm", "-f", "-v", container, check=False)

    def close(self) -> None:
        """Removes whatever this run made, workers on its networks included."""
        networks = docker("network", "ls", "-q", "--filter", f"label={LABEL}={self.run_id}").split()
        networks += [n for n in docker("network", "ls", "--format", "{{.Name}}").split() if self.run_id in n]
        containers = docker("ps", "-aq", "--filter", f"label={LABEL}={self.run_id}").split()
        containers += docker("ps", "-aq", "--filter", f"name=pptest-{self.run_id}-").split()
        for network in networks:
            containers += docker("ps", "-aq", "--filter", f"network={network}").split()
        for container in dict.fromkeys(containers):
            self.remove(container)
        for network in dict.fromkeys(networks):
            command("docker", "network", "rm", network, check=False)
        shutil.rmtree(self.folder, ignore_errors=True)


def workers_on(network: str, running_only: bool = True) -> list[str]:
    """The workers' containers on a network, by id."""
    words = ["ps", "-q", "--no-trunc", "--filter", "label=pondpilot.managed", "--filter", f"network={network}"]
    return docker(*words, *([] if running_only else ["-a"])).split()

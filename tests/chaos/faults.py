"""What goes wrong, one thing after another."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass

from tests.support.databases import Database
from tests.support.engine import command, docker, workers_on
from tests.support.forwarder import Forwarder
from tests.support.proxy import Proxy


@dataclass
class Site:
    network: str
    proxy: Proxy
    databases: list[Database]
    daemon: Forwarder  # the proxy's way to the engine


class Faults:
    """Each fault is over when its function returns, but for the workers that the proxy has to replace."""

    def __init__(self, site: Site, seed: int) -> None:
        self.site = site
        self.random = random.Random(seed)
        # The weights: workers die often, the proxy seldom.
        self.all: list[tuple[Callable[[], str], int]] = [
            (self.kill_worker, 5), (self.remove_worker, 3), (self.stop_worker, 2), (self.hang_worker, 2),
            (self.restart_database, 3), (self.crash_database, 2), (self.hang_database, 1), (self.silence_database, 1),
            (self.kill_proxy, 1), (self.restart_proxy, 1), (self.cut_engine, 1), (self.lose_engine, 1), (self.crash_engine, 1),
        ]

    def one(self) -> str:
        """Does one; returns what it was."""
        [fault] = self.random.choices([f for f, _ in self.all], [weight for _, weight in self.all])
        return fault()

    def _worker(self) -> str | None:
        workers = sorted(workers_on(self.site.network))
        return self.random.choice(workers) if workers else None

    def _with_worker(self, name: str, *words: str) -> str:
        worker = self._worker()
        if worker is None:
            return f"{name}: there is none"
        command("docker", *words, worker, check=False)  # it may be gone already
        return f"{name} {worker[:12]}"

    def kill_worker(self) -> str:
        return self._with_worker("kill -9 of worker", "kill")

    def remove_worker(self) -> str:
        return self._with_worker("removal of worker", "rm", "-f", "-v")

    def stop_worker(self) -> str:
        return self._with_worker("SIGTERM to worker", "kill", "--signal", "TERM")

    def hang_worker(self) -> str:
        # It is never continued: the proxy must get rid of it.
        return self._with_worker("SIGSTOP to worker", "pause")

    def _database(self) -> Database:
        return self.random.choice(self.site.databases)

    def _down_for_a_while(self) -> None:
        time.sleep(self.random.uniform(0, 6))

    def restart_database(self) -> str:
        database = self._database()
        database.stop()
        self._down_for_a_while()
        database.start()
        return f"restart of {database.host}"

    def crash_database(self) -> str:
        database = self._database()
        database.crash()
        database.start()
        return f"crash of {database.host}"

    def hang_database(self) -> str:
        database = self._database()
        database.pause()
        self._down_for_a_while()
        database.unpause()
        return f"SIGSTOP to {database.host}"

    def silence_database(self) -> str:
        database = self._database()
        database.fall_silent()
        self._down_for_a_while()
        database.speak_again()
        return f"silence of {database.host}"

    def kill_proxy(self) -> str:
        self.site.proxy.kill()
        self.site.proxy.start()
        return "kill -9 of proxy"

    def restart_proxy(self) -> str:
        code = self.site.proxy.stop()
        left = docker("ps", "-aq", "--filter", "label=pondpilot.managed", "--filter", f"network={self.site.network}").split()
        self.site.proxy.start()
        assert code == 0, f"the proxy ended with {code}"
        assert not left, f"an orderly stop left {left}"
        return "restart of proxy"

    def cut_engine(self) -> str:
        self.site.daemon.cut()
        return "end of all connections to the engine"

    def lose_engine(self) -> str:
        self.site.daemon.stop()
        self._down_for_a_while()
        self.site.daemon.start()
        return "engine away"

    def crash_engine(self) -> str:
        """What kill -9 of the engine and its containers leaves, the proxy's among them, which a restart policy starts."""
        self.site.daemon.stop()
        self.site.proxy.kill()
        for worker in sorted(workers_on(self.site.network)):
            command("docker", "kill", worker, check=False)
        self._down_for_a_while()
        self.site.daemon.start()
        self.site.proxy.start()
        return "crash of the engine"

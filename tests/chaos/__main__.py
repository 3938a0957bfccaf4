"""`./dev chaos`: the real product under users whose answers are known, while parts of it are killed, hung and restarted.

usage: python3 -m tests.chaos [MINUTES] [SEED]      One line per fault, then a summary; exit code 1 when any call hung,
any answer was wrong, any error is not in docs/errors.md or tells a secret, or any worker was left behind.
"""

import argparse
import random
import socket
import sys
import time
from datetime import datetime

from tests.chaos.documented import ErrorList
from tests.chaos.faults import Faults, Site
from tests.chaos.users import CALL_SECONDS, MARGIN_SECONDS, ChaosUser, Tally
from tests.support.databases import start_mariadb, start_postgres
from tests.support.engine import SOCKET, Engine, docker, workers_on
from tests.support.forwarder import Forwarder
from tests.support.proxy import Proxy, ProxyOptions, base_config
from tests.support.waiting import eventually

USERS = 4
# The lease of a worker, the time it takes to end, and the engine's.
LEASE_SECONDS = 60 + 8 + 12
# How long everything may take to work again once nothing is broken any more.
RECOVERY_SECONDS = 60


def say(text: str) -> None:
    print(f"{datetime.now():%H:%M:%S} {text}", flush=True)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def build_site(engine: Engine) -> Site:
    network = engine.network("chaos", lasting=True)
    pg = start_postgres(engine, network, durable=True)
    my = start_mariadb(engine, network, durable=True)
    pg.run("CREATE TABLE big AS SELECT i AS id, repeat('x', 50) AS s FROM generate_series(1, 100000) i")
    my.run("CREATE TABLE big AS SELECT seq AS id, REPEAT('x', 50) AS s FROM seq_1_to_100000")
    config = base_config(engine, network, [
        {"alias": "pg", "type": "postgres", "connection_string": pg.url},
        {"alias": "my", "type": "mysql", "connection_string": my.url}], warm=1)
    path = engine.new_folder("socket") / "docker.sock"
    daemon = Forwarder.to_socket(path, SOCKET)
    # Clients go on with the address that they have after a restart of the proxy.
    proxy = Proxy(engine, ProxyOptions(network, config, ports=(free_port(), free_port()), socket=False,
                                       environment={"DOCKER_SOCKET": "/run/engine/docker.sock"},
                                       options=("-v", f"{path.parent}:/run/engine"))).wait_ready()
    return Site(network, proxy, [pg, my], daemon)


def left_behind(site: Site) -> list[str]:
    """Workers that the proxy does not know."""
    counts = site.proxy.counts()
    return workers_on(site.network, running_only=False)[counts["active"] + counts["warm"]:]


def recover(site: Site, users: list[ChaosUser]) -> list[str]:
    """Nothing is broken any more: does every user get every kind of answer again?"""
    problems = []
    for user in users:
        for action in (user.constant, user.postgres, user.mariadb, user.join, user.streamed):
            try:
                eventually(lambda: user.attempt(action), f"{user.sub}: {action.__name__}", RECOVERY_SECONDS, every=0.5)
            except AssertionError as error:
                problems.append(f"never recovered: {error}")
    return problems


def run(engine: Engine, minutes: float, seed: int) -> list[str]:
    """Returns what went against the rules."""
    site = build_site(engine)
    tally, known = Tally(), ErrorList()
    faults = Faults(site, seed)
    users = [ChaosUser(f"chaos-{n}", lambda n=n: site.proxy.user(f"chaos-{n}", timeout=CALL_SECONDS), seed + 1 + n, tally, known)
             for n in range(USERS)]
    for user in users:
        user.thread.start()
    pauses = random.Random(seed)
    count = 0
    problems: list[str] = []
    until = time.monotonic() + minutes * 60
    while time.monotonic() < until:
        time.sleep(pauses.uniform(0.5, 5))
        try:
            say(f"fault {count}: {faults.one()}")
        except (AssertionError, RuntimeError) as error:
            problems.append(f"fault {count}: {error}")
            print(f"The proxy's log lines up to then:\n{site.proxy.logs()[-6000:]}", file=sys.stderr)
        count += 1
    for user in users:
        user.stopping.set()
    for user in users:
        user.thread.join(2 * (CALL_SECONDS + MARGIN_SECONDS))
        if user.thread.is_alive():
            tally.hung.append(f"{user.sub} {user.busy}")
    if not tally.hung:
        problems += recover(site, users)
    orphans: list[str] = []
    try:
        eventually(lambda: not left_behind(site), "no worker is left that the proxy does not know", LEASE_SECONDS, every=1)
    except AssertionError:
        orphans = left_behind(site)
    if (code := site.proxy.stop()) != 0:
        problems.append(f"the proxy ended with {code}")
    orphans += docker("ps", "-aq", "--filter", "label=pondpilot.managed", "--filter", f"network={site.network}").split()
    problems += [f"wrong answer: {text}" for text in tally.wrong] + [f"hung: {text}" for text in tally.hung]
    problems += [f"not in docs/errors.md: {text}" for text in dict.fromkeys(tally.undocumented)]
    problems += [f"secret in an error: {text}" for text in tally.secrets] + [f"orphan: {container}" for container in orphans]
    for entry, times in tally.errors.most_common():
        print(f"{times:6} × {entry}")
    print(f"chaos: seed={seed} minutes={minutes:g} users={USERS} faults={count} actions={tally.calls} right={tally.right} "
          f"errors={sum(tally.errors.values())} slowest={tally.slowest:.1f}s wrong={len(tally.wrong)} hung={len(tally.hung)} "
          f"undocumented={len(tally.undocumented)} secrets={len(tally.secrets)} orphans={len(orphans)} violations={len(problems)}")
    if problems:
        print(f"The proxy's last log lines:\n{site.proxy.logs()[-6000:]}", file=sys.stderr)
    return problems


def main() -> int:
    arguments = argparse.ArgumentParser(prog="./dev chaos", description="Breaks parts of the running product and looks at what users see.")
    arguments.add_argument("minutes", nargs="?", type=float, default=5)
    arguments.add_argument("seed", nargs="?", type=int, default=None, help="repeats the order of an earlier run")
    given = arguments.parse_args()
    seed = given.seed if given.seed is not None else random.SystemRandom().randrange(1_000_000)
    say(f"seed {seed}: ./dev chaos {given.minutes:g} {seed} runs the same faults again")
    engine = Engine()
    try:
        problems = run(engine, given.minutes, seed)
    finally:
        engine.close()
    for problem in problems:
        print(f"violation: {problem}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())

"""The GoogleTest programs whose parts are real: the launchers with this machine's Docker engine and with jails of every
layer, the DuckDB engine against PostgreSQL and MariaDB. They run in the image with the compilers, where they were made."""

import os
import re

import pytest

from tests.support.databases import PASSWORD, start_mariadb, start_postgres
from tests.support.engine import ROOT, command, inspect

IMAGE = os.environ.get("PONDPILOT_DEV_IMAGE", "")
PROGRAMS = ROOT / "build/release/bin"


def run(engine, program: str, gtest_filter: str, *options: str) -> None:
    if not IMAGE or not (PROGRAMS / program).exists():
        pytest.skip(f"{program} was not built: ./dev test does it")
    name = engine.name("program")
    try:
        done = command("docker", "run", "--rm", "--init", "--name", name, "-m", "2g", "-v", f"{ROOT}:/src:ro", *options, IMAGE,
                       f"/src/build/release/bin/{program}", f"--gtest_filter={gtest_filter}", check=False, seconds=300)
    finally:
        engine.remove(name)
    print(done.stdout[-20000:], done.stderr[-4000:])
    assert done.returncode == 0
    assert "SKIPPED" not in done.stdout, "something that was to be there is not"
    # A filter that fits nothing passes as well.
    assert int(re.search(r"\[  PASSED  \] (\d+) test", done.stdout)[1]) > 0


# What a container has to be given for every layer of a worker process's isolation.
ALL_LAYERS = ("--cap-add", "SYS_ADMIN", "--security-opt", "seccomp=unconfined", "-v", "/sys/fs/cgroup:/sys/fs/cgroup")


def test_the_jail_with_all_layers(engine):
    run(engine, "jail_test", "*SpawnerTest.*:*ZygoteTest.*:ChildrenTest.*", *ALL_LAYERS)


def test_forked_processes_share_no_random_bytes(engine):
    run(engine, "base_test", "SecretTest.*", *ALL_LAYERS)


def test_worker_processes_as_every_launcher(engine):
    run(engine, "launch_test", "LauncherTest/*Processes.*")
    run(engine, "launch_test", "LauncherTest/*Processes.*", *ALL_LAYERS)


def test_the_launcher_against_the_real_engine(engine):
    run(engine, "launch_test", "RealEngineTest.*:LauncherTest/Containers.*", "-v", "/var/run/docker.sock:/var/run/docker.sock",
        "-e", "PONDPILOT_TEST_DOCKER_SOCKET=/var/run/docker.sock", "-e", f"PONDPILOT_TEST_DOCKER_IMAGE={IMAGE}")


def test_the_engine_against_real_servers(engine):
    network = engine.network("programs", lasting=True)
    postgres = start_postgres(engine, network)
    mariadb = start_mariadb(engine, network)
    mariadb.run(f"CREATE USER builder@'%' IDENTIFIED BY '{PASSWORD}'; GRANT ALL ON shop.* TO builder@'%';")

    def address(container: str) -> str:
        return inspect(container)["NetworkSettings"]["Networks"][network]["IPAddress"]

    run(engine, "engine_servers_test", "*", "--network", network,
        "-e", f"PONDPILOT_TEST_POSTGRES=user:{PASSWORD}@{address(postgres.container)}:5432/database",
        "-e", f"PONDPILOT_TEST_MYSQL=builder:{PASSWORD}@{address(mariadb.container)}:3306/shop")

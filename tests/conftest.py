"""The parts that tests share. Databases and a proxy over all of them live as long as the run; whatever a test needs in
a state of its own (another configuration, a database that dies) it starts itself with the factories."""

import re
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.databases import MariaDb, Postgres, start_mariadb, start_postgres
from tests.support.engine import Engine
from tests.support.proxy import Proxy, ProxyOptions, base_config


@pytest.fixture(scope="session")
def engine() -> Iterator[Engine]:
    run = Engine()
    try:
        yield run
    finally:
        run.close()


@pytest.fixture(scope="session")
def network(engine: Engine) -> str:
    return engine.network("shared", lasting=True)


POSTGRES_DATA = """
CREATE TABLE users (id int PRIMARY KEY, name text NOT NULL, email text);
INSERT INTO users SELECT i, 'user ' || i, 'user' || i || '@example.com' FROM generate_series(1, 100) i;
CREATE TABLE orders (id int PRIMARY KEY, customer_name text NOT NULL, customer_id int NOT NULL, amount numeric(10, 2));
INSERT INTO orders SELECT i, 'customer ' || (i % 20), i % 20, i * 1.25 FROM generate_series(1, 1000) i;
CREATE TABLE small (a int, b text);
INSERT INTO small VALUES (1, 'one'), (2, 'two');
CREATE ROLE analyst LOGIN PASSWORD 'pw-of-the-database-5ecr3t';
GRANT pg_read_all_data TO analyst;
"""

MARIADB_DATA = """
CREATE TABLE customers (id INT PRIMARY KEY, name VARCHAR(50) NOT NULL, country VARCHAR(20) NOT NULL);
INSERT INTO customers SELECT seq, CONCAT('customer ', seq), IF(seq % 2, 'Norway', 'Chile') FROM seq_0_to_19;
CREATE TABLE small (a INT, b TEXT);
INSERT INTO small VALUES (1, 'one'), (2, 'two');
"""


@pytest.fixture(scope="session")
def postgres(engine: Engine, network: str) -> Postgres:
    database = start_postgres(engine, network)
    database.run(POSTGRES_DATA)
    return database


@pytest.fixture(scope="session")
def mariadb(engine: Engine, network: str) -> MariaDb:
    database = start_mariadb(engine, network)
    database.run(MARIADB_DATA)
    return database


SQLITE_DATA = {
    "targets.db": """
        CREATE TABLE targets (country TEXT PRIMARY KEY, target REAL);
        INSERT INTO targets VALUES ('Norway', 1000.0), ('Chile', 2000.0);""",
    # What tests/sql/README.md says of "sl".
    "small.db": "CREATE TABLE small (a INTEGER, b TEXT); INSERT INTO small VALUES (1, 'one'), (2, 'two');",
}


@pytest.fixture(scope="session")
def sqlite_folder(engine: Engine) -> Path:
    folder = engine.new_folder("sqlite")
    for name, sql in SQLITE_DATA.items():
        connection = sqlite3.connect(folder / name)
        connection.executescript(sql)
        connection.close()
        # The worker is another user than the one who made it.
        (folder / name).chmod(0o644)
    return folder


@pytest.fixture(scope="session")
def sqlite_mounts(sqlite_folder: Path) -> tuple[str, ...]:
    """Docker options that show a proxy the files."""
    return tuple(word for name in SQLITE_DATA for word in ("-v", f"{sqlite_folder / name}:/data/{name}:ro"))


@pytest.fixture(scope="session")
def databases(postgres: Postgres, mariadb: MariaDb) -> list[dict]:
    """The configuration of the three databases."""
    return [
        {"alias": "pg", "type": "postgres", "connection_string": postgres.url.replace("//user:", "//analyst:")},
        {"alias": "my", "type": "mysql", "connection_string": mariadb.url},
        {"alias": "sl", "type": "sqlite", "connection_string": "/data/small.db"},
        {"alias": "tg", "type": "sqlite", "connection_string": "/data/targets.db"},
        {"alias": "shop", "type": "sqlite", "connection_string": "/usr/share/pondpilot/samples/shop.db"},
    ]


StartProxy = Callable[..., Proxy]


def starter(engine: Engine, started: list[Proxy]) -> StartProxy:
    def start(network: str, config: dict | str | None = None, ready: bool = True, **how) -> Proxy:
        proxy = Proxy(engine, ProxyOptions(network, config, **how))
        started.append(proxy)
        return proxy.wait_ready() if ready else proxy

    return start


@pytest.fixture
def start_proxy(engine: Engine) -> Iterator[StartProxy]:
    """Starts proxies that end with the test."""
    started: list[Proxy] = []
    yield starter(engine, started)
    for proxy in started:
        proxy.remove()


@pytest.fixture
def instance(engine: Engine) -> dict[str, str]:
    """A name for a proxy that shall find its workers again."""
    return {"PONDPILOT_INSTANCE": f"fleet-{engine.run_id}"}


@pytest.fixture(scope="session")
def product(engine: Engine, network: str, databases: list[dict], sqlite_mounts: tuple[str, ...]) -> Iterator[Proxy]:
    """The proxy that most tests use: all databases attached, workers that end soon after their test."""
    proxy = Proxy(engine, ProxyOptions(network, base_config(engine, network, databases, idle_timeout="15s"),
                                       options=sqlite_mounts))
    proxy.wait_ready()
    yield proxy
    print(f"\nThe shared proxy's last log lines:\n{proxy.logs()[-3000:]}")
    proxy.remove()


@pytest.fixture(scope="session")
def alone(engine: Engine, network: str, databases: list[dict], sqlite_mounts: tuple[str, ...]) -> Iterator[Proxy]:
    """The same without a Docker socket: workers are processes in the proxy's own container."""
    proxy = Proxy(engine, ProxyOptions(network, base_config(engine, network, databases, idle_timeout="15s"),
                                       options=sqlite_mounts, socket=False, memory="2g"))
    proxy.wait_ready()
    yield proxy
    print(f"\nThe last log lines of the proxy without Docker:\n{proxy.logs()[-3000:]}")
    proxy.remove()


@pytest.fixture
def sub(request: pytest.FixtureRequest) -> str:
    """A user of the test's own, so a worker of its own."""
    return re.sub(r"[^a-z0-9]+", "-", request.node.name.lower())[:60].strip("-")


@pytest.fixture
def user(product: Proxy, sub: str):
    with product.user(sub) as flight_user:
        yield flight_user


@pytest.fixture
def own_network(engine: Engine) -> str:
    """Workers on it are of this test's proxy only."""
    return engine.network("own")

"""One proxy for all clients, with the sample shop (SQLite) and a PostgreSQL that takes changes."""

from collections.abc import Iterator

import pytest

from tests.conftest import POSTGRES_DATA
from tests.support.databases import Postgres, start_postgres
from tests.support.engine import Engine
from tests.support.proxy import Proxy, ProxyOptions, base_config


@pytest.fixture(scope="session")
def warehouse(engine: Engine, network: str) -> Postgres:
    database = start_postgres(engine, network)
    database.run(POSTGRES_DATA)
    return database


@pytest.fixture(scope="session")
def server(engine: Engine, network: str, warehouse: Postgres) -> Iterator[Proxy]:
    attached = [
        {"alias": "shop", "type": "sqlite", "connection_string": "/usr/share/pondpilot/samples/shop.db"},
        {"alias": "pg", "type": "postgres", "connection_string": warehouse.url, "read_only": False},
    ]
    config = base_config(engine, network, attached, idle_timeout="30s", memory_limit="1g", cpu_limit=2)
    proxy = Proxy(engine, ProxyOptions(network, config))
    proxy.wait_ready()
    yield proxy
    print(f"\nThe proxy's last log lines:\n{proxy.logs()[-3000:]}")
    proxy.remove()

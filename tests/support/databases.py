"""PostgreSQL and MariaDB as containers of the test image."""

from dataclasses import dataclass

from tests.support.engine import Engine, command, docker
from tests.support.waiting import eventually

PASSWORD = "pw-of-the-database-5ecr3t"

RUN_POSTGRES = """
set -e
bin=$(ls -d /usr/lib/postgresql/*/bin | tail -n 1)
echo "$POSTGRES_PASSWORD" > /data/password
"$bin/initdb" -D /data/pg -U "$POSTGRES_USER" --pwfile=/data/password --auth-host=scram-sha-256 --auth-local=trust \
  --no-sync -E UTF8 --locale=C.UTF-8
echo 'host all all all scram-sha-256' >> /data/pg/pg_hba.conf
exec "$bin/postgres" -D /data/pg -c listen_addresses='*' -c unix_socket_directories=/data -c fsync=off \
  -c shared_buffers=64MB -c max_connections=200
"""

RUN_MARIADB = """
set -e
mariadb-install-db --datadir=/data/my --auth-root-authentication-method=normal --skip-test-db > /dev/null
exec mariadbd --no-defaults --datadir=/data/my --socket=/data/my.sock --pid-file=/data/my.pid --bind-address=0.0.0.0 \
  --skip-name-resolve --innodb-buffer-pool-size=64M --innodb-flush-log-at-trx-commit=0 --max-connections=200
"""


@dataclass
class Database:
    engine: Engine
    container: str
    url: str
    host: str

    def stop(self) -> None:
        """Ends the server; the container stays, with its data gone."""
        docker("stop", "-t", "1", self.container)

    def pause(self) -> None:
        docker("pause", self.container)

    def unpause(self) -> None:
        docker("unpause", self.container)

    def remove(self) -> None:
        self.engine.remove(self.container)


class Postgres(Database):
    def run(self, sql: str, database: str | None = None) -> str:
        user = docker("exec", self.container, "printenv", "POSTGRES_USER")
        return docker("exec", "-i", self.container, "psql", "-h", "/data", "-U", user, "-d", database or "database",
                      "-v", "ON_ERROR_STOP=1", "-qAt", "-f", "-", stdin=sql, seconds=120)


class MariaDb(Database):
    def run(self, sql: str) -> str:
        return docker("exec", "-i", self.container, "mariadb", "-S", "/data/my.sock", "-u", "root", "-N", "-B", "shop",
                      stdin=sql, seconds=120)


def start_postgres(engine: Engine, network: str, host: str = "pg", user: str = "user", password: str = PASSWORD,
                   wait: bool = True) -> Postgres:
    container = engine.start(
        "postgres", engine.test_image, "bash", "-c", RUN_POSTGRES, network=network, aliases=(host,), memory="512m",
        options=("--user", "postgres", "--init", "--tmpfs", "/data:mode=1777", "--entrypoint", "",
                 "-e", f"POSTGRES_USER={user}", "-e", f"POSTGRES_PASSWORD={password}"))
    database = Postgres(engine, container, f"postgresql://{user}:{password}@{host}:5432/database", host)
    if wait:
        wait_for_postgres(database, user)
    return database


def wait_for_postgres(database: Postgres, user: str = "user") -> None:
    eventually(lambda: command("docker", "exec", database.container, "psql", "-h", "/data", "-U", user, "-d", "postgres",
                               "-c", "SELECT 1", check=False).returncode == 0,
               "PostgreSQL answers", seconds=60, every=0.2)
    database.run("CREATE DATABASE database", "postgres")


def start_mariadb(engine: Engine, network: str, host: str = "my", password: str = PASSWORD) -> MariaDb:
    container = engine.start(
        "mariadb", engine.test_image, "bash", "-c", RUN_MARIADB, network=network, aliases=(host,), memory="768m",
        options=("--user", "mysql", "--init", "--tmpfs", "/data:mode=1777", "--entrypoint", ""))
    eventually(lambda: command("docker", "exec", container, "mariadb", "-S", "/data/my.sock", "-u", "root", "-e",
                               "SELECT 1", check=False).returncode == 0,
               "MariaDB answers", seconds=60, every=0.2)
    database = MariaDb(engine, container, f"mysql://reader:{password}@{host}:3306/shop", host)
    docker("exec", "-i", container, "mariadb", "-S", "/data/my.sock", "-u", "root",
           stdin=f"CREATE DATABASE shop; CREATE USER reader@'%' IDENTIFIED BY '{password}'; "
                 "GRANT SELECT ON shop.* TO reader@'%';")
    return database

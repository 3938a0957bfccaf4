"""PostgreSQL and MariaDB as containers of the test image."""

from dataclasses import dataclass

from tests.support.engine import LABEL, Engine, command, docker
from tests.support.waiting import eventually

PASSWORD = "pw-of-the-database-5ecr3t"

# Both find their data again when their container is started once more, if the folder has outlived it.
RUN_POSTGRES = """
set -e
bin=$(ls -d /usr/lib/postgresql/*/bin | tail -n 1)
if [ ! -d /data/pg ]; then
  echo "$POSTGRES_PASSWORD" > /data/password
  "$bin/initdb" -D /data/new -U "$POSTGRES_USER" --pwfile=/data/password --auth-host=scram-sha-256 --auth-local=trust \
    --no-sync -E UTF8 --locale=C.UTF-8
  echo 'host all all all scram-sha-256' >> /data/new/pg_hba.conf
  mv /data/new /data/pg
fi
rm -f /data/pg/postmaster.pid
exec "$bin/postgres" -D /data/pg -c listen_addresses='*' -c unix_socket_directories=/data -c fsync=off \
  -c shared_buffers=64MB -c max_connections=200
"""

RUN_MARIADB = """
set -e
if [ ! -d /data/my ]; then
  mariadb-install-db --datadir=/data/new --auth-root-authentication-method=normal --skip-test-db > /dev/null
  mv /data/new /data/my
fi
exec mariadbd --no-defaults --datadir=/data/my --socket=/data/my.sock --pid-file=/data/my.pid --bind-address=0.0.0.0 \
  --skip-name-resolve --innodb-buffer-pool-size=64M --innodb-flush-log-at-trx-commit=0 --max-connections=200
"""


@dataclass
class Database:
    engine: Engine
    container: str
    url: str
    host: str
    network: str

    def answers(self) -> bool:
        """Does the server take statements, asked inside its container?"""
        raise NotImplementedError

    def wait(self) -> None:
        eventually(self.answers, f"{self.host} answers", seconds=60, every=0.1)

    def stop(self) -> None:
        """Ends the server; its data are kept only if it is durable."""
        docker("stop", "-t", "1", self.container)

    def crash(self) -> None:
        """Its processes end without a word, as if the machine had lost power."""
        docker("kill", self.container)

    def start(self) -> None:
        docker("start", self.container)
        self.wait()

    def pause(self) -> None:
        """As SIGSTOP to all its processes: the kernel goes on answering for it."""
        docker("pause", self.container)

    def unpause(self) -> None:
        docker("unpause", self.container)

    def fall_silent(self) -> None:
        """From now on nothing leaves it, as behind a firewall that drops packets or a cable that is pulled."""
        subnet = docker("network", "inspect", "-f", "{{(index .IPAM.Config 0).Subnet}}", self.network)
        self._route(f"ip route del {subnet} && ip route add blackhole {subnet}")

    def speak_again(self) -> None:
        subnet = docker("network", "inspect", "-f", "{{(index .IPAM.Config 0).Subnet}}", self.network)
        self._route(f"ip route del blackhole {subnet} && ip route add {subnet} dev eth0")

    def _route(self, script: str) -> None:
        docker("run", "--rm", "-m", "64m", "--label", f"{LABEL}={self.engine.run_id}", "--cap-add", "NET_ADMIN",
               "--network", f"container:{self.container}", "--entrypoint", "sh", self.engine.test_image, "-c", script)

    def remove(self) -> None:
        self.engine.remove(self.container)


class Postgres(Database):
    def answers(self) -> bool:
        return command("docker", "exec", self.container, "sh", "-c",
                       'psql -h /data -U "$POSTGRES_USER" -d postgres -c "SELECT 1"', check=False).returncode == 0

    def run(self, sql: str, database: str | None = None) -> str:
        user = docker("exec", self.container, "printenv", "POSTGRES_USER")
        return docker("exec", "-i", self.container, "psql", "-h", "/data", "-U", user, "-d", database or "database",
                      "-v", "ON_ERROR_STOP=1", "-qAt", "-f", "-", stdin=sql, seconds=120)


class MariaDb(Database):
    def answers(self) -> bool:
        return command("docker", "exec", self.container, "mariadb", "-S", "/data/my.sock", "-u", "root", "-e",
                       "SELECT 1", check=False).returncode == 0

    def run(self, sql: str, database: str = "shop") -> str:
        return docker("exec", "-i", self.container, "mariadb", "-S", "/data/my.sock", "-u", "root", "-N", "-B", database,
                      stdin=sql, seconds=120)


def data_folder(durable: bool) -> tuple[str, ...]:
    """Docker options for /data: in memory, or, slower, in the test image's own folder of that name, where it lives as
    long as the container."""
    return () if durable else ("--tmpfs", "/data:mode=1777")


def start_postgres(engine: Engine, network: str, host: str = "pg", user: str = "user", password: str = PASSWORD,
                   wait: bool = True, durable: bool = False, memory: str = "512m") -> Postgres:
    container = engine.start(
        "postgres", engine.test_image, "bash", "-c", RUN_POSTGRES, network=network, aliases=(host,), memory=memory,
        options=("--user", "postgres", "--init", *data_folder(durable), "--entrypoint", "",
                 "-e", f"POSTGRES_USER={user}", "-e", f"POSTGRES_PASSWORD={password}"))
    database = Postgres(engine, container, f"postgresql://{user}:{password}@{host}:5432/database", host, network)
    if wait:
        database.wait()
        database.run("CREATE DATABASE database", "postgres")
    return database


def start_mariadb(engine: Engine, network: str, host: str = "my", password: str = PASSWORD,
                  durable: bool = False) -> MariaDb:
    container = engine.start(
        "mariadb", engine.test_image, "bash", "-c", RUN_MARIADB, network=network, aliases=(host,), memory="768m",
        options=("--user", "mysql", "--init", *data_folder(durable), "--entrypoint", ""))
    database = MariaDb(engine, container, f"mysql://reader:{password}@{host}:3306/shop", host, network)
    database.wait()
    database.run(f"CREATE DATABASE shop; CREATE USER reader@'%' IDENTIFIED BY '{password}'; "
                 "GRANT SELECT ON shop.* TO reader@'%';", "mysql")
    return database

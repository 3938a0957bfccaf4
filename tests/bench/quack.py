"""DuckDB's own server, `quack_serve`, and its own client: DuckDB's command line, each in a container."""

import re
import sys
from concurrent.futures import ThreadPoolExecutor

from tests.support.engine import CommandFailed, Engine, command, docker
from tests.support.waiting import eventually
from tests.tpch.reference import Reference

TOKEN = "token-of-the-benchmark"
PORT = 9494


class QuackServer:
    """Serves tables of `reference` and an empty table `bench_rows`."""

    def __init__(self, engine: Engine, network: str, reference: Reference, tables: list[str], cpus: int) -> None:
        self.engine, self.network, self.cpus = engine, network, cpus
        self.folder = engine.new_folder("quack")
        self.folder.chmod(0o777)
        load = "".join(f"CREATE TABLE {name} AS FROM '/tpch/{name}.parquet';\n" for name in tables)
        (self.folder / "serve.sql").write_text(
            f"LOAD quack;\nSET threads = {cpus};\n{load}CREATE TABLE bench_rows (a BIGINT, b VARCHAR);\n"
            f"CALL quack_serve('quack:0.0.0.0:{PORT}', disable_ssl = true, allow_other_hostname = true, token = '{TOKEN}');\n"
            "SELECT 'it serves';\n")
        # Its command line ends with its input, which never ends here.
        self.container = engine.start(
            "quack", engine.worker_image, "-c", "(cat /quack/serve.sql; exec tail -f /dev/null) | HOME=/tmp duckdb -bail", network=network,
            memory=f"{reference.memory_gb}g", options=("--init", f"--cpus={cpus}", "--entrypoint", "bash", "-v", f"{self.folder}:/quack:ro",
                                                       "-v", f"{reference.folder}:/tpch:ro"))
        eventually(lambda: "it serves" in docker("logs", self.container), "quack_serve serves", 120)

    def _client(self, script: str, seconds: float = 300) -> str:
        name = self.engine.name("quack-client")
        file = self.folder / f"{name}.sql"
        file.write_text(f"LOAD quack;\nSET threads = {self.cpus};\n"
                        f"ATTACH 'quack:{self.container}:{PORT}' AS q (TOKEN '{TOKEN}', DISABLE_SSL true);\n{script}")
        try:
            return command("docker", "run", "--rm", "--init", "--name", name, "--network", self.network, "-m", "4g", f"--cpus={self.cpus}",
                           "-e", "HOME=/tmp", "-v", f"{file}:/client.sql:ro", "--entrypoint", "duckdb", self.engine.worker_image, "-bail",
                           "-f", "/client.sql", seconds=seconds).stdout
        finally:
            self.engine.remove(name)

    def seconds(self, sql: str) -> float:
        """Rows fetched and thrown away, after a first time that does not count."""
        out = self._client(f".mode trash\n{sql};\n.timer on\n{sql};\n")
        return float(re.findall(r"Run Time.*real ([0-9.]+)", out)[-1])

    def inserts_per_second(self, connections: int, each: int) -> float | None:
        """As many clients at the same time, with a connection each; by the clients' own clocks, from the first INSERT to the
        last. None when a client breaks off, as DuckDB 2.0's does now and then when several commit at once."""
        now = "SELECT epoch_us(now()) AS at;\n"
        rows = "".join(f"INSERT INTO q.main.bench_rows VALUES ({n}, 'row {n}');\n" for n in range(each))
        script = f".mode list\n.headers off\n{now}{rows}{now}"
        try:
            with ThreadPoolExecutor(connections) as pool:
                outputs = list(pool.map(lambda _: self._client(script), range(connections)))
        except CommandFailed as error:
            print(f"quack_serve's client broke off: {str(error).splitlines()[1:3]}", file=sys.stderr, flush=True)
            return None
        stamps = [[int(line) for line in out.split() if line.isdigit() and len(line) > 12] for out in outputs]
        assert all(len(pair) == 2 for pair in stamps), outputs[0][:1000]
        took = max(pair[1] for pair in stamps) - min(pair[0] for pair in stamps)
        return connections * each / (took / 1e6)

    def close(self) -> None:
        self.engine.remove(self.container)

    def __enter__(self) -> "QuackServer":
        return self

    def __exit__(self, *_) -> None:
        self.close()

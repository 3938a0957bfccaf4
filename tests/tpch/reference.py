"""What DuckDB itself answers, in process: its own command line over the same tables, in a container without a network."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tests.support.engine import Engine, command
from tests.tpch.generator import Tpch
from tests.tpch.queries import QUERIES


class Reference:
    """The tables as Parquet files in a folder, and DuckDB over them."""

    def __init__(self, engine: Engine, tpch: Tpch, memory_gb: int, threads: int = 2) -> None:
        self.engine = engine
        self.memory_gb, self.threads = memory_gb, threads
        self.folder: Path = engine.new_folder("tpch")
        self.folder.chmod(0o777)
        for name in tpch.names:
            pq.write_table(tpch.table(name), self.folder / f"{name}.parquet", compression="none")
        self.tables = tpch.names

    def run(self, script: str, seconds: float = 600) -> str:
        """Runs statements where the tables are there; standard output, of which `.mode json` is the form of rows."""
        load = "".join(f"CREATE TABLE {name} AS FROM '/tpch/{name}.parquet';\n" for name in self.tables)
        (self.folder / "script.sql").write_text(f"SET threads = {self.threads};\n{load}{script}")
        name = self.engine.name("duckdb")
        try:
            return command("docker", "run", "--rm", "--init", "--name", name, "--network", "none", "-m", f"{self.memory_gb}g",
                           f"--cpus={self.threads}", "-v", f"{self.folder}:/tpch", "--entrypoint", "duckdb",
                           self.engine.worker_image, "-bail", "-f", "/tpch/script.sql", seconds=seconds).stdout
        finally:
            self.engine.remove(name)

    def answers(self) -> dict[str, pa.Table]:
        self.run("".join(f"COPY ({sql}) TO '/tpch/{name}.answer' (FORMAT parquet);\n" for name, sql in QUERIES.items()))
        return {name: pq.read_table(self.folder / f"{name}.answer") for name in QUERIES}

    def seconds(self, rounds: int) -> dict[str, list[float]]:
        """How long each query takes in process, the rows fetched and thrown away, after a first run that is not counted."""
        script = ".mode trash\n" + "".join(f"{sql};\n" for sql in QUERIES.values()) + ".timer on\n"
        script += "".join(f".print {name}\n{sql};\n" for _ in range(rounds) for name, sql in QUERIES.items())
        seconds: dict[str, list[float]] = {name: [] for name in QUERIES}
        current = ""
        for line in self.run(script, 1500).splitlines():
            if line in QUERIES:
                current = line
            elif line.startswith("Run Time") and current:
                seconds[current].append(float(line.split("real")[1].split()[0]))
        assert all(len(times) == rounds for times in seconds.values()), json.dumps(seconds)
        return seconds

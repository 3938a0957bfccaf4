"""Runs tests/sql/**/*.test over the whole product: a client, the proxy, a worker, real databases. The format is in
tests/sql/README.md; src/worker/engine/sql_files_test.cc runs the same files without a server."""

import re
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from pyarrow import flight

from tests.support.engine import ROOT
from tests.support.flight import FlightUser

FOLDER = ROOT / "tests" / "sql"
FILES = sorted(FOLDER.rglob("*.test"))
# What the shared product has. A worker always lives under its limits.
THERE = {"sqlite", "postgres", "mysql", "limited"}


@dataclass
class Block:
    line: int
    kind: str
    pattern: str = ".*"
    sql: list[str] = field(default_factory=list)
    rows: list[str] | None = None
    types: str = ""
    sort: str = ""


def parse(text: str) -> tuple[set[str], list[Block]]:
    required: set[str] = set()
    blocks: list[Block] = []
    current: Block | None = None
    for number, line in enumerate(text.splitlines(), 1):
        if current is not None:
            if line == "":
                current = None
            elif current.kind == "query" and line == "----" and current.rows is None:
                current.rows = []
            else:
                (current.sql if current.rows is None else current.rows).append(line)
        elif line == "" or line.startswith("#"):
            continue
        elif line.startswith("require "):
            required.add(line.removeprefix("require "))
        elif query := re.fullmatch(r"query(?: ([ITR]+))?(?: (nosort|rowsort|valuesort))?", line):
            current = Block(number, "query", types=query[1] or "", sort=query[2] or "nosort")
            blocks.append(current)
        elif line == "statement ok" or line.startswith("statement error"):
            current = Block(number, line.split()[-1] if not line.startswith("statement error") else "error")
            if line.startswith("statement error "):
                current.pattern = line.removeprefix("statement error ")
            blocks.append(current)
        else:
            raise ValueError(f"line {number}: unknown directive {line!r}")
    return required, blocks


def cell(value: pa.Scalar) -> str:
    if not value.is_valid:
        return "NULL"
    try:
        return pc.cast(value, pa.string()).as_py() or "(empty)"
    except pa.ArrowException:
        return str(value.as_py())


def letter(kind: pa.DataType) -> str:
    """I: whole numbers; R: other numbers; T: anything else."""
    if pa.types.is_integer(kind) or pa.types.is_decimal(kind) and kind.scale == 0:
        return "I"
    return "R" if pa.types.is_floating(kind) or pa.types.is_decimal(kind) else "T"


def in_order(rows: list[str], sort: str) -> list[str]:
    if sort == "valuesort":
        return sorted(value for row in rows for value in row.split("\t"))
    return sorted(rows) if sort == "rowsort" else rows


def run(user: FlightUser, sql: str) -> tuple[list[str], str, str | None]:
    """Rows, a letter for each column, and the error, if there is one."""
    try:
        table = user.query(sql)
    except (flight.FlightError, pa.ArrowException) as error:
        return [], "", str(error)
    rows = ["\t".join(cell(column[row]) for column in table.columns) for row in range(table.num_rows)]
    return rows, "".join(letter(field.type) for field in table.schema), None


def test_there_are_files():
    assert len(FILES) >= 8


@pytest.mark.parametrize("door", ["plain", "flight-sql"])
@pytest.mark.parametrize("backend", ["product", "alone"], ids=["docker", "process"])
@pytest.mark.parametrize("file", FILES, ids=[str(f.relative_to(FOLDER).with_suffix("")) for f in FILES])
def test_sql_file(file: Path, backend: str, door: str, sub: str, request: pytest.FixtureRequest):
    product = request.getfixturevalue(backend)
    required, blocks = parse(file.read_text())
    assert required <= THERE and blocks
    wrong = []
    # One connection for the file, as in a user's session.
    with product.user(sub, flight_sql=door == "flight-sql") as user:
        for block in blocks:
            sql = "\n".join(block.sql)
            rows, types, error = run(user, sql)
            where = f"{file.name}:{block.line}: {sql[:200]}"
            if block.kind == "error":
                if error is None:
                    wrong.append(f"{where}\n    succeeded with {rows[:3]}")
                elif not re.search(block.pattern, error):
                    wrong.append(f"{where}\n    the error has no {block.pattern!r}: {error[:300]}")
            elif error is not None:
                wrong.append(f"{where}\n    {error[:300]}")
            elif block.kind == "query" and in_order(rows, block.sort) != in_order(block.rows or [], block.sort):
                wrong.append(f"{where}\n    gave {rows[:10]}, expected {block.rows}")
            elif block.types and types != block.types:
                wrong.append(f"{where}\n    has columns of {types}, expected {block.types}")
        assert not wrong, "\n".join(wrong)
        # Whatever was tried, the worker is well and the databases are as they were.
        assert user.rows("SELECT a, b FROM pg.public.small ORDER BY a") == [(1, "one"), (2, "two")]
        assert user.rows("SELECT a, b FROM my.small ORDER BY a") == [(1, "one"), (2, "two")]
        assert user.rows("SELECT a, b FROM sl.small ORDER BY a") == [(1, "one"), (2, "two")]

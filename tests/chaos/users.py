"""Users whose every answer is known before it comes."""

import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import flight

from tests.chaos.documented import ErrorList, code_of
from tests.support.databases import PASSWORD
from tests.support.flight import FlightUser

FAILURES = (flight.FlightError, pa.ArrowException)

CALL_SECONDS = 20.0
# A call is hung when it has not ended this long after its deadline.
MARGIN_SECONDS = 5.0
STREAM_ROWS = 2_000_000


@dataclass
class Tally:
    """What has happened, over all users."""

    calls: int = 0
    right: int = 0
    errors: Counter = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    undocumented: list[str] = field(default_factory=list)
    secrets: list[str] = field(default_factory=list)
    hung: list[str] = field(default_factory=list)
    slowest: float = 0

    def __post_init__(self) -> None:
        self.lock = threading.Lock()


class ChaosUser:
    """One user on a thread of its own, until it is told to stop."""

    def __init__(self, sub: str, connect: Callable[[], FlightUser], seed: int, tally: Tally, known: ErrorList) -> None:
        self.sub = sub
        self.connect = connect
        self.random = random.Random(seed)
        self.tally = tally
        self.known = known
        self.stopping = threading.Event()
        self.busy: tuple[float, str] | None = None  # since when, with what
        self.user: FlightUser | None = None
        self.temp_rows: int | None = None  # what the session's table holds; None: there is none, or who knows
        self.thread = threading.Thread(target=self._run, name=sub, daemon=True)

    def _run(self) -> None:
        actions = [self.constant, self.computed, self.postgres, self.mariadb, self.join, self.streamed, self.session, self.table]
        while not self.stopping.is_set():
            self.attempt(self.random.choice(actions))
            self.stopping.wait(self.random.uniform(0, 0.2))

    def attempt(self, action: Callable[[], str | None]) -> bool:
        """Runs one action. True when its answer was right."""
        started = time.monotonic()
        self.busy = (started, action.__name__)
        error: Exception | None = None
        wrong: str | None = None
        try:
            if self.user is None:
                self.user = self.connect()
            wrong = action()
        except FAILURES as failure:
            error = failure
        finally:
            self.busy = None
        took = time.monotonic() - started
        with self.tally.lock:
            self.tally.calls += 1
            self.tally.slowest = max(self.tally.slowest, took)
            # An action makes two calls at most, each with its deadline.
            if took > 2 * (CALL_SECONDS + MARGIN_SECONDS):
                self.tally.hung.append(f"{self.sub} {action.__name__}: {took:.0f} s")
            if error is not None:
                self._note(action.__name__, error)
            elif wrong:
                self.tally.wrong.append(f"{self.sub} {action.__name__}: {wrong}")
            else:
                self.tally.right += 1
        if error is not None:
            self.temp_rows = None
            if self.random.random() < 0.3:  # some clients connect anew after an error, some don't
                self.user = None
        return error is None and not wrong

    def _note(self, action: str, error: Exception) -> None:
        text = str(error)
        entry = self.known.entry(error)
        self.tally.errors[f"{entry.code} {entry.text}" if entry else "undocumented"] += 1
        if entry is None:
            self.tally.undocumented.append(f"{datetime.now():%H:%M:%S} {self.sub} {action}: {type(error).__name__} {code_of(error)}: {text[:400]}")
        if PASSWORD in text:
            self.tally.secrets.append(f"{self.sub} {action}: {text[:400]}")

    def value(self, sql: str, expected) -> str | None:
        got = self.user.value(sql)
        return None if got == expected else f"{got!r} instead of {expected!r}"

    # -- what a user does; each returns what is wrong with the answer

    def constant(self) -> str | None:
        return self.value("SELECT 42", 42)

    def computed(self) -> str | None:
        rows = self.random.randrange(1, 3_000_000)
        return self.value(f"SELECT sum(range)::BIGINT FROM range({rows})", rows * (rows - 1) // 2)

    def postgres(self) -> str | None:
        return self.value("SELECT sum(id)::BIGINT FROM pg.public.big", 100_000 * 100_001 // 2)

    def mariadb(self) -> str | None:
        return self.value("SELECT sum(id)::BIGINT FROM my.big", 100_000 * 100_001 // 2)

    def join(self) -> str | None:
        return self.value("SELECT count(*) FROM pg.public.big p JOIN my.big m USING (id) WHERE p.id % 10 = 0", 10_000)

    def streamed(self) -> str | None:
        rows, total = 0, 0
        for chunk in self.user.stream(f"SELECT range AS i FROM range({STREAM_ROWS})"):
            rows += chunk.data.num_rows
            total += pc.sum(chunk.data.column(0)).as_py() or 0
            if self.random.random() < 0.05:
                time.sleep(0.05)
        right = STREAM_ROWS * (STREAM_ROWS - 1) // 2
        return None if (rows, total) == (STREAM_ROWS, right) else f"{rows} rows, sum {total}: a part was taken for the whole"

    def session(self) -> str | None:
        """A temporary table is there with all that was put into it, or it is gone and the session with it."""
        if self.temp_rows is None:
            self.user.query("CREATE OR REPLACE TEMP TABLE mine(a BIGINT)")
            self.temp_rows = 0
            return None
        before = self.temp_rows
        self.user.query("INSERT INTO mine VALUES (1)")
        self.temp_rows = before + 1
        return self.value("SELECT count(*) FROM mine", before + 1)

    def table(self) -> str | None:
        rows = self.random.randrange(1, 200_000)
        return self.value(f"CREATE OR REPLACE TABLE t AS SELECT range AS a FROM range({rows}); SELECT count(*) FROM t", rows)

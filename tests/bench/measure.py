"""Measuring: bulk throughput, small calls, first queries. Variants of one table take turns, round by round."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from statistics import median

from pyarrow import flight

from tests.bench.variants import Variant
from tests.support.flight import FlightUser


def percentile(values: Iterable[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


@dataclass
class Bulk:
    """One read of a whole result per round."""

    bytes_read: int = 0
    seconds: list[float] = field(default_factory=list)

    @property
    def mb_per_second(self) -> float:
        return self.bytes_read / 1e6 / median(self.seconds)


def read_all(user: FlightUser, sql: str) -> int:
    size = 0
    for chunk in user.stream(sql):
        size += chunk.data.nbytes
    return size


def turns(variants: list[Variant], number: int) -> list[Variant]:
    """Each round begins with another variant, so that none always has the best place."""
    start = number % len(variants)
    return variants[start:] + variants[:start]


def bulk(variants: list[Variant], sql: str, rounds: int, before: Callable[[Variant, FlightUser], None]) -> dict[str, Bulk]:
    users = {variant.name: variant.connect() for variant in variants}
    results = {variant.name: Bulk() for variant in variants}
    for variant in variants:
        before(variant, users[variant.name])
        read_all(users[variant.name], sql)
    for number in range(rounds):
        for variant in turns(variants, number):
            started = time.perf_counter()
            size = read_all(users[variant.name], sql)
            results[variant.name].seconds.append(time.perf_counter() - started)
            results[variant.name].bytes_read = size
    for user in users.values():
        user.close()
    return results


def select_42(user: FlightUser) -> None:
    assert user.stream("SELECT 42").read_all().num_rows == 1


def get_schema(user: FlightUser) -> None:
    user.client.get_schema(flight.FlightDescriptor.for_command(b"SELECT 42"), user.options)


def small_calls(variants: list[Variant], what: Callable[[FlightUser], None], rounds: int, calls: int) -> dict[str, list[float]]:
    """Seconds of each call, by variant."""
    users = {variant.name: variant.connect() for variant in variants}
    seconds: dict[str, list[float]] = {variant.name: [] for variant in variants}
    for user in users.values():
        for _ in range(50):
            what(user)
    for number in range(rounds):
        for variant in turns(variants, number):
            for _ in range(calls):
                started = time.perf_counter()
                what(users[variant.name])
                seconds[variant.name].append(time.perf_counter() - started)
    for user in users.values():
        user.close()
    return seconds


def first_queries(connect: Callable[[int], FlightUser], count: int) -> list[float]:
    """Seconds from opening a connection to the last row, each time on another connection."""
    seconds = []
    for number in range(count):
        started = time.perf_counter()
        with connect(number) as user:
            select_42(user)
            seconds.append(time.perf_counter() - started)
    return seconds

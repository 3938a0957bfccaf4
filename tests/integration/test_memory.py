"""The proxy moves bytes; it doesn't gather them."""

import threading
import time

import pytest

from tests.support.proxy import base_config
from tests.support.waiting import eventually

GIGABYTE = "SELECT range AS a, range * 2 AS b, range * 3 AS c, range * 5 AS d FROM range(31250000)"


@pytest.mark.timeout(300)
def test_a_slow_client_does_not_fill_the_proxy(start_proxy, engine, network, sub):
    proxy = start_proxy(network, base_config(engine, network))
    user = proxy.user(sub, timeout=240)
    user.value("SELECT 42")
    before = proxy.memory_mb()
    seen: list[float] = []
    size, batches = 0, 0
    reader = user.stream(GIGABYTE)
    started = time.monotonic()
    pause = threading.Event()
    for chunk in reader:
        size += chunk.data.nbytes
        batches += 1
        if batches % 20 == 0:
            # The client's own slowness, which is what is tested: about ten seconds over the whole result.
            pause.wait(0.6)
            seen.append(proxy.memory_mb())
    assert size >= 1_000_000_000, size
    print(f"{size / 1e9:.2f} GB in {time.monotonic() - started:.0f} s, {batches} batches; proxy {before:.0f} MiB before, "
          f"{max(seen):.0f} MiB at most, {seen[-1]:.0f} MiB at the end")
    assert max(seen) <= 100, f"MiB resident while a slow client reads: {seen}"


def test_a_client_that_stops_reading_costs_a_bounded_amount(start_proxy, engine, network, sub):
    proxy = start_proxy(network, base_config(engine, network))
    readers = []
    for _ in range(4):
        user = proxy.user(sub, timeout=60)
        reader = user.stream(GIGABYTE)
        reader.read_chunk()
        readers.append(reader)
    seen: list[float] = []

    def settled() -> bool:
        seen.append(proxy.memory_mb())
        return len(seen) >= 10 and max(seen[-10:]) - min(seen[-10:]) < 5

    eventually(settled, "the proxy's memory has not grown for three seconds", 20, every=0.3)
    assert max(seen) <= 160, seen
    for reader in readers:
        reader.cancel()


def test_a_message_is_bounded_whatever_the_rows(user):
    """64 rows of a megabyte among 65,000 empty ones: the average says nothing."""
    sizes = [chunk.data.nbytes for chunk in user.stream(
        "SELECT CASE WHEN range < 64 THEN repeat('x', 1000000) ELSE '' END AS s FROM range(65536)")]
    assert sum(sizes) >= 64_000_000
    assert max(sizes) <= 9 << 20, sizes

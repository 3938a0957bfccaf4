"""Waiting for a condition, with an end."""

import threading
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def eventually(look: Callable[[], T], what: str, seconds: float = 30, every: float = 0.05) -> T:
    """Calls `look` until it returns something true, and returns that. An AssertionError in `look` means not yet."""
    deadline = time.monotonic() + seconds
    last: object = None
    while True:
        try:
            last = look()
            if last:
                return last
        except AssertionError as error:
            last = error
        if time.monotonic() >= deadline:
            raise AssertionError(f"not within {seconds} s: {what} (last seen: {last!r})")
        threading.Event().wait(every)

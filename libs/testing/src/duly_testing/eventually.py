"""Waiting for something real without sleeping a fixed time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def eventually(check: Callable[[], T], within_seconds: float = 10.0) -> T:
    """Call `check` until it returns something true or stops raising AssertionError; give back what it returned.

    Raises the last AssertionError, or one that names the last value, after the deadline.
    """
    deadline = time.monotonic() + within_seconds
    while True:
        try:
            value = check()
            if value:
                return value
            failure = AssertionError(f"still {value!r} after {within_seconds} s")
        except AssertionError as error:
            failure = error
        if time.monotonic() > deadline:
            raise failure
        time.sleep(0.02)

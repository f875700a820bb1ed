"""The two clocks. The wall clock paces machines (leases, back-off, tokens); the policy clock is what rules see."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from threading import Lock
from typing import Protocol


class Clock(Protocol):
    """Real time. Never read by a pure core."""

    def now(self) -> datetime:
        """Aware UTC instant."""

    def monotonic(self) -> float:
        """Seconds that only rise."""


class SystemClock:
    """The machine's own clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()


class PolicyClock(Protocol):
    """The instant that gate, cadence and contact hours see."""

    def now(self) -> datetime:
        """Aware UTC instant. Raises PolicyClockUnset before the first tick of a simulated time."""

    def advance(self, instant: datetime) -> None:
        """A tick (or a caller that has read one) says it is at least that late. Never goes back."""


class PolicyClockUnset(RuntimeError):
    """Simulated time has not begun: no tick was read yet."""

    code = "policy_clock_unset"


class RealPolicyClock:
    """Policy sees real time; ticks do not move it."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def now(self) -> datetime:
        return self._clock.now()

    def advance(self, instant: datetime) -> None:
        """Real time needs no telling."""


class TickPolicyClock:
    """Simulated time: the newest instant read. Thread-safe; restore it from the database before use."""

    def __init__(self, instant: datetime | None = None) -> None:
        self._instant = instant
        self._lock = Lock()

    def now(self) -> datetime:
        with self._lock:
            if self._instant is None:
                raise PolicyClockUnset("no tick was read yet: send the first business date")
            return self._instant

    def advance(self, instant: datetime) -> None:
        with self._lock:
            if self._instant is None or instant > self._instant:
                self._instant = instant

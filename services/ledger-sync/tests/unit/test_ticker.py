"""The ticker's pace: how long it waits for its next turn."""

from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo

import pytest
from duly_runtime.loops import Wake
from duly_testing.clock import FakeClock
from ledger_sync.entrypoints.ticker import TickerLoop


class Paced:
    """A calendar whose tick has many slices left."""

    def go_on(self, tenant: str) -> bool:
        return True


class Waited(Wake):
    """Time passes as it is asked for."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__()
        self._clock = clock
        self.seconds: list[float] = []

    def wait(self, seconds: float) -> bool:
        self.seconds.append(seconds)
        self._clock.advance(seconds)
        return False


def test_slices_follow_each_other_at_the_pause_however_long_an_idle_loop_waits() -> None:
    clock = FakeClock()
    wake, calendar = Waited(clock), Paced()
    unused: Any = None
    loop = TickerLoop(calendar, unused, {"demo": ZoneInfo("UTC")}, 0.055, clock, wake)  # type: ignore[arg-type]
    written = sum(loop.step(0.2) for _ in range(20))
    assert written == 10
    assert wake.seconds == [pytest.approx(0.055)] * 10


def test_an_idle_ticker_waits_no_longer_than_its_loop_may() -> None:
    clock = FakeClock()
    wake = Waited(clock)
    unused: Any = None
    loop = TickerLoop(unused, unused, {}, 0.055, clock, wake)
    assert not loop.step(0.2)
    assert wake.seconds == [0.2]

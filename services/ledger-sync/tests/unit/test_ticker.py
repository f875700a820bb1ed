"""The ticker's pace: whose turn it is, and how long it waits for the next one."""

from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo

import pytest
from duly_runtime.loops import Wake
from duly_testing.clock import FakeClock
from ledger_sync.domain.calendar import Tick
from ledger_sync.entrypoints.ticker import TickerLoop


class Paced:
    """A calendar whose ticks have many slices left."""

    def __init__(self) -> None:
        self.written: list[str] = []

    def under_way(self, tenant: str) -> bool:
        return True

    def go_on(self, tenant: str) -> bool:
        self.written.append(tenant)
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


def ticker(calendar: Any, clock: FakeClock, wake: Wake, *tenants: str) -> TickerLoop:
    newest, zones = Tick(clock.now().date(), clock.now()), {tenant: ZoneInfo("UTC") for tenant in tenants}
    return TickerLoop(calendar, lambda _: newest, zones, 0.055, clock, wake)


def test_slices_follow_each_other_at_the_pause_however_long_an_idle_loop_waits() -> None:
    clock = FakeClock()
    wake, calendar = Waited(clock), Paced()
    loop = ticker(calendar, clock, wake, "demo")
    for _ in range(20):
        loop.step(0.2)
    assert len(calendar.written) == 10
    assert wake.seconds == [pytest.approx(0.055)] * 10


def test_tenants_take_turns_and_share_the_pace() -> None:
    clock = FakeClock()
    wake, calendar = Waited(clock), Paced()
    loop = ticker(calendar, clock, wake, "a", "b", "c")
    for _ in range(20):
        loop.step(0.2)
    assert "".join(calendar.written) == "abcabcabca"
    assert wake.seconds == [pytest.approx(0.055)] * 10


def test_an_idle_ticker_waits_no_longer_than_its_loop_may() -> None:
    clock = FakeClock()
    wake = Waited(clock)
    assert not ticker(Paced(), clock, wake).step(0.2)
    assert wake.seconds == [0.2]


def test_a_tenant_whose_step_failed_keeps_its_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = FakeClock()
    calendar = Paced()
    loop = ticker(calendar, clock, Waited(clock), "a", "b")
    with monkeypatch.context() as broken, pytest.raises(ZeroDivisionError):
        broken.setattr(calendar, "go_on", lambda _: 1 // 0)
        loop.step(0.2)
    for _ in range(8):
        loop.step(0.2)
    assert "".join(calendar.written) == "abab"

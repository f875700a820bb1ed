"""Real time: the ticker writes what the wall clock has made due, and the housekeeper forgets what is old."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from zoneinfo import ZoneInfo

from duly_runtime.clock import Clock
from duly_runtime.database import TRANSIENT_ERRORS
from duly_runtime.log import SendFailed
from duly_runtime.logging import get_logger
from duly_runtime.loops import Wake

from ledger_sync.application.advance_business_date import Calendar
from ledger_sync.domain.calendar import Tick, due_ticks

_log = get_logger(__name__)
_TICKER_EVERY_SECONDS = 5.0
_HOUSEKEEPING_EVERY_SECONDS = 3600.0


class TickerLoop:
    """Writes a tick at each tenant's local midnight, hourly in between, and missed days in order.

    A tick of several slices takes its time: one record, a pause, the next; a later tick waits for its end. Replicas
    may run it side by side: the calendar's lock lets one through, the others find the tick done.
    """

    name = "ticker"

    def __init__(
        self,
        calendar: Calendar,
        last_tick: Callable[[str], Tick | None],
        zones: Mapping[str, ZoneInfo],
        slice_pause_seconds: float,
        clock: Clock,
        wake: Wake,
    ) -> None:
        self._calendar = calendar
        self._last_tick = last_tick
        self._zones = zones
        self._slice_pause_seconds = slice_pause_seconds
        self._clock = clock
        self._wake = wake
        self._next_at = dict.fromkeys(zones, clock.monotonic())

    def step(self, wait_seconds: float) -> bool:
        now = self._clock.monotonic()
        their_turn = [tenant for tenant, at in self._next_at.items() if at <= now]
        if not their_turn:
            self._wake.wait(min([wait_seconds, *(at - now for at in self._next_at.values())]))
            return False
        moved = [self._turn(tenant, now) for tenant in their_turn]
        return any(moved)

    def close(self) -> None:
        """Holds nothing."""

    def _turn(self, tenant: str, now: float) -> bool:
        """One tenant's tick moves at its own pace: a long one holds up nobody else's."""
        if self._tried(tenant, self._calendar.go_on):
            self._next_at[tenant] = now + self._slice_pause_seconds
            return True
        moved = self._tried(tenant, self._advance)
        self._next_at[tenant] = now if moved else now + _TICKER_EVERY_SECONDS
        return moved

    def _advance(self, tenant: str) -> bool:
        """The next tick that is due, or the beginning of it."""
        due = due_ticks(self._last_tick(tenant), self._clock.now(), self._zones[tenant])
        return bool(due) and self._calendar.advance(tenant, due[0], paced=True).moved

    def _tried(self, tenant: str, write: Callable[[str], bool]) -> bool:
        try:
            return write(tenant)
        except (*TRANSIENT_ERRORS, SendFailed) as error:
            _log.warning("ledger_sync.tick_postponed", tenant=tenant, error=str(error))
            return False


class HousekeepingLoop:
    """Calls `forget_old(now)` once an hour until it has nothing more to do."""

    name = "housekeeping"

    def __init__(self, forget_old: Callable[[datetime], bool], clock: Clock, wake: Wake) -> None:
        self._forget_old = forget_old
        self._clock = clock
        self._wake = wake
        self._next_at = clock.monotonic() + _HOUSEKEEPING_EVERY_SECONDS

    def step(self, wait_seconds: float) -> bool:
        if self._clock.monotonic() < self._next_at:
            self._wake.wait(wait_seconds)
            return False
        try:
            more = self._forget_old(self._clock.now())
        except TRANSIENT_ERRORS as error:
            _log.warning("ledger_sync.housekeeping_postponed", error=str(error))
            more = False
        if not more:
            self._next_at = self._clock.monotonic() + _HOUSEKEEPING_EVERY_SECONDS
        return more

    def close(self) -> None:
        """Holds nothing."""

"""Real time: the ticker writes what the wall clock has made due, and the housekeeper forgets what is old."""

from __future__ import annotations

from collections import deque
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

    A tick of several slices takes its time: one record, a pause, the next; a later tick of its tenant waits for its
    end. Tenants take turns, one record of a long tick a pause for all of them together: what scoring can do does not
    grow with their number. A tick of one slice is written whole, whoever else is under way. Replicas may run it side by
    side, each at the pace: the calendar's lock lets one write at a time, no record comes twice.
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
        # Each tenant is in one of the two: to be looked at, or with a tick under way.
        self._look_at = dict.fromkeys(zones, clock.monotonic())
        self._moving: deque[str] = deque()
        self._slice_at = clock.monotonic()

    def step(self, wait_seconds: float) -> bool:
        now = self._clock.monotonic()
        due = [tenant for tenant, at in self._look_at.items() if at <= now]
        moved = [self._look(tenant, now) for tenant in due]
        if self._move(now) or any(moved):
            return True
        ends = [*self._look_at.values(), *([self._slice_at] if self._moving else [])]
        self._wake.wait(min([wait_seconds, *(at - now for at in ends)]))
        return False

    def close(self) -> None:
        """Holds nothing."""

    def _look(self, tenant: str, now: float) -> bool:
        """Begin what has become due; a tick under way, of a process before this one too, moves on in its turns."""
        began = self._tried(tenant, self._begin)
        under_way = began is not None and self._tried(tenant, self._calendar.under_way)
        if under_way:
            del self._look_at[tenant]
            self._moving.append(tenant)
        else:
            self._look_at[tenant] = now if began else now + _TICKER_EVERY_SECONDS
        return bool(began or under_way)

    def _move(self, now: float) -> bool:
        """The next record of the tenant whose turn it is; one whose tick has ended is looked at again at once."""
        if not self._moving or now < self._slice_at:
            return False
        tenant = self._moving[0]
        wrote = self._tried(tenant, self._calendar.go_on)
        if wrote:
            self._moving.rotate(-1)
            self._slice_at = now + self._slice_pause_seconds
        else:
            self._moving.popleft()
            self._look_at[tenant] = now + _TICKER_EVERY_SECONDS if wrote is None else now
        return True

    def _begin(self, tenant: str) -> bool:
        """The next tick that is due: whole if it has one slice, else only begun."""
        due = due_ticks(self._last_tick(tenant), self._clock.now(), self._zones[tenant])
        return bool(due) and self._calendar.advance(tenant, due[0], paced=True).moved

    def _tried(self, tenant: str, work: Callable[[str], bool]) -> bool | None:
        """None: it failed, and may succeed later."""
        try:
            return work(tenant)
        except (*TRANSIENT_ERRORS, SendFailed) as error:
            _log.warning("ledger_sync.tick_postponed", tenant=tenant, error=str(error))
            return None


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

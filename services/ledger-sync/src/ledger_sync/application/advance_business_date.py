"""A tick into every partition of `ledger-events`, through the outbox, with the calendar row in one transaction."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from dataclasses import dataclass

from duly_contracts.envelope import Envelope, format_instant
from duly_contracts.events import event_of
from duly_contracts.ids import derived_id, named_id
from duly_contracts.keys import SLICES_MAX, debtor_key
from duly_runtime.auth import Principal
from google.protobuf.message import Message

from duly.ledger.v1 import events_pb2 as pb
from ledger_sync.application.ports import CalendarStore, CalendarUnit, TickLeft
from ledger_sync.domain.calendar import Tick, is_new, require_near

SCOPE = "ledger:write"
CALENDAR_ID = "default"
# Debtors marked per tick because a fact has waited overnight; more than this and the source as a whole is broken.
_DOUBTED_MAX = 10_000


class TicksNotAllowed(RuntimeError):
    """In real time the ticker owns the calendar; nobody moves it from outside."""

    code = "ticks_not_allowed"


@dataclass(frozen=True, slots=True)
class Advance:
    """What came of a tick. moved: it was new. newest: where the tenant's calendar stands now."""

    moved: bool
    newest: Tick


class Calendar:
    """Advances business dates. `simulated`: ticks come from outside; else only from the ticker.

    debtors_per_slice: a tick is cut so that one record moves about so many debtors: facts come through in between.
    """

    def __init__(
        self, unit: CalendarUnit, partitions: Callable[[], int], simulated: bool, debtors_per_slice: int
    ) -> None:
        self._unit = unit
        self._partitions = partitions
        self._simulated = simulated
        self._debtors_per_slice = debtors_per_slice

    def tick(
        self, principal: Principal, tenant: str, tick: Tick, backfill: bool = False, jump: bool = False
    ) -> Advance:
        """A tick from outside, written whole. jump: it may go far ahead, as that of an import's history always may.

        Raises PermissionDenied, TicksNotAllowed, TickBackwards, TickTooFar.
        """
        principal.require(tenant, SCOPE)
        if not self._simulated:
            raise TicksNotAllowed("time is real here: the ticker moves the business date")
        return self.advance(tenant, tick, backfill, bounded=not (backfill or jump))

    def advance(
        self, tenant: str, tick: Tick, backfill: bool = False, paced: bool = False, bounded: bool = False
    ) -> Advance:
        """Write a tick, or nothing when it is not new. paced: one of several slices is only begun, `go_on` writes its
        records; and nothing while the tick before is under way.

        bounded: not far ahead of the one before. Raises TickBackwards, TickTooFar.
        """
        partitions = self._partitions()
        with self._unit() as store:
            last = store.last_tick(tenant)
            if last is not None:
                if not is_new(last, tick):
                    return Advance(False, last)
                if bounded:
                    require_near(last, tick)
                left = store.left(tenant)
                if paced and left.records:
                    return Advance(False, last)
                _write(store, _Move(tenant, last), left, partitions, sys.maxsize)
            slices = slices_of(store.debtors(tenant), partitions, self._debtors_per_slice)
            left = TickLeft(slices, slices * partitions)
            at_once = 0 if paced and slices > 1 else sys.maxsize
            move = _Move(tenant, tick, backfill)
            _write(store, move, left, partitions, at_once)
            if last is not None and tick.business_date > last.business_date:
                _doubt_waiting(store, move)
        return Advance(True, tick)

    def under_way(self, tenant: str) -> bool:
        """Whether a paced tick has records left for `go_on`."""
        with self._unit() as store:
            return store.left(tenant).records > 0

    def go_on(self, tenant: str) -> bool:
        """Write the next record of a paced tick; False when nothing is left of it."""
        with self._unit() as store:
            tick, left = store.last_tick(tenant), store.left(tenant)
            if tick is None or not left.records:
                return False
            _write(store, _Move(tenant, tick), left, self._partitions(), 1)
        return True


@dataclass(frozen=True, slots=True)
class _Move:
    """A tenant's time goes to a tick. backfill: of an import's history; such a tick is never paced."""

    tenant: str
    tick: Tick
    backfill: bool = False

    def envelope(self, message: Message, event_id: str, subject: str = "", cause: str = "") -> Envelope:
        return Envelope(
            id=event_id,
            type=event_of(message).type,
            source=f"/tenants/{self.tenant}/services/ledger-sync",
            subject=subject,
            time=self.tick.instant,
            tenant=self.tenant,
            business_date=self.tick.business_date,
            correlation_id=event_id,
            causation_id=cause,
            backfill=self.backfill,
        )


def slices_of(debtors: int, partitions: int, debtors_per_slice: int) -> int:
    """Slices of a tick: as many as bring the debtors that one record moves to `debtors_per_slice` on average."""
    return min(max(1, math.ceil(debtors / (partitions * debtors_per_slice))), SLICES_MAX)


def _write(store: CalendarStore, move: _Move, left: TickLeft, partitions: int, most: int) -> None:
    """Up to `most` records of a tick: the first slice into every partition, then the second."""
    count = min(left.records, most)
    begin = left.slices * partitions - left.records
    for number in range(begin, begin + count):
        part, partition = divmod(number, partitions)
        message = pb.CalendarBusinessDateAdvanced(
            business_date=move.tick.business_date.isoformat(),
            calendar_id=CALENDAR_ID,
            slice=part,
            slices=left.slices,
        )
        message.instant.FromDatetime(move.tick.instant)
        envelope = move.envelope(message, tick_id(move.tenant, move.tick, partition, part))
        store.emit(message, debtor_key(move.tenant, ""), envelope, partition)
    store.save_tick(move.tenant, move.tick, TickLeft(left.slices, left.records - count))


def tick_id(tenant: str, tick: Tick, partition: int, part: int = 0) -> str:
    """Id of a tick's record: each partition and slice has its own, so that no inbox takes them for one event."""
    date_text, instant_text = tick.business_date.isoformat(), format_instant(tick.instant)
    return named_id("tick", tenant, CALENDAR_ID, date_text, instant_text, str(partition), str(part))


def _doubt_waiting(store: CalendarStore, move: _Move) -> None:
    """A fact that still waits when the day is over means that the mirror lacks something: no contact until it came."""
    for waiting in store.doubt_waiting(move.tenant, _DOUBTED_MAX):
        debtor_id, fact_id = waiting.debtor_id, waiting.fact_id
        message = pb.LedgerDriftDetected(debtor_id=debtor_id, reason=waiting.code, fact_id=fact_id)
        message.as_of = move.tick.business_date.isoformat()
        key = debtor_key(move.tenant, debtor_id)
        event_id = derived_id(fact_id, event_of(message).type, key)
        store.emit(message, key, move.envelope(message, event_id, debtor_id, fact_id))

"""What the use cases need from outside."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import date, datetime
from typing import Protocol

from duly_contracts.envelope import Envelope
from google.protobuf.message import Message

from ledger_sync.application.delivery import MappedFact, Rejection
from ledger_sync.domain.calendar import Tick
from ledger_sync.domain.facts import Fact, FactKey


@dataclass(frozen=True, slots=True)
class HeldFact:
    """A fact that does not fit yet. code: why. doubted: drift was announced because of it."""

    mapped: MappedFact
    code: str
    text: str
    doubted: bool


@dataclass(frozen=True, slots=True)
class StoredAccount:
    """A debtor as stored. known: an earlier fact stands. degraded: drift was announced and not cleared."""

    debtor_id: str
    facts: Sequence[Fact]
    held: Sequence[HeldFact]
    known: bool
    degraded: bool


@dataclass(frozen=True, slots=True)
class AccountChange:
    """What one delivery did to a debtor.

    changed: standing facts to write. held: newly held, or for another reason. released: ids no longer held.
    holds: something is held now. restated: `known`, `degraded` or `holds` differ from what is stored.
    """

    debtor_id: str
    changed: Sequence[MappedFact]
    held: Sequence[HeldFact]
    released: Sequence[str]
    known: bool
    degraded: bool
    holds: bool
    restated: bool


@dataclass(frozen=True, slots=True)
class Claims:
    """fresh: seen for the first time. reused: an id that came before with other content."""

    fresh: Sequence[MappedFact]
    reused: Sequence[MappedFact]


class RecordingStore(Protocol):
    """One transaction of the recorder. Nothing is visible before its owner commits."""

    def claim(self, tenant: str, facts: Sequence[MappedFact]) -> Claims:
        """Mark events (source, id) as seen."""

    def owners(self, tenant: str, facts: Sequence[MappedFact]) -> Mapping[FactKey, str]:
        """Thing -> its debtor: the one that stated it first, here or earlier. Things nobody stated are left out."""

    def lock_accounts(self, tenant: str, debtor_ids: Sequence[str]) -> list[StoredAccount]:
        """Lock and load debtors, in id order, so that no two recorders interleave one of them."""

    def save(self, tenant: str, changes: Sequence[AccountChange]) -> None: ...

    def quarantine(
        self, tenant: str, delivery_id: str, cause_id: str, received_at: datetime, rejections: Sequence[Rejection]
    ) -> None:
        """Keep rejected events with their reasons; the same delivery again changes nothing."""

    def business_date(self, tenant: str) -> date | None:
        """The tenant's day; None before the first tick."""

    def emit(self, message: Message, key: bytes, envelope: Envelope) -> None:
        """Put an event into the outbox."""


@dataclass(frozen=True, slots=True)
class WaitingDebtor:
    """A debtor of whom a fact has waited since an earlier day for another that did not come."""

    debtor_id: str
    fact_id: str
    code: str


@dataclass(frozen=True, slots=True)
class TickLeft:
    """What is still to be written of the newest tick. slices: it has in each partition; records: in all of them."""

    slices: int = 1
    records: int = 0


class CalendarStore(Protocol):
    """One transaction of the calendar, with the tenant's row locked."""

    def last_tick(self, tenant: str) -> Tick | None: ...

    def left(self, tenant: str) -> TickLeft:
        """Of the last tick."""

    def save_tick(self, tenant: str, tick: Tick, left: TickLeft) -> None: ...

    def debtors(self, tenant: str) -> int:
        """Number of debtors in the mirror."""

    def doubt_waiting(self, tenant: str, limit: int) -> list[WaitingDebtor]:
        """Mark debtors with facts that still wait as degraded, and name them."""

    def emit(self, message: Message, key: bytes, envelope: Envelope, partition: int | None = None) -> None: ...


CalendarUnit = Callable[[], AbstractContextManager[CalendarStore]]


class RawUnavailable(RuntimeError):
    """The log did not take a delivery: nothing was accepted."""

    code = "log_unavailable"


class RawLog(Protocol):
    """`ingress-raw`."""

    def append(self, message: Message, key: bytes, envelope: Envelope) -> None:
        """Back only once all in-sync replicas have it. Raises RawUnavailable."""

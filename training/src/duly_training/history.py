"""A ledger's facts as the fold reads them: one list per debtor, in known order, with a fingerprint of the whole."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Protocol, runtime_checkable

from duly_contracts.events import event_of
from duly_risk.days import day_of
from duly_risk.event_codec import decode_event
from duly_risk.facts import RiskEvent
from google.protobuf.message import Message

from duly.ledger.v1 import events_pb2 as ledger_pb


class LedgerFact(Protocol):
    """One canonical fact of a ledger export (`duly_ledger_export.DatedFact`)."""

    @property
    def known_on(self) -> date: ...
    @property
    def debtor_id(self) -> str: ...
    @property
    def event_id(self) -> str: ...
    @property
    def source_version(self) -> str: ...
    @property
    def message(self) -> Message: ...


class FactSource(Protocol):
    """What training needs of a ledger (`duly_ledger_export.Ledger`)."""

    def facts(self, known_until: date | None = None) -> Iterator[LedgerFact]:
        """Facts with known_on < known_until, in known order."""
        ...


@runtime_checkable
class DebtorFactSource(Protocol):
    """One that can also give them debtor by debtor, without holding them all."""

    def facts_by_debtor(self, known_until: date | None = None) -> Iterator[tuple[str, Sequence[LedgerFact]]]:
        """Debtors by id, each one's facts with known_on < known_until in known order."""
        ...


@dataclass(frozen=True, slots=True)
class History:
    """Everything known before `cut_day`. by_debtor: events in known order; an event's business_day is its known day.

    sectors: of debtors that have one, as last stated; only to slice results by, never a feature. left_out: how many
    facts were taken away as strays.
    """

    cut_day: int
    by_debtor: Mapping[str, tuple[RiskEvent, ...]]
    sha256: str
    sectors: Mapping[str, str] = field(default_factory=dict)
    left_out: int = 0

    def before(self, day: int) -> History:
        """What was known before an earlier day. The fingerprint stays that of the whole."""
        earlier = {
            debtor_id: tuple(event for event in events if event.business_day < day)
            for debtor_id, events in self.by_debtor.items()
        }
        known = {debtor: events for debtor, events in earlier.items() if events}
        return replace(self, cut_day=min(day, self.cut_day), by_debtor=known)


def read_history(ledger: FactSource, known_until: date) -> History:
    """The history of a ledger, known before `known_until`. Raises EventUnusable for a fact the fold cannot use."""
    if isinstance(ledger, DebtorFactSource):
        return _history(ledger.facts_by_debtor(known_until), known_until)
    return history_of(ledger.facts(known_until), known_until)


def history_of(facts: Iterable[LedgerFact], known_until: date) -> History:
    """The same from facts already at hand, in known order."""
    by_debtor: dict[str, list[LedgerFact]] = {}
    for fact in facts:
        by_debtor.setdefault(fact.debtor_id, []).append(fact)
    return _history(sorted(by_debtor.items()), known_until)


def _history(debtors: Iterable[tuple[str, Sequence[LedgerFact]]], known_until: date) -> History:
    digest = hashlib.sha256(known_until.isoformat().encode())
    by_debtor: dict[str, tuple[RiskEvent, ...]] = {}
    sectors: dict[str, str] = {}
    for debtor_id, facts in debtors:
        digest.update(f"{debtor_id} {len(facts)}\n".encode())
        for fact in facts:
            value = fact.message.SerializeToString(deterministic=True)
            digest.update(f"{fact.known_on} {fact.event_id} {fact.source_version} {len(value)}\n".encode())
            digest.update(value)
            if isinstance(fact.message, ledger_pb.PartyUpserted) and fact.message.sector:
                sectors[debtor_id] = fact.message.sector
        by_debtor[debtor_id] = tuple(map(_event, facts))
    return History(day_of(known_until), by_debtor, digest.hexdigest(), sectors)


def _event(fact: LedgerFact) -> RiskEvent:
    return decode_event(
        event_id=fact.event_id,
        name=event_of(fact.message).name,
        business_date=fact.known_on,
        backfill=True,
        message=fact.message,
        source_version=fact.source_version,
    )

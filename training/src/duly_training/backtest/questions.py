"""The serving fold, run over a whole history, and the questions asked of its states on the way."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import groupby

from duly_risk.book import Book, Terms, book_of
from duly_risk.facts import InvoiceStated, Position, RiskEvent, Tick
from duly_risk.measures import Measures, invoice_measures, measures_of
from duly_risk.state import DebtorState
from duly_risk.step import fold

from duly_training.backtest.receipts import Receipts, receipts_of
from duly_training.history import History


class Purpose(Enum):
    """ISSUED: as of the issue date, for predictions. FRESH: as of the day it became known, for the volume to come.
    OPEN: one of the open book at the end of a snapshot day."""

    ISSUED = "issued"
    FRESH = "fresh"
    OPEN = "open"


@dataclass(frozen=True, slots=True)
class AskedDays:
    """issued_from..issued_to: issue dates to predict, both inside. fresh_from: first day of volume. snapshots: days."""

    issued_from: int
    issued_to: int
    fresh_from: int
    snapshots: frozenset[int]


@dataclass(frozen=True, slots=True)
class Question:
    """One invoice as of one day. amount_minor: claimable for OPEN, else the total. debtor: number of the debtor.

    measures: a row of `duly_risk.measures`. receipts: all of the debtor, to be read only up to the day that is known.
    """

    purpose: Purpose
    debtor: int
    debtor_id: str
    terms: Terms
    as_of_day: int
    amount_minor: int
    measures: Measures
    receipts: Receipts


def questions_of(history: History, days: AskedDays) -> Iterator[Question]:
    """Debtor by debtor, day by day. A day's tick comes before its facts; a snapshot is taken after them."""
    for number, (debtor_id, events) in enumerate(history.by_debtor.items()):
        yield from _Debtor(number, debtor_id, events, days).questions()


class _Debtor:
    """One debtor's stream."""

    def __init__(self, number: int, debtor_id: str, events: Sequence[RiskEvent], days: AskedDays) -> None:
        self._number, self._debtor_id, self._events, self._days = number, debtor_id, events, days
        self._receipts = receipts_of(events)
        self._asked: dict[int, list[tuple[Purpose, Terms]]] = {}
        seen: set[str] = set()
        for event in events:
            if isinstance(event.body, InvoiceStated) and event.body.invoice_id not in seen:
                seen.add(event.body.invoice_id)
                self._ask(event.body, event.business_day)

    def _ask(self, body: InvoiceStated, known_day: int) -> None:
        terms = Terms(body.invoice_id, body.issue_day, body.due_day, body.total_minor, body.currency)
        if self._days.issued_from <= terms.issue_day <= self._days.issued_to:
            self._asked.setdefault(terms.issue_day, []).append((Purpose.ISSUED, terms))
        if known_day >= self._days.fresh_from:
            self._asked.setdefault(known_day, []).append((Purpose.FRESH, terms))

    def questions(self) -> Iterator[Question]:
        by_day = {day: list(events) for day, events in groupby(self._events, key=lambda event: event.business_day)}
        first, offset, state = min(by_day), 0, DebtorState()
        snapshots = {day for day in self._days.snapshots if day >= first}
        for day in sorted(by_day.keys() | self._asked.keys() | snapshots):
            asked = self._asked.get(day, ())
            todays = by_day.get(day, [])
            if asked or day in snapshots:
                tick = RiskEvent(f"tick {day}", "calendar.business_date_advanced", day, backfill=True, body=Tick(day))
                state, offset = fold(state, tick, Position(0, offset)).state, offset + 1
            if asked:
                yield from self._about(book_of(state), asked, day)
            for event in todays:
                state, offset = fold(state, event, Position(0, offset)).state, offset + 1
            if day in snapshots:
                yield from self._open_book(book_of(state), day)

    def _about(self, book: Book, asked: Sequence[tuple[Purpose, Terms]], day: int) -> Iterator[Question]:
        for purpose, terms in asked:
            row = invoice_measures(book, terms, day)
            yield self._question(purpose, terms, day, terms.total_minor, row)

    def _open_book(self, book: Book, day: int) -> Iterator[Question]:
        for invoice, row in zip(book.open, measures_of(book, day), strict=True):
            yield self._question(Purpose.OPEN, invoice.terms, day, invoice.claimable_minor, row)

    def _question(self, purpose: Purpose, terms: Terms, day: int, amount_minor: int, row: Measures) -> Question:
        return Question(purpose, self._number, self._debtor_id, terms, day, amount_minor, row, self._receipts)

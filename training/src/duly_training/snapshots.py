"""Landmark snapshots: an invoice's measures as they were known at t0, by the fold that also serves.

They hold no model's constants, so a history is folded once and serves every cut and every frame: what was known before
a cut is `known_at(snapshots, cut)`, and `static_of` measures any snapshots against any frame.

Landmarks are the day an invoice became known, then due + 1, 5, 15, 30 and 60 while it is open. A snapshot at t0 sees
the facts known before t0 and the invoice's own terms; nothing later.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from duly_risk.balances import settle
from duly_risk.book import Book, Terms, book_of
from duly_risk.facts import InvoiceStated, Position, RiskEvent, Tick
from duly_risk.features import features_of
from duly_risk.ledger import apply_records
from duly_risk.measures import Measures, debtor_measures, invoice_measures, stacked
from duly_risk.model import FeatureFrame, Rows
from duly_risk.state import Closing, DebtorState
from duly_risk.step import fold

from duly_training.history import History

LANDMARKS_AFTER_DUE = (1, 5, 15, 30, 60)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One invoice at one landmark. measures: a row of `duly_risk.measures`.

    days_after_due: the landmark, None for the first one.
    """

    debtor_id: str
    terms: Terms
    as_of_day: int
    days_after_due: int | None
    measures: Measures


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an invoice stands at the cut. closing None: open. due_day, total_minor: of its last revision."""

    due_day: int
    closing: Closing | None
    closed_day: int

    @property
    def paid_day(self) -> int | None:
        return self.closed_day if self.closing is Closing.PAID else None

    @property
    def censored_day(self) -> int | None:
        """Day from which it can no longer be paid; a written-off invoice can, so its rows go on without an event."""
        return self.closed_day if self.closing in (Closing.VOIDED, Closing.CREDITED) else None


def snapshots_of(history: History) -> Iterator[Snapshot]:
    """All snapshots with t0 < cut - 1, debtor by debtor, in the order of t0."""
    for debtor_id, events in history.by_debtor.items():
        yield from _debtor_snapshots(debtor_id, events, history.cut_day)


def known_at(snapshots: Iterable[Snapshot], cut_day: int) -> list[Snapshot]:
    """The snapshots that a history cut off before `cut_day` gives: at least one day after t0 can be seen."""
    return [one for one in snapshots if one.as_of_day < cut_day - 1]


def static_of(snapshots: Sequence[Snapshot], frame: FeatureFrame) -> Rows:
    """Features of the snapshots, measured against a frame: (n, N_STATIC) float32."""
    return features_of(measures_of(snapshots), frame)


def measures_of(snapshots: Sequence[Snapshot]) -> Measures:
    """The measures of the snapshots below each other: (n, >= N_MEASURES) float64."""
    return stacked([one.measures[np.newaxis] for one in snapshots])


def outcomes_of(history: History) -> dict[tuple[str, str], Outcome]:
    """The outcome of every invoice by (debtor_id, invoice_id), as known at the cut."""
    outcomes: dict[tuple[str, str], Outcome] = {}
    for debtor_id, events in history.by_debtor.items():
        state = DebtorState()
        for event in events:
            if not isinstance(event.body, Tick):
                state = apply_records(state, event.body)
        for invoice in state.invoices.values():
            if invoice.known:
                settlement = settle(invoice, state.sources)
                outcome = Outcome(invoice.due_day, settlement.closing, settlement.closed_day)
                outcomes[debtor_id, invoice.invoice_id] = outcome
    return outcomes


def _debtor_snapshots(debtor_id: str, events: Sequence[RiskEvent], cut_day: int) -> Iterator[Snapshot]:
    state = DebtorState()
    seen: set[str] = set()
    due: list[tuple[int, str, int]] = []
    offset = 0
    for day, of_day in groupby(events, key=lambda event: event.business_day):
        yield from _due_snapshots(debtor_id, state, due, day)
        todays = list(of_day)
        fresh = {e.body.invoice_id: e.body for e in todays if isinstance(e.body, InvoiceStated)}
        fresh = {invoice_id: body for invoice_id, body in fresh.items() if invoice_id not in seen}
        if fresh and day < cut_day - 1:
            view = _View(state)
            for body in fresh.values():
                yield view.snapshot(debtor_id, _terms(body), day, None)
        for body in fresh.values():
            for after in LANDMARKS_AFTER_DUE:
                if max(day, body.due_day) < body.due_day + after < cut_day - 1:
                    heapq.heappush(due, (body.due_day + after, body.invoice_id, after))
        seen |= fresh.keys()
        for event in todays:
            state = fold(state, event, Position(0, offset)).state
            offset += 1
    yield from _due_snapshots(debtor_id, state, due, cut_day)


def _due_snapshots(
    debtor_id: str, state: DebtorState, due: list[tuple[int, str, int]], until_day: int
) -> Iterator[Snapshot]:
    """Landmarks up to `until_day` inclusive: the facts of that day are not folded yet."""
    if not due or due[0][0] > until_day:
        return
    view = _View(state)
    while due and due[0][0] <= until_day:
        day, invoice_id, after = heapq.heappop(due)
        terms = view.open_terms(invoice_id)
        if terms is not None:
            yield view.snapshot(debtor_id, terms, day, after)


class _View:
    """A state's book and the measures its invoices share, computed once for all snapshots of the state."""

    def __init__(self, state: DebtorState) -> None:
        self._book: Book = book_of(state)
        self._shared = debtor_measures(self._book)

    def open_terms(self, invoice_id: str) -> Terms | None:
        return next((i.terms for i in self._book.open if i.terms.invoice_id == invoice_id), None)

    def snapshot(self, debtor_id: str, terms: Terms, day: int, after: int | None) -> Snapshot:
        measures = np.array(invoice_measures(self._book, terms, day, self._shared), dtype=np.float64)
        return Snapshot(debtor_id, terms, day, after, measures)


def _terms(body: InvoiceStated) -> Terms:
    return Terms(body.invoice_id, body.issue_day, body.due_day, body.total_minor, body.currency)

"""Folds a history into its timeline, debtor by debtor, with the fold that serves."""

from __future__ import annotations

import heapq
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby

import numpy as np
from duly_risk.balances import settle
from duly_risk.book import Book, Terms, book_of
from duly_risk.facts import Fact, InvoiceStated, Position, RiskEvent, Tick
from duly_risk.ledger import apply_records
from duly_risk.measures import LANDMARKS, Measures, invoice_measures, stacked
from duly_risk.state import Closing, DebtorState, Invoice, Source
from duly_risk.step import fold

from duly_training.history import History
from duly_training.progress import OnStep, silent
from duly_training.timeline import FIRST, NEVER, Changes, Snapshots, Timeline


def timeline_of(history: History, on_step: OnStep = silent) -> Timeline:
    """The history, folded once. on_step(done, total): debtors."""
    rows = _Rows()
    for done, (debtor_id, events) in enumerate(history.by_debtor.items()):
        on_step(done, len(history.by_debtor))
        rows.begin(debtor_id)
        outcomes = _OutcomeFold(rows)
        for day, of_day in groupby(events, key=lambda event: event.business_day):
            outcomes.apply(day, [event.body for event in of_day if not isinstance(event.body, Tick)])
        rows.add(list(_debtor_snapshots(events, history.cut_day)))
    return rows.timeline(history)


_BLOCK_SNAPSHOTS = 50_000


@dataclass(frozen=True, slots=True)
class _Snapshot:
    invoice_id: str
    landmark: int
    measures: Measures


@dataclass(slots=True)
class _Rows:
    """Everything gathered so far. index: invoice id -> invoice index, of the last debtor. changes: seven numbers each,
    flat, as a ledger of a million invoices has two million of them."""

    debtor_ids: list[str] = field(default_factory=list)
    invoice_ids: list[str] = field(default_factory=list)
    debtor: list[int] = field(default_factory=list)
    currency: list[str] = field(default_factory=list)
    index: dict[str, int] = field(default_factory=dict)
    blocks: list[Measures] = field(default_factory=list)
    loose: list[Measures] = field(default_factory=list)
    snapshot_invoices: list[int] = field(default_factory=list)
    landmarks: list[int] = field(default_factory=list)
    changes: array[int] = field(default_factory=lambda: array("q"))

    def begin(self, debtor_id: str) -> None:
        """What follows is of this debtor."""
        self.debtor_ids.append(debtor_id)
        self.index = {}

    def invoice(self, invoice: Invoice) -> int:
        if invoice.invoice_id not in self.index:
            self.index[invoice.invoice_id] = len(self.invoice_ids)
            self.invoice_ids.append(invoice.invoice_id)
            self.debtor.append(len(self.debtor_ids) - 1)
            self.currency.append(invoice.currency)
        return self.index[invoice.invoice_id]

    def add(self, snapshots: Sequence[_Snapshot]) -> None:
        """Snapshots of the last debtor, whose invoices are known already."""
        self.loose += [one.measures[np.newaxis] for one in snapshots]
        if len(self.loose) >= _BLOCK_SNAPSHOTS:
            self._bind()
        self.snapshot_invoices += [self.index[one.invoice_id] for one in snapshots]
        self.landmarks += [one.landmark for one in snapshots]

    def _bind(self) -> None:
        """Rows that came one by one into a block: large pieces of memory go back to the system when they are freed."""
        self.blocks.append(stacked(self.loose))
        self.loose = []

    def timeline(self, history: History) -> Timeline:
        self._bind()
        columns = np.array(self.changes, dtype=np.int64).reshape(-1, 7).T
        return Timeline(
            cut_day=history.cut_day,
            sha256=history.sha256,
            debtor_ids=tuple(self.debtor_ids),
            invoice_ids=tuple(self.invoice_ids),
            debtor=np.array(self.debtor, dtype=np.int64),
            currency=tuple(self.currency),
            snapshots=Snapshots(
                _joined(self.blocks),
                np.array(self.snapshot_invoices, dtype=np.int64),
                np.array(self.landmarks, dtype=np.int64),
            ),
            changes=Changes(*columns),
            left_out=history.left_out,
            sectors=tuple(history.sectors.get(debtor_id, "") for debtor_id in self.debtor_ids),
        )


def _joined(blocks: list[Measures]) -> Measures:
    """`stacked` of at least one block. The blocks are given up on the way: all and the whole would be twice as much."""
    whole = np.zeros((sum(map(len, blocks)), max(block.shape[1] for block in blocks)))
    at = len(whole)
    while blocks:
        block = blocks.pop()
        whole[at - len(block) : at, : block.shape[1]] = block
        at -= len(block)
    return whole


class _OutcomeFold:
    """Outcomes of one debtor's invoices, with `duly_risk`'s own rules for records but none of a blob's bounds."""

    def __init__(self, rows: _Rows) -> None:
        self._rows = rows
        self._invoices: dict[str, Invoice] = {}
        self._sources: dict[str, Source] = {}
        self._paid_from: dict[str, set[str]] = {}
        self._last: dict[str, tuple[int, ...]] = {}

    def apply(self, day: int, facts: Sequence[Fact]) -> None:
        touched: dict[str, None] = {}
        for fact in facts:
            touched.update(dict.fromkeys(self._applied(fact)))
        for invoice_id in touched:
            invoice = self._invoices[invoice_id]
            if invoice.known:
                self._keep(day, invoice)

    def _applied(self, fact: Fact) -> list[str]:
        """The invoices that a fact may have moved."""
        invoice_id = getattr(fact, "invoice_id", "")
        if invoice_id:
            known = {invoice_id: self._invoices[invoice_id]} if invoice_id in self._invoices else {}
            after = apply_records(DebtorState(invoices=known), fact).invoices[invoice_id]
            self._invoices[invoice_id] = after
            for allocation in after.allocations:
                self._paid_from.setdefault(allocation.source_id, set()).add(invoice_id)
            return [invoice_id]
        moved = []
        # One source at most: a payment or a credit note, received, taken back or voided.
        for source_id in {getattr(fact, name, "") for name in ("source_id", "payment_id", "credit_note_id")} - {""}:
            sources = {source_id: self._sources[source_id]} if source_id in self._sources else {}
            self._sources |= apply_records(DebtorState(sources=sources), fact).sources
            moved += sorted(self._paid_from.get(source_id, ()))
        return moved

    def _keep(self, day: int, invoice: Invoice) -> None:
        settlement = settle(invoice, self._sources)
        paid = settlement.closed_day if settlement.closing is Closing.PAID else NEVER
        gone = settlement.closing in (Closing.VOIDED, Closing.CREDITED)
        censored = settlement.closed_day if gone else NEVER
        outcome = invoice.issue_day, invoice.due_day, invoice.total_minor, paid, censored
        if self._last.get(invoice.invoice_id) != outcome:
            self._last[invoice.invoice_id] = outcome
            self._rows.changes.extend((self._rows.invoice(invoice), day, *outcome))


def _debtor_snapshots(events: Sequence[RiskEvent], cut_day: int) -> Iterator[_Snapshot]:
    state = DebtorState()
    seen: set[str] = set()
    due: list[tuple[int, str, int]] = []
    offset = 0
    for day, of_day in groupby(events, key=lambda event: event.business_day):
        yield from _due_snapshots(state, due, day)
        todays = list(of_day)
        stated = {e.body.invoice_id: e.body for e in todays if isinstance(e.body, InvoiceStated)}
        fresh = {invoice_id: body for invoice_id, body in stated.items() if invoice_id not in seen}
        if fresh and day < cut_day - 1:
            view = _View(state)
            for body in fresh.values():
                yield view.snapshot(_terms(body), day, FIRST)
        for body in fresh.values():
            for after in LANDMARKS:
                if day < body.due_day + after < cut_day - 1:
                    heapq.heappush(due, (body.due_day + after, body.invoice_id, after))
        seen |= fresh.keys()
        for event in todays:
            state = fold(state, event, Position(0, offset)).state
            offset += 1
    yield from _due_snapshots(state, due, cut_day)


def _due_snapshots(state: DebtorState, due: list[tuple[int, str, int]], until_day: int) -> Iterator[_Snapshot]:
    """Landmarks up to `until_day` inclusive: the facts of that day are not folded yet."""
    if not due or due[0][0] > until_day:
        return
    view = _View(state)
    while due and due[0][0] <= until_day:
        day, invoice_id, after = heapq.heappop(due)
        terms = view.open_terms(invoice_id)
        if terms is not None:
            yield view.snapshot(terms, day, after)


class _View:
    """A state's book, computed once for all snapshots of the state."""

    def __init__(self, state: DebtorState) -> None:
        self._book: Book = book_of(state)

    def open_terms(self, invoice_id: str) -> Terms | None:
        return next((i.terms for i in self._book.open if i.terms.invoice_id == invoice_id), None)

    def snapshot(self, terms: Terms, day: int, landmark: int) -> _Snapshot:
        return _Snapshot(terms.invoice_id, landmark, invoice_measures(self._book, terms, day))


def _terms(body: InvoiceStated) -> Terms:
    return Terms(body.invoice_id, body.issue_day, body.due_day, body.total_minor, body.currency)

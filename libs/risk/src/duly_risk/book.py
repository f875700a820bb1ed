"""What a debtor's state says at a moment: open book, payment history, volume. Features and reasons read only this."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from duly_risk.balances import disputed_minor, settle, unapplied_minor
from duly_risk.state import Archive, Closed, DebtorState

LATE_DAYS = 5
EWM_DECAY = 0.8
NEWEST_KEPT = 64


@dataclass(frozen=True, slots=True)
class Terms:
    """An invoice's own terms: all that is known of it on the day it is issued."""

    invoice_id: str
    issue_day: int
    due_day: int
    total_minor: int
    currency: str


@dataclass(frozen=True, slots=True)
class OpenInvoice:
    terms: Terms
    open_minor: int
    disputed_minor: int


@dataclass(frozen=True, slots=True)
class DelayHistory:
    """Delays (paid - due, clipped to -60..120 days) of the debtor's settled invoices.

    counts: delay -> invoices, over all. newest: delays of at most 64 last settled ones by (paid day, issue day, id),
    newest first.
    """

    counts: Mapping[int, int]
    newest: tuple[int, ...]
    days_to_pay_sum: int
    last_paid_day: int

    @property
    def settled(self) -> int:
        return sum(self.counts.values())

    @property
    def delay_sum(self) -> int:
        return sum(delay * count for delay, count in self.counts.items())

    def late(self, at_least_days: int) -> int:
        return sum(count for delay, count in self.counts.items() if delay >= at_least_days)

    def median(self) -> float:
        """NaN without history."""
        n = self.settled
        if not n:
            return math.nan
        return (self._ranked((n - 1) // 2) + self._ranked(n // 2)) / 2

    def std(self) -> float:
        """Population standard deviation, from whole-number sums so that no order can show; NaN below 2 settled."""
        n = self.settled
        if n < 2:
            return math.nan
        squares = sum(delay * delay * count for delay, count in self.counts.items())
        return math.sqrt(n * squares - self.delay_sum**2) / n

    def longest(self) -> float:
        return float(max(self.counts)) if self.counts else math.nan

    def mean_of_last(self, n: int) -> float:
        last = self.newest[:n]
        return sum(last) / len(last) if last else math.nan

    def decayed_mean(self) -> float:
        """Weights 0.8^age, age 0 = newest settled."""
        if not self.newest:
            return math.nan
        weights = _EWM_WEIGHTS[: len(self.newest)]
        return math.fsum(w * delay for w, delay in zip(weights, self.newest, strict=True)) / math.fsum(weights)

    def late_share_of_last(self, n: int) -> float:
        last = self.newest[:n]
        return sum(delay >= LATE_DAYS for delay in last) / len(last) if last else math.nan

    def _ranked(self, rank: int) -> int:
        for delay in sorted(self.counts):
            rank -= self.counts[delay]
            if rank < 0:
                return delay
        raise AssertionError("rank beyond the histogram")


_EWM_WEIGHTS = tuple(EWM_DECAY**age for age in range(NEWEST_KEPT))


@dataclass(frozen=True, slots=True)
class Book:
    """open: by invoice id. invoices, billed, first/last issue: over all invoices not voided, open ones too.

    last_issues: (issue day, invoice id) of the two latest invoices, latest first, so that one of them can be left out.
    """

    open: tuple[OpenInvoice, ...]
    history: DelayHistory
    invoices: int
    billed: Mapping[str, tuple[int, int]]
    first_issue_day: int
    last_issues: tuple[tuple[int, str], ...]
    unapplied: Mapping[str, int]


def book_of(state: DebtorState) -> Book:
    """The book of a packed state, as far as it has been folded."""
    archive, closed = state.archive, state.closed
    billed = dict(archive.billed)
    for currency, (minor, count) in closed.billed.items():
        before = billed.get(currency, (0, 0))
        billed[currency] = (before[0] + minor, before[1] + count)
    open_invoices: list[OpenInvoice] = []
    issues: list[tuple[int, str]] = []
    for invoice_id, invoice in sorted(state.invoices.items()):
        if not invoice.known:
            continue
        settlement = settle(invoice, state.sources)
        assert settlement.closing is None, "a closed invoice is not packed"
        issues.append((invoice.issue_day, invoice_id))
        minor, count = billed.get(invoice.currency, (0, 0))
        billed[invoice.currency] = (minor + invoice.total_minor, count + 1)
        terms = Terms(invoice_id, invoice.issue_day, invoice.due_day, invoice.total_minor, invoice.currency)
        disputed = disputed_minor(invoice, settlement.open_minor)
        open_invoices.append(OpenInvoice(terms, settlement.open_minor, disputed))
    first_days = [day for day in (archive.first_issue_day, closed.first_issue_day) if day]
    first_days += [day for day, _ in issues]
    issues.append((max(archive.last_issue_day, closed.last_issue_day), ""))
    return Book(
        open=tuple(open_invoices),
        history=_history(archive, closed),
        invoices=archive.invoices + closed.invoices + len(open_invoices),
        billed=billed,
        first_issue_day=min(first_days, default=0),
        last_issues=tuple(sorted(issues, reverse=True)[:2]),
        unapplied=unapplied_minor(state),
    )


def _history(archive: Archive, closed: Closed) -> DelayHistory:
    memo = closed.memo
    if isinstance(memo, tuple) and memo[0] is archive:
        history: DelayHistory = memo[1]
        return history
    counts = dict(archive.delays)
    for delay in closed.delays:
        counts[delay] = counts.get(delay, 0) + 1
    history = DelayHistory(
        counts,
        closed.delays[: -NEWEST_KEPT - 1 : -1],
        archive.days_to_pay_sum + closed.days_to_pay_sum,
        max(archive.last_paid_day, closed.last_paid_day),
    )
    object.__setattr__(closed, "memo", (archive, history))
    return history

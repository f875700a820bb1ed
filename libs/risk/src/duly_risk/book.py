"""What a debtor's state says at a moment: open book, payment history, volume. Features and reasons read only this."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from duly_risk.archive import clipped_days_to_pay, clipped_delay
from duly_risk.balances import disputed_minor, settle, unapplied_minor
from duly_risk.state import Archive, Closing, DebtorState

LATE_DAYS = 5
EWM_DECAY = 0.8


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


_EWM_WEIGHTS = tuple(EWM_DECAY**age for age in range(64))


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
    """The book of a state, as far as it has been folded."""
    archive = state.archive
    open_invoices: list[OpenInvoice] = []
    settled: list[tuple[int, int, str, int]] = []
    issues: list[tuple[int, str]] = []
    billed = dict(archive.billed)
    for invoice_id in sorted(state.invoices):
        invoice = state.invoices[invoice_id]
        settlement = settle(invoice, state.sources)
        if not invoice.known or settlement.closing is Closing.VOIDED:
            continue
        issues.append((invoice.issue_day, invoice_id))
        minor, count = billed.get(invoice.currency, (0, 0))
        billed[invoice.currency] = (minor + invoice.total_minor, count + 1)
        if settlement.is_open:
            terms = Terms(invoice_id, invoice.issue_day, invoice.due_day, invoice.total_minor, invoice.currency)
            disputed = disputed_minor(invoice, settlement.open_minor)
            open_invoices.append(OpenInvoice(terms, settlement.open_minor, disputed))
        elif settlement.closing is Closing.PAID:
            settled.append((settlement.closed_day, invoice.issue_day, invoice_id, invoice.due_day))
    if archive.last_issue_day:
        issues.append((archive.last_issue_day, ""))
    first_days = [day for day, _ in issues] + [archive.first_issue_day] * bool(archive.first_issue_day)
    return Book(
        open=tuple(open_invoices),
        history=_history(archive, settled),
        invoices=archive.invoices + len(issues) - bool(archive.last_issue_day),
        billed=billed,
        first_issue_day=min(first_days, default=0),
        last_issues=tuple(sorted(issues, reverse=True)[:2]),
        unapplied=unapplied_minor(state),
    )


def _history(archive: Archive, settled: Sequence[tuple[int, int, str, int]]) -> DelayHistory:
    newest_first = sorted(settled, reverse=True)
    counts = dict(archive.delays)
    delays: list[int] = []
    days_to_pay = archive.days_to_pay_sum
    for paid_day, issue_day, _, due_day in newest_first:
        delay = clipped_delay(paid_day, due_day)
        delays.append(delay)
        counts[delay] = counts.get(delay, 0) + 1
        days_to_pay += clipped_days_to_pay(paid_day, issue_day)
    last_paid = newest_first[0][0] if newest_first else 0
    return DelayHistory(counts, tuple(delays[:64]), days_to_pay, max(last_paid, archive.last_paid_day))

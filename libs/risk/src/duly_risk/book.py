"""What a debtor's state says at a moment: open book, payment history, volume. Features and reasons read only this."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from operator import mul
from typing import NamedTuple

from duly_risk.balances import disputed_minor, settle, unapplied_minor
from duly_risk.state import Archive, Closed, DebtorState, Invoice, Source, StateUnreadable

LATE_DAYS = 5
VERY_LATE_DAYS = 15
EWM_DECAY = 0.8
NEWEST_KEPT = 64

# The three below are made by the thousand: a named tuple costs a third of a frozen dataclass to make.


class Terms(NamedTuple):
    """An invoice's own terms: all that is known of it on the day it is issued."""

    invoice_id: str
    issue_day: int
    due_day: int
    total_minor: int
    currency: str


class OpenInvoice(NamedTuple):
    """claimable_minor: open - disputed - its share of the unapplied cash."""

    terms: Terms
    open_minor: int
    disputed_minor: int
    claimable_minor: int


class DelayHistory(NamedTuple):
    """Delays (paid - due, clipped to -60..120 days) of the debtor's settled invoices. `history_of` computes it.

    counts: delay -> invoices, over all. newest: delays of at most 64 last settled ones by (paid day, issue day, id),
    newest first. late: 5 or more days; late5, late20: share of the last 5 and 20; q25, q75, q90: quantiles over all;
    last1, last2: the last one and the one before. NaN without history; std also below 2 settled.
    """

    counts: Mapping[int, int]
    newest: tuple[int, ...]
    days_to_pay_sum: int
    last_paid_day: int
    settled: int = 0
    delay_sum: int = 0
    late: int = 0
    any_late: int = 0
    median: float = math.nan
    std: float = math.nan
    longest: float = math.nan
    last3: float = math.nan
    last10: float = math.nan
    decayed: float = math.nan
    late5: float = math.nan
    q25: float = math.nan
    q75: float = math.nan
    q90: float = math.nan
    on_due: int = 0
    early: int = 0
    late15: int = 0
    last1: float = math.nan
    last2: float = math.nan
    on_due10: float = math.nan
    any_late10: float = math.nan
    longest10: float = math.nan
    std10: float = math.nan
    late20: float = math.nan


@dataclass(slots=True)
class _Ranks:
    """One delay or more, by rank. delays: each value once, rising. ends: how many are at most as late as each."""

    delays: list[int]
    ends: list[int]
    n: int

    def from_on(self, delay: int) -> int:
        """How many were as late as that or later."""
        earlier = bisect_left(self.delays, delay)
        return self.n - self.ends[earlier - 1] if earlier else self.n

    def lower(self, share: float) -> float:
        """The lower quantile: the delay at rank share x (n - 1), rounded down."""
        return float(self.delays[bisect_right(self.ends, int(share * (self.n - 1)))])

    def median(self) -> float:
        delays, ends, n = self.delays, self.ends, self.n
        return (delays[bisect_right(ends, (n - 1) // 2)] + delays[bisect_right(ends, n // 2)]) / 2


def history_of(
    counts: Mapping[int, int], newest: tuple[int, ...], days_to_pay_sum: int, last_paid_day: int
) -> DelayHistory:
    """The history of these delays. All figures come from whole-number sums, so that no order of them can show."""
    delays = sorted(counts)
    numbers = [counts[delay] for delay in delays]
    ends = list(accumulate(numbers))
    if not ends or not ends[-1]:
        return DelayHistory(counts, newest, days_to_pay_sum, last_paid_day)
    ranks, weighted = _Ranks(delays, ends, ends[-1]), list(map(mul, delays, numbers))
    n, total = ranks.n, sum(weighted)
    return DelayHistory(
        counts,
        newest,
        days_to_pay_sum,
        last_paid_day,
        settled=n,
        delay_sum=total,
        late=ranks.from_on(LATE_DAYS),
        any_late=ranks.from_on(1),
        median=ranks.median(),
        std=_std(n, total, sum(map(mul, weighted, delays))),
        longest=float(delays[-1]),
        q25=ranks.lower(0.25),
        q75=ranks.lower(0.75),
        q90=ranks.lower(0.9),
        on_due=counts.get(0, 0),
        early=n - ranks.from_on(0),
        late15=ranks.from_on(VERY_LATE_DAYS),
        **_of_newest(newest),
    )


def _of_newest(newest: tuple[int, ...]) -> dict[str, float]:
    """The figures of the last ones. There are none where all that closed since the archive was written off or void."""
    if not newest:
        return {}
    last10 = newest[:10]
    return {
        "last3": _mean(newest[:3]),
        "last10": _mean(last10),
        # Weights 0.8^age, age 0 = newest settled.
        "decayed": math.fsum(map(mul, _EWM_WEIGHTS, newest)) / _EWM_SUMS[len(newest)],
        "late5": _share_late(newest[:5]),
        "last1": float(newest[0]),
        "last2": float(newest[1]) if len(newest) > 1 else math.nan,
        "on_due10": last10.count(0) / len(last10),
        "any_late10": len([delay for delay in last10 if delay > 0]) / len(last10),
        "longest10": float(max(last10)),
        "std10": _std(len(last10), sum(last10), sum(map(mul, last10, last10))),
        "late20": _share_late(newest[:20]),
    }


def _std(n: int, total: int, squares: int) -> float:
    """Population standard deviation from whole-number sums."""
    return math.sqrt(n * squares - total**2) / n if n > 1 else math.nan


def _share_late(delays: Sequence[int]) -> float:
    return len([delay for delay in delays if delay >= LATE_DAYS]) / len(delays)


def _mean(delays: Sequence[int]) -> float:
    return sum(delays) / len(delays)


_EWM_WEIGHTS = tuple(EWM_DECAY**age for age in range(NEWEST_KEPT))
_EWM_SUMS = tuple(math.fsum(_EWM_WEIGHTS[:n]) for n in range(NEWEST_KEPT + 1))


class Book(NamedTuple):
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
    lines = [_line(invoice, state.sources) for _, invoice in sorted(state.invoices.items()) if invoice.known]
    issues = [(max(archive.last_issue_day, closed.last_issue_day), "")]
    for (invoice_id, issue_day, _, total_minor, currency), _, _, _ in lines:
        issues.append((issue_day, invoice_id))
        minor, count = billed.get(currency, (0, 0))
        billed[currency] = (minor + total_minor, count + 1)
    first_days = [day for day in (archive.first_issue_day, closed.first_issue_day) if day]
    unapplied = unapplied_minor(state)
    return Book(
        open=_with_claims(lines, unapplied),
        history=_history(archive, closed),
        invoices=archive.invoices + closed.invoices + len(lines),
        billed=billed,
        first_issue_day=min([*first_days, *(day for day, invoice_id in issues if invoice_id)], default=0),
        last_issues=tuple(sorted(issues, reverse=True)[:2]),
        unapplied=unapplied,
    )


def _line(invoice: Invoice, sources: Mapping[str, Source]) -> OpenInvoice:
    """As the book holds it while no cash is unapplied."""
    settlement = settle(invoice, sources)
    if settlement.closing is not None:
        raise StateUnreadable(f"invoice {invoice.invoice_id} is closed and not packed")
    known = invoice.memo
    if isinstance(known, tuple) and known[0] is settlement:
        line: OpenInvoice = known[1]
        return line
    terms = Terms(invoice.invoice_id, invoice.issue_day, invoice.due_day, invoice.total_minor, invoice.currency)
    disputed = disputed_minor(invoice, settlement.open_minor)
    line = OpenInvoice(terms, settlement.open_minor, disputed, settlement.open_minor - disputed)
    # A memo on a frozen value: an event changes one invoice of a book, seldom two.
    object.__setattr__(invoice, "memo", (settlement, line))
    return line


def _with_claims(lines: Sequence[OpenInvoice], unapplied: Mapping[str, int]) -> tuple[OpenInvoice, ...]:
    """Unapplied cash of the currency taken off what is claimable, the oldest due first."""
    if not unapplied:
        return tuple(lines)
    rest = dict(unapplied)
    left: dict[str, int] = {}
    for line in sorted(lines, key=_oldest_due):
        covered = min(line.claimable_minor, rest.get(line.terms.currency, 0))
        rest[line.terms.currency] = rest.get(line.terms.currency, 0) - covered
        left[line.terms.invoice_id] = line.claimable_minor - covered
    return tuple(line._replace(claimable_minor=left[line.terms.invoice_id]) for line in lines)


def _oldest_due(line: OpenInvoice) -> tuple[int, str]:
    return line.terms.due_day, line.terms.invoice_id


def _history(archive: Archive, closed: Closed) -> DelayHistory:
    memo = closed.memo
    if isinstance(memo, tuple) and memo[0] is archive:
        known: DelayHistory = memo[1]
        return known
    counts = Counter(closed.delays)
    for delay, count in archive.delays.items():
        counts[delay] += count
    history = history_of(
        counts,
        closed.delays[: -NEWEST_KEPT - 1 : -1],
        archive.days_to_pay_sum + closed.days_to_pay_sum,
        max(archive.last_paid_day, closed.last_paid_day),
    )
    # A memo on a frozen value: the history changes only when an invoice closes or opens again.
    object.__setattr__(closed, "memo", (archive, history))
    return history

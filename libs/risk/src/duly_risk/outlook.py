"""What the curves of many debtors say, computed for a batch at once, told debtor by debtor: per invoice, per week."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from duly_risk.book import OpenInvoice
from duly_risk.curves import CASH_WEEKS, WEEK, Floats, Ints, expected_days, pay_offset, survival, unpaid
from duly_risk.model import Hazards
from duly_risk.plan import Plan
from duly_risk.score import InvoiceScore

UNPAID_DAYS = (1, 5, 30, 60, 90)
PAID_SHARES = (0.1, 0.5, 0.9)
# Plans whose figures become Python's numbers together: those of a whole batch would not stay in a processor's cache.
_AT_ONCE = 16


class Outlook(NamedTuple):
    """invoices: by invoice id. risk: R = sum(claimable x p_unpaid_30) / sum(claimable), 0 if nothing is claimable;
    currencies are never added, so a debtor with several has the largest of their risks.

    at_risk_minor: (currency, minor units) of claimable x p_unpaid_30. cash_minor: (currency, minor units expected in
    each of 13 weeks); week w (from 0) begins on as_of_day + 1 + 7 w.
    """

    invoices: tuple[InvoiceScore, ...] = ()
    risk: float = 0.0
    at_risk_minor: tuple[tuple[str, int], ...] = ()
    cash_minor: tuple[tuple[str, tuple[int, ...]], ...] = ()


def outlooks_of(plans: Sequence[Plan], hazards: Hazards) -> Iterator[Outlook]:
    """One outlook per plan, in their order. hazards: (sum of claims, 182), the plans' rows, from `asking.hazards_of`.

    Curves and figures of all are computed when the first is asked for, and become Python numbers some plans at a time.
    """
    claims = [claim for plan in plans for claim in plan.claims]
    figures = _figures(plans, claims, hazards)
    stop = 0
    for at in range(0, len(plans), _AT_ONCE):
        some = plans[at : at + _AT_ONCE]
        start, stop = stop, stop + sum([len(plan.claims) for plan in some])
        yield from _outlooks(some, claims[start:stop], figures.part(start, stop))


class _Figures(NamedTuple):
    """Of n claims: scores (n, 6), the p_unpaid_k and the expected days; pay_days (n, 3); cash (n, 13)."""

    scores: Floats
    pay_days: Ints
    cash: Ints

    def part(self, start: int, stop: int) -> _Figures:
        """Of some of them."""
        return _Figures(self.scores[start:stop], self.pay_days[start:stop], self.cash[start:stop])


def _figures(plans: Sequence[Plan], claims: Sequence[OpenInvoice], hazards: Hazards) -> _Figures:
    as_of = np.array([plan.as_of_day for plan in plans for _ in plan.claims], dtype=np.int64)
    due = np.array([claim.terms.due_day for claim in claims], dtype=np.int64)
    curves = survival(hazards)
    scores = np.empty((len(claims), len(UNPAID_DAYS) + 1))
    for column, k in enumerate(UNPAID_DAYS):
        scores[:, column] = unpaid(curves, as_of, due, k)
    scores[:, -1] = expected_days(curves)
    pay_days = np.empty((len(claims), len(PAID_SHARES)), dtype=np.int64)
    for column, share in enumerate(PAID_SHARES):
        offset = pay_offset(curves, share)
        pay_days[:, column] = np.where(offset < curves.shape[1], as_of + offset, 0)
    cash = cash_of_weeks(curves, np.array([claim.claimable_minor for claim in claims], dtype=np.int64))
    return _Figures(scores, pay_days, cash)


def _outlooks(plans: Sequence[Plan], claims: Sequence[OpenInvoice], figures: _Figures) -> Iterator[Outlook]:
    """Of some plans. claims, figures: theirs."""
    rows = zip(claims, figures.scores.tolist(), figures.pay_days.tolist(), strict=True)
    invoices = [InvoiceScore(claim.terms.invoice_id, *scores, *days) for claim, scores, days in rows]
    totals = iter(_cash_of_debtors(plans, figures.cash))
    stop = 0
    for plan in plans:
        start, stop = stop, stop + len(plan.claims)
        if start == stop:
            yield Outlook()
        else:
            yield _outlook(plan.claims, invoices[start:stop], next(totals), figures.cash[start:stop])


def cash_of_weeks(curves: Floats, claimable_minor: Ints) -> Ints:
    """Expected cash of n invoices in each of 13 weeks: (n, 13) minor units.

    Each invoice's cumulated cash is rounded to minor units, half up, so weeks + what is left = claimable, exactly.
    Expectations are the one place where money comes from a float.
    """
    paid = 1.0 - curves[:, WEEK : (CASH_WEEKS + 1) * WEEK : WEEK]
    cumulated = np.floor(claimable_minor[:, np.newaxis] * paid + 0.5).astype(np.int64)
    return np.diff(cumulated, axis=1, prepend=0)


def _cash_of_debtors(plans: Sequence[Plan], cash: Ints) -> list[list[int]]:
    """The sum over all invoices of each plan that has any."""
    sizes = [len(plan.claims) for plan in plans if plan.claims]
    if not sizes:
        return []
    starts = np.cumsum([0, *sizes[:-1]])
    totals: list[list[int]] = np.add.reduceat(cash, starts, axis=0).tolist()
    return totals


def _outlook(
    claims: Sequence[OpenInvoice], invoices: Sequence[InvoiceScore], total: Sequence[int], cash: Ints
) -> Outlook:
    """total: cash of all claims together, right where they are in one currency. cash: (n, 13), of each."""
    rows: dict[str, list[int]] = {}
    for index, claim in enumerate(claims):
        rows.setdefault(claim.terms.currency, []).append(index)
    risk, at_risk, weeks = 0.0, [], []
    for currency in sorted(rows):
        mine = rows[currency]
        claimable, expected_unpaid, minor_at_risk = 0, [], 0
        for index in mine:
            minor = claims[index].claimable_minor
            unpaid_minor = minor * invoices[index].p_unpaid_30
            claimable += minor
            expected_unpaid.append(unpaid_minor)
            minor_at_risk += math.floor(unpaid_minor + 0.5)
        at_risk.append((currency, minor_at_risk))
        if claimable > 0:
            risk = max(risk, min(1.0, math.fsum(expected_unpaid) / claimable))
        weeks.append((currency, tuple(total if len(rows) == 1 else cash[mine].sum(axis=0).tolist())))
    return Outlook(tuple(invoices), risk, tuple(at_risk), tuple(weeks))

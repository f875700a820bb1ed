"""What the curves of many debtors say, computed for a whole batch at once: per invoice, per debtor, per week."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from duly_risk.book import OpenInvoice
from duly_risk.curves import CASH_WEEKS, WEEK, Floats, Ints, expected_days, pay_offset, survival, unpaid
from duly_risk.measures import COLUMN, stacked
from duly_risk.model import Hazards
from duly_risk.plan import Plan
from duly_risk.score import InvoiceScore

UNPAID_DAYS = (1, 5, 30, 60, 90)
PAID_SHARES = (0.1, 0.5, 0.9)


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


def outlooks_of(plans: Sequence[Plan], hazards: Hazards) -> list[Outlook]:
    """One outlook per plan. hazards: (sum of claims, 182), the plans' rows in order, from `step.hazards_of`."""
    if not len(hazards):
        return [Outlook() for _ in plans]
    measures = stacked([plan.measures for plan in plans])
    as_of, due = (measures[:, COLUMN[name]].astype(np.int64) for name in ("as_of_day", "due_day"))
    claims = [claim for plan in plans for claim in plan.claims]
    curves = survival(hazards)
    cash = cash_of_weeks(curves, np.array([claim.claimable_minor for claim in claims], dtype=np.int64))
    invoices = _invoice_scores(claims, curves, as_of, due)
    totals = iter(_cash_of_debtors(plans, cash))
    outlooks, stop = [], 0
    for plan in plans:
        start, stop = stop, stop + len(plan.claims)
        if start == stop:
            outlooks.append(Outlook())
        else:
            outlooks.append(_outlook(plan.claims, invoices[start:stop], next(totals), cash[start:stop]))
    return outlooks


def cash_of_weeks(curves: Floats, claimable_minor: Ints) -> Ints:
    """Expected cash of n invoices in each of 13 weeks: (n, 13) minor units.

    Each invoice's cumulated cash is rounded to minor units, half up, so weeks + what is left = claimable, exactly.
    Expectations are the one place where money comes from a float.
    """
    paid = 1.0 - curves[:, WEEK : (CASH_WEEKS + 1) * WEEK : WEEK]
    cumulated = np.floor(claimable_minor[:, np.newaxis] * paid + 0.5).astype(np.int64)
    return np.diff(cumulated, axis=1, prepend=0)


def _invoice_scores(claims: Sequence[OpenInvoice], curves: Floats, as_of: Ints, due: Ints) -> list[InvoiceScore]:
    columns = [unpaid(curves, as_of, due, k).tolist() for k in UNPAID_DAYS]
    columns.append(expected_days(curves).tolist())
    for share in PAID_SHARES:
        offset = pay_offset(curves, share)
        columns.append(np.where(offset < curves.shape[1], as_of + offset, 0).tolist())
    ids = [claim.terms.invoice_id for claim in claims]
    return list(map(InvoiceScore._make, zip(ids, *columns, strict=True)))


def _cash_of_debtors(plans: Sequence[Plan], cash: Ints) -> Iterator[list[int]]:
    """The sum over all invoices of each plan that has any."""
    sizes = [len(plan.claims) for plan in plans if plan.claims]
    starts = np.cumsum([0, *sizes[:-1]])
    return iter(np.add.reduceat(cash, starts, axis=0).tolist())


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

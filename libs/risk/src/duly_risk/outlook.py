"""What the curves of many debtors say, computed for a whole batch at once: per invoice, per debtor, per week."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from duly_risk.curves import WEEK, Floats, Ints, expected_days, pay_offset, survival, unpaid
from duly_risk.measures import COLUMN, stacked
from duly_risk.model import Hazards
from duly_risk.plan import Claim, Plan
from duly_risk.score import ExpectedCash, InvoiceScore

CASH_WEEKS = 13
UNPAID_DAYS = (1, 5, 30, 60, 90)
PAID_SHARES = (0.1, 0.5, 0.9)


@dataclass(frozen=True, slots=True)
class Outlook:
    """invoices: by invoice id. risk: see `_risk`. at_risk_minor: (currency, minor units) of claimable x p_unpaid_30.

    cash: expected cash of 13 weeks, week w from t0 + 1 + 7 (w - 1), by week and currency.
    """

    invoices: tuple[InvoiceScore, ...] = ()
    risk: float = 0.0
    at_risk_minor: tuple[tuple[str, int], ...] = ()
    cash: tuple[ExpectedCash, ...] = ()


def outlooks_of(plans: Sequence[Plan], hazards: Hazards) -> list[Outlook]:
    """One outlook per plan. hazards: (sum of claims, 182), the plans' rows in order, from `step.hazards_of`."""
    if not len(hazards):
        return [Outlook() for _ in plans]
    measures = stacked([plan.measures for plan in plans])
    as_of, due = (measures[:, COLUMN[name]].astype(np.int64) for name in ("as_of_day", "due_day"))
    curves = survival(hazards)
    claimable = np.array([claim.claimable_minor for plan in plans for claim in plan.claims], dtype=np.int64)
    invoices = _invoice_scores([claim for plan in plans for claim in plan.claims], curves, as_of, due)
    cash = cash_of_weeks(curves, claimable)
    outlooks, stop = [], 0
    for plan in plans:
        start, stop = stop, stop + len(plan.claims)
        outlooks.append(_outlook(plan, invoices[start:stop], cash[start:stop]))
    return outlooks


def cash_of_weeks(curves: Floats, claimable_minor: Ints) -> Ints:
    """Expected cash of n invoices in each of 13 weeks: (n, 13) minor units.

    Each invoice's cumulated cash is rounded to minor units, half up, so weeks + what is left = claimable, exactly.
    Expectations are the one place where money comes from a float.
    """
    paid = 1.0 - curves[:, WEEK : (CASH_WEEKS + 1) * WEEK : WEEK]
    cumulated = np.floor(claimable_minor[:, np.newaxis] * paid + 0.5).astype(np.int64)
    return np.diff(cumulated, axis=1, prepend=0)


def _invoice_scores(claims: Sequence[Claim], curves: Floats, as_of: Ints, due: Ints) -> list[InvoiceScore]:
    p_unpaid = [unpaid(curves, as_of, due, k).tolist() for k in UNPAID_DAYS]
    pay_days = []
    for share in PAID_SHARES:
        offset = pay_offset(curves, share)
        pay_days.append(np.where(offset < curves.shape[1], as_of + offset, 0).tolist())
    ids = [claim.terms.invoice_id for claim in claims]
    return list(map(InvoiceScore, ids, *p_unpaid, expected_days(curves).tolist(), *pay_days))


def _outlook(plan: Plan, invoices: Sequence[InvoiceScore], cash: Ints) -> Outlook:
    if not plan.claims:
        return Outlook()
    rows: dict[str, list[int]] = {}
    for index, claim in enumerate(plan.claims):
        rows.setdefault(claim.terms.currency, []).append(index)
    risk, at_risk = 0.0, []
    totals: dict[str, list[int]] = {}
    for currency in sorted(rows):
        mine = rows[currency]
        totals[currency] = (cash if len(rows) == 1 else cash[mine]).sum(axis=0).tolist()
        pairs = [(plan.claims[index].claimable_minor, invoices[index].p_unpaid_30) for index in mine]
        at_risk.append((currency, sum(_half_up(minor * p) for minor, p in pairs)))
        risk = max(risk, _risk(pairs))
    weeks = [
        ExpectedCash(plan.as_of_day + 1 + WEEK * week, currency, totals[currency][week])
        for week in range(CASH_WEEKS)
        for currency in totals
    ]
    return Outlook(tuple(invoices), risk, tuple(at_risk), tuple(weeks))


def _risk(pairs: Sequence[tuple[int, float]]) -> float:
    """R = sum(claimable x p_unpaid_30) / sum(claimable), 0 if nothing is claimable.

    Currencies are never added: a debtor with several has the largest of their risks.
    """
    claimable = sum(minor for minor, _ in pairs)
    return min(1.0, math.fsum(minor * p for minor, p in pairs) / claimable) if claimable > 0 else 0.0


def _half_up(amount: float) -> int:
    return math.floor(amount + 0.5)

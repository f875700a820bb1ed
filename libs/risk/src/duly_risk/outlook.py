"""What the curves of a debtor say: per invoice, per debtor, per week."""

from __future__ import annotations

import math
from collections.abc import Sequence

from duly_risk.curves import WEEK, Floats, pay_offset, unpaid
from duly_risk.plan import Claim, Plan
from duly_risk.score import ExpectedCash, InvoiceScore

CASH_WEEKS = 13


def invoice_scores(plan: Plan, curves: Floats) -> tuple[InvoiceScore, ...]:
    """One score per open invoice, by invoice id. curves: (n_invoices, 183) survival."""
    return tuple(_invoice_score(claim, plan.as_of_day, curve) for claim, curve in zip(plan.claims, curves, strict=True))


def _invoice_score(claim: Claim, as_of_day: int, curve: Floats) -> InvoiceScore:
    p1, p30, p60, p90 = (unpaid(curve, as_of_day, claim.terms.due_day, k) for k in (1, 30, 60, 90))
    offsets = [pay_offset(curve, share) for share in (0.1, 0.5, 0.9)]
    d10, d50, d90 = (None if offset is None else as_of_day + offset for offset in offsets)
    return InvoiceScore(claim.terms.invoice_id, p1, p30, p60, p90, d10, d50, d90)


def debtor_risk(claims: Sequence[Claim], scores: Sequence[InvoiceScore]) -> tuple[float, tuple[tuple[str, int], ...]]:
    """R = sum(claimable x p_unpaid_30) / sum(claimable), 0 if nothing is claimable; and the amount at risk by currency.

    Currencies are never added: a debtor with several has the largest of their risks.
    """
    risk = 0.0
    at_risk: list[tuple[str, int]] = []
    for currency in sorted({claim.terms.currency for claim in claims}):
        pairs = [
            (claim.claimable_minor, score.p_unpaid_30)
            for claim, score in zip(claims, scores, strict=True)
            if claim.terms.currency == currency
        ]
        claimable = sum(minor for minor, _ in pairs)
        expected_unpaid = math.fsum(minor * p for minor, p in pairs)
        at_risk.append((currency, sum(_half_up(minor * p) for minor, p in pairs)))
        if claimable > 0:
            risk = max(risk, min(1.0, expected_unpaid / claimable))
    return risk, tuple(at_risk)


def cash_by_week(plan: Plan, curves: Floats) -> tuple[ExpectedCash, ...]:
    """Expected cash of the open book for 13 weeks, week w from t0 + 1 + 7 (w - 1), by week and currency.

    Each invoice's cumulated cash is rounded to minor units, so weeks + what is left = claimable, exactly.
    """
    totals: dict[tuple[int, str], int] = {}
    for claim, curve in zip(plan.claims, curves, strict=True):
        before = 0
        for week in range(CASH_WEEKS):
            paid = _half_up(claim.claimable_minor * (1.0 - float(curve[(week + 1) * WEEK])))
            key = (plan.as_of_day + 1 + week * WEEK, claim.terms.currency)
            totals[key] = totals.get(key, 0) + paid - before
            before = paid
    return tuple(ExpectedCash(day, currency, totals[day, currency]) for day, currency in sorted(totals))


def _half_up(amount: float) -> int:
    """An expected amount in minor units, half up. Expectations are the one place where money comes from a float."""
    return math.floor(amount + 0.5)

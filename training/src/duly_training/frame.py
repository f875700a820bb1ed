"""The constants that features are measured against, from what was known before a day."""

from __future__ import annotations

from statistics import median

import numpy as np
from duly_risk.archiving import DAYS_TO_PAY_MAX, DELAY_MAX, DELAY_MIN
from duly_risk.book import LATE_DAYS
from duly_risk.model import FeatureFrame
from duly_risk.segments import YEAR_DAYS

from duly_training.closed_days import closed_rules
from duly_training.timeline import NEVER, Outcomes, Timeline

TIER_SHARES = (0.8, 0.95)


def known_frame(timeline: Timeline, outcomes: Outcomes) -> FeatureFrame:
    """Median invoice by currency, the means towards which a debtor's own are shrunk, and the days on which nobody pays.

    outcomes: as known before the day that the frame may know. A ledger without a settled invoice gives no means.
    """
    totals: dict[str, list[int]] = {}
    for currency, known, total in zip(
        timeline.currency, outcomes.known.tolist(), outcomes.total_minor.tolist(), strict=True
    ):
        if known:
            totals.setdefault(currency, []).append(total)
    paid = outcomes.paid < NEVER
    medians = {c: max(1.0, float(median(values))) for c, values in sorted(totals.items())}
    cuts = tier_cuts(timeline, outcomes)
    if not paid.any():
        return FeatureFrame(amount_median_minor=medians, tier_cuts_minor=cuts)
    delay = np.clip((outcomes.paid - outcomes.due)[paid], DELAY_MIN, DELAY_MAX)
    to_pay = np.clip((outcomes.paid - outcomes.issue)[paid], 0, DAYS_TO_PAY_MAX)
    return FeatureFrame(
        amount_median_minor=medians,
        late_rate=float((delay >= LATE_DAYS).mean()),
        any_late_rate=float((delay > 0).mean()),
        delay_mean=float(delay.mean()),
        days_to_pay_mean=float(to_pay.mean()),
        tier_cuts_minor=cuts,
        closed_rules=closed_rules(outcomes.paid),
    )


def tier_cuts(timeline: Timeline, outcomes: Outcomes) -> dict[str, tuple[float, float]]:
    """By currency, the yearly billing of the smallest of the largest debtors that make 80 % and 95 % of all."""
    known = outcomes.known
    if not known.any():
        return {}
    last, first = int(outcomes.issue[known].max()), np.full(len(timeline.debtor_ids), NEVER)
    np.minimum.at(first, timeline.debtor[known], outcomes.issue[known])
    years = np.maximum(1.0, (last - first) / YEAR_DAYS)
    currencies = np.array(timeline.currency)
    cuts = {}
    for currency in sorted(set(currencies[known].tolist())):
        mine = known & (currencies == currency)
        billed = np.bincount(timeline.debtor[mine], outcomes.total_minor[mine], len(years)) / years
        largest = np.sort(billed[billed > 0])[::-1]
        if len(largest):
            reached = np.cumsum(largest) / largest.sum()
            a, b = (float(largest[np.argmax(reached >= share - 1e-9)]) for share in TIER_SHARES)
            cuts[currency] = a, b
    return cuts

"""Segments: band x value tier x behaviour, from a debtor's book."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from duly_risk.book import Book
from duly_risk.features import SHRINK_WEIGHT
from duly_risk.measures import COLUMN, Measures
from duly_risk.model import FeatureFrame
from duly_risk.score import Band, Behaviour, Segment, Tier

RULE_VERSION = "segments-1"
NEW_BELOW = 3
WORSE_DAYS = 10
OVERDUE_DAYS = 60
LATE_PAYER_RATE, IRREGULAR_RATE = 0.3, 0.05
YEAR_DAYS = 365


def segment_of(book: Book, as_of_day: int, band: Band, frame: FeatureFrame) -> Segment:
    """The segment of a debtor in that band."""
    return Segment(band, tier_of(book, as_of_day, frame), behaviour_of(book, as_of_day, frame))


def tier_of(book: Book, as_of_day: int, frame: FeatureFrame) -> Tier:
    """By billing of a year against the frame's cut points; with several currencies the best. NONE without cut points.

    A year's billing is all billing over the years since the first invoice, at least one: a debtor's state keeps sums
    and no dates of what closed long ago.
    """
    years = max(1.0, (as_of_day - book.first_issue_day) / YEAR_DAYS)
    tiers = [
        Tier.A if minor / years >= cuts[0] else Tier.B if minor / years >= cuts[1] else Tier.C
        for currency, (minor, _) in book.billed.items()
        if (cuts := frame.tier_cuts_minor.get(currency)) is not None
    ]
    return min(tiers, default=Tier.NONE)


def behaviour_of(book: Book, as_of_day: int, frame: FeatureFrame) -> Behaviour:
    """The first that fits. The late rate is pulled towards the tenant's, as the feature `h_late_rate` is."""
    history = book.history
    n = history.settled
    if n < NEW_BELOW:
        return Behaviour.NEW
    overdue = max((as_of_day - invoice.terms.due_day for invoice in book.open), default=0)
    if overdue >= OVERDUE_DAYS or history.last3 - history.delay_sum / n >= WORSE_DAYS:
        return Behaviour.DISTRESSED
    prior, weight = (frame.late_rate, SHRINK_WEIGHT) if frame.late_rate is not None else (0.0, 0)
    rate = (history.late + weight * prior) / (n + weight)
    if rate >= LATE_PAYER_RATE:
        return Behaviour.LATE_PAYER
    return Behaviour.IRREGULAR if rate >= IRREGULAR_RATE else Behaviour.PROMPT


def behaviours_of(measures: Measures, frame: FeatureFrame) -> NDArray[np.int64]:
    """`behaviour_of` the debtors of n invoices, each as of its row's day: (n,) numbers of Behaviour."""
    of = {name: measures[:, column] for name, column in COLUMN.items()}
    n = of["n_known"]
    # The row of an invoice counts what else is open; the invoice itself may be what is longest overdue.
    overdue = np.maximum(of["over_max_days"], of["as_of_day"] - of["due_day"])
    worse = (overdue >= OVERDUE_DAYS) | (of["delay_last3"] - of["delay_sum"] / np.maximum(n, 1) >= WORSE_DAYS)
    prior, weight = (frame.late_rate, SHRINK_WEIGHT) if frame.late_rate is not None else (0.0, 0)
    rate = (of["late_n"] + weight * prior) / np.maximum(n + weight, 1)
    rules = {
        Behaviour.NEW: n < NEW_BELOW,
        Behaviour.DISTRESSED: worse,
        Behaviour.LATE_PAYER: rate >= LATE_PAYER_RATE,
        Behaviour.IRREGULAR: rate >= IRREGULAR_RATE,
    }
    return np.select(list(rules.values()), list(rules), default=Behaviour.PROMPT).astype(np.int64)

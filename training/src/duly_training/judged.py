"""The invoices a model is judged on: first snapshots of a window, with what is known of them at the cut."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from duly_risk.book import LATE_DAYS
from duly_risk.features import INDEX, features_of
from duly_risk.measures import COLUMN, Measures, stacked
from duly_risk.model import FeatureFrame
from numpy.typing import NDArray

from duly_training.timeline import FIRST, NEVER, Days, Timeline

RIPE_DAYS = 30
LATE_KS = (1, LATE_DAYS, 30)
# Days from issue are cut to this range where days are compared, as the reference figures are.
DAYS_MAX = 120

Flags = NDArray[np.bool_]


def late_name(measure: str, k: int = LATE_DAYS) -> str:
    """The name under which a measure of "late by k days" stands in metrics and intervals, and so on a run's page."""
    return f"{measure}_late{k}"


@dataclass(frozen=True, slots=True)
class Judged:
    """n invoices, each as of the day it became known.

    invoice: (n,) index into the timeline. debtor: (n,) index. issue, due: as of t0. paid: NEVER = open at the cut.
    amount: (n,) invoice totals in median invoices of their currency, which may be added where money may not.
    """

    cut_day: int
    invoice: NDArray[np.int64]
    debtor: NDArray[np.int64]
    measures: Measures
    as_of: Days
    issue: Days
    due: Days
    paid: Days
    amount: NDArray[np.float64]

    @staticmethod
    def joined(parts: Sequence[Judged]) -> Judged:
        """Several windows of one timeline as one; at least one."""
        columns: dict[str, Any] = {name: np.concatenate([getattr(part, name) for part in parts]) for name in _COLUMNS}
        return replace(parts[0], measures=stacked([part.measures for part in parts]), **columns)

    def __len__(self) -> int:
        return len(self.invoice)

    def where(self, kept: Flags) -> Judged:
        return replace(self, measures=self.measures[kept], **{name: getattr(self, name)[kept] for name in _COLUMNS})

    def ripe(self, k: int = LATE_DAYS) -> Flags:
        """Whether "late by k days" can be judged: due + max(30, k) <= cut, else quick payers would be all there is."""
        return self.due + max(RIPE_DAYS, k) <= self.cut_day

    def late(self, k: int = LATE_DAYS) -> Flags:
        """Paid k or more days after due, or still open."""
        return self.paid - self.due >= k

    @property
    def is_paid(self) -> Flags:
        return self.paid < NEVER

    @property
    def delay(self) -> Days:
        """Days from due to payment; of an open invoice those it has been open at least."""
        return np.where(self.is_paid, self.paid, self.cut_day - 1) - self.due

    @property
    def days(self) -> Days:
        """Days from issue to payment, 0..120; an open invoice counts as 120."""
        return np.asarray(np.clip(self.paid - self.issue, 0, DAYS_MAX))

    @property
    def n_known(self) -> NDArray[np.int64]:
        """Settled invoices of the debtor at t0."""
        return self.measures[:, COLUMN["n_known"]].astype(np.int64)


# (n,) each.
_COLUMNS = tuple(one.name for one in fields(Judged) if one.name not in ("cut_day", "measures"))


def judged_between(timeline: Timeline, from_day: int, until_day: int, cut_day: int, frame: FeatureFrame) -> Judged:
    """First snapshots with from_day <= t0 < until_day, neither voided nor credited by what was known before cut_day."""
    snapshots = timeline.snapshots
    as_of = snapshots.as_of
    outcomes = timeline.outcomes_before(cut_day)
    kept = (snapshots.landmark == FIRST) & (as_of >= from_day) & (as_of < until_day) & (as_of < cut_day - 1)
    kept &= outcomes.known[snapshots.invoice] & (outcomes.censored[snapshots.invoice] == NEVER)
    chosen = snapshots.where(kept)
    amount = np.nan_to_num(
        np.expm1(features_of(chosen.measures, frame)[:, INDEX["amount"]].astype(np.float64)), nan=1.0
    )
    return Judged(
        cut_day=cut_day,
        invoice=chosen.invoice,
        debtor=timeline.debtor[chosen.invoice],
        measures=chosen.measures,
        as_of=chosen.as_of,
        issue=chosen.measures[:, COLUMN["issue_day"]].astype(np.int64),
        due=outcomes.due[chosen.invoice],
        paid=outcomes.paid[chosen.invoice],
        amount=amount,
    )

"""Roll rates: of invoices open so many days after due, the share that stays open to day 90."""

from __future__ import annotations

from dataclasses import dataclass

from duly_training.timeline import NEVER, Timeline

BUCKETS = (1, 30, 60)
ROLLED_DAYS = 90
_WEIGHT = 5.0


@dataclass(frozen=True, slots=True)
class RollRate:
    """forecast: the share among the vintages that were ripe before the window; observed: inside the window."""

    days_after_due: int
    invoices: int
    observed: float
    forecast: float


def roll_rates(timeline: Timeline, from_day: int) -> tuple[RollRate, ...]:
    """Of invoices due so that day 90 after due lies before the cut; vintages before `from_day` forecast those after."""
    outcomes = timeline.outcomes_before(timeline.cut_day)
    usable = outcomes.known & (outcomes.censored == NEVER) & (outcomes.due + ROLLED_DAYS < timeline.cut_day)
    delay = outcomes.paid - outcomes.due
    past = usable & (outcomes.due + ROLLED_DAYS < from_day)
    window = usable & (outcomes.issue >= from_day)
    found = []
    for bucket in BUCKETS:
        reached = delay >= bucket
        rolled = delay >= ROLLED_DAYS
        n_past, n = int((past & reached).sum()), int((window & reached).sum())
        if n_past and n:
            forecast = ((past & rolled).sum() + _WEIGHT * 0.1) / (n_past + _WEIGHT)
            observed = float((window & rolled).sum() / n)
            found.append(RollRate(bucket, n, observed, float(forecast)))
    return tuple(found)

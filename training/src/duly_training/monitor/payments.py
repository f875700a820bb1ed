"""Payments of a day against those expected of it: the one measure of a model's fit that waits for no label.

Every day of every open invoice carries a hazard h, the probability that it is paid that day. Under a model that fits,
the sum over days of (paid - h) is a martingale, so expected payments of a day are the sum of h over what was open,
known the evening before. An invoice keeps the features of its last landmark, as in training; only the day moves.

The alarm is a cumulative sum of the log-likelihood ratio of "payments come at rho times the expected rate" against "at
the expected rate", for survival outcomes (Biswas and Kalbfleisch, Statistics in Medicine 27, 2008, 3382-3406, after
Page, Biometrika 41, 1954): S = max(0, S + (O ln rho - (rho - 1) E) / phi), alarm and restart at S > h. phi is the
dispersion of the days against Poisson (debtors pay together), measured in the fit window.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from duly_risk.asking import hazards_of
from duly_risk.curves import HORIZON_DAYS
from duly_risk.model import FeatureFrame, HazardModel
from numpy.typing import NDArray

from duly_training.timeline import NEVER, Days, Outcomes, Snapshots, Timeline

# A fall to 85 % of the expected payments is to be seen; up to about 92 % counts as noise (where the drift is zero).
RHO = 0.85
# About one false alarm in several years of daily sums; measured on replays, see docs/adr/0013.
LIMIT = 5.0
# Quieter than Poisson is chance: a dispersion below 1 would only make the alarm nervous.
DISPERSION_MIN = 1.0
_DAY_EXPECTED_MIN = 1.0
_CHUNK = 2_000

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Exposure:
    """Open invoice-days: (n,) day, invoice index, snapshot index, hazard and whether it was paid that day."""

    day: Days
    invoice: NDArray[np.int64]
    snapshot: NDArray[np.int64]
    hazard: NDArray[np.float32]
    paid: NDArray[np.bool_]

    def where(self, kept: NDArray[np.bool_]) -> Exposure:
        return Exposure(self.day[kept], self.invoice[kept], self.snapshot[kept], self.hazard[kept], self.paid[kept])


@dataclass(frozen=True, slots=True)
class DailyPayments:
    """Sums per day from first_day on, (n,) each. variance: sum of h (1 - h), that of independent invoices."""

    first_day: int
    observed: Floats
    expected: Floats
    variance: Floats

    @property
    def dispersion(self) -> float:
        """Mean squared residual of a day over its variance; 1 = as independent invoices."""
        usable = self.expected >= _DAY_EXPECTED_MIN
        if not usable.any():
            return DISPERSION_MIN
        residual = (self.observed - self.expected)[usable]
        return max(DISPERSION_MIN, float(np.mean(residual**2 / np.maximum(self.variance[usable], 1e-9))))

    def last(self, days: int) -> tuple[float, float]:
        """(observed, expected) over the last days."""
        return float(self.observed[-days:].sum()), float(self.expected[-days:].sum())


@dataclass(frozen=True, slots=True)
class Cusum:
    """Of one direction. value: now; alarms: days on which it passed the limit and began anew."""

    value: float
    alarms: tuple[int, ...]


def exposure_between(
    timeline: Timeline, model: HazardModel, from_day: int, until_day: int, frame: FeatureFrame | None = None
) -> Exposure:
    """All invoice-days with from_day <= day < until_day, by what was known before until_day. frame: in place of the
    model's own."""
    snapshots, outcomes = timeline.snapshots_before(until_day), timeline.outcomes_before(until_day)
    first, last = _spans(snapshots, outcomes, from_day, until_day)
    parts = list(_parts(snapshots, outcomes, model, frame, first, last))
    if not parts:
        nothing = np.empty(0, dtype=np.int64)
        return Exposure(nothing, nothing, nothing, np.empty(0, dtype=np.float32), np.empty(0, dtype=bool))
    return Exposure(*(np.concatenate([getattr(part, name) for part in parts]) for name in Exposure.__slots__))


def daily_payments(exposure: Exposure, from_day: int, until_day: int) -> DailyPayments:
    """The sums of each day."""
    place, length = exposure.day - from_day, until_day - from_day
    h = exposure.hazard.astype(np.float64)
    observed, expected, variance = (
        np.bincount(place, values, length).astype(np.float64)
        for values in (exposure.paid.astype(np.float64), h, h * (1 - h))
    )
    return DailyPayments(from_day, observed, expected, variance)


def cusum(daily: DailyPayments, dispersion: float, rho: float = RHO, limit: float = LIMIT) -> Cusum:
    """rho < 1: payments fall behind; rho > 1: they come faster than expected."""
    steps = (daily.observed * np.log(rho) - (rho - 1.0) * daily.expected) / max(DISPERSION_MIN, dispersion)
    value, alarms = 0.0, []
    for offset, step in enumerate(steps.tolist()):
        value = max(0.0, value + step)
        if value > limit:
            alarms.append(daily.first_day + offset)
            value = 0.0
    return Cusum(value, tuple(alarms))


def _spans(snapshots: Snapshots, outcomes: Outcomes, from_day: int, until_day: int) -> tuple[Days, Days]:
    """First and last day on which a snapshot speaks for its invoice: until the next one, the payment or the horizon."""
    invoice, as_of = snapshots.invoice, snapshots.as_of
    order = np.lexsort((as_of, invoice))
    followed = invoice[order][1:] == invoice[order][:-1]
    following = np.full(len(invoice), NEVER, dtype=np.int64)
    following[order[:-1][followed]] = as_of[order][1:][followed]
    last = np.minimum.reduce(
        [
            np.full(len(invoice), until_day - 1, dtype=np.int64),
            as_of + HORIZON_DAYS,
            outcomes.paid[invoice],
            outcomes.censored[invoice] - 1,
            following,
        ]
    )
    return np.maximum(as_of + 1, from_day), last


def _parts(
    snapshots: Snapshots, outcomes: Outcomes, model: HazardModel, frame: FeatureFrame | None, first: Days, last: Days
) -> Iterator[Exposure]:
    speaking = np.flatnonzero(last >= first)
    for start in range(0, len(speaking), _CHUNK):
        chosen = speaking[start : start + _CHUNK]
        hazards = hazards_of(model, snapshots.measures[chosen], frame)
        lengths = last[chosen] - first[chosen] + 1
        row = np.repeat(np.arange(len(chosen)), lengths)
        day = np.repeat(first[chosen], lengths) + np.arange(len(row)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        invoice = snapshots.invoice[chosen][row]
        offset = day - snapshots.as_of[chosen][row] - 1
        yield Exposure(day, invoice, chosen[row], hazards[row, offset], day == outcomes.paid[invoice])

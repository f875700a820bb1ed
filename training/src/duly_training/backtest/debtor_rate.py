"""The baseline that serves where a ledger is too thin for a fitted model: debtors go on paying as they did.

The delay of an invoice is drawn from what the tenant's invoices showed, mixed with the same spread around the debtor's
own median delay as its history grows, and weighed so that P(late) and P(late by 5 days) are the debtor's own shrunk
rates. As a hazard model it gives whole curves, so predictions and cash run on the same path as with any model.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from duly_risk.archiving import DELAY_MAX, DELAY_MIN
from duly_risk.book import LATE_DAYS
from duly_risk.curves import HORIZON_DAYS, Floats
from duly_risk.days import weekdays_of
from duly_risk.features import INDEX, SHRINK_WEIGHT, schema_sha256
from duly_risk.model import CurveDays, FeatureFrame, Hazards, ModelInfo, Role, Rows
from numpy.typing import NDArray

NAME, VERSION = "risk-debtor-rate", "debtor-rate-1"
Whole = NDArray[np.int64]
_DELAYS = np.arange(DELAY_MIN, DELAY_MAX + 1)
_ON_TIME, _LATE = _DELAYS <= 0, _DELAYS >= LATE_DAYS
_PARTS = (_ON_TIME, ~_ON_TIME & ~_LATE, _LATE)
# What a tenant without any payment is taken for, and how many payments it takes to outweigh that.
_LATE_RATE, _ANY_LATE_RATE, _DELAY_MEAN, _DAYS_TO_PAY = 0.1, 0.3, 2.0, 30.0
_PRIOR_WEIGHT = 10.0
# Share of an invoice that is never paid, on top of what the delays say.
_NEVER = 0.005
_BEYOND = 0.005
_ROWS_AT_ONCE = 4_096


@dataclass(frozen=True, slots=True)
class DebtorRateModel:
    """around_due, around_median: (181,) shares of delays -60..120, from due and from the debtor's median.

    weekend: how often a weekend day is paid on, next to other days, 0..1.
    """

    info: ModelInfo
    around_due: Floats
    around_median: Floats
    weekend: float

    def curves(self, static: Rows, days: CurveDays) -> Hazards:
        hazards = np.empty((len(static), HORIZON_DAYS), dtype=np.float32)
        for at in range(0, len(static), _ROWS_AT_ONCE):
            part = slice(at, at + _ROWS_AT_ONCE)
            hazards[part] = self._curves(static[part], days.as_of[part], days.due[part])
        return hazards

    def _curves(self, static: Rows, as_of: Whole, due: Whole) -> Floats:
        shares = self._shares(static)
        day = as_of[:, np.newaxis] + np.arange(1, HORIZON_DAYS + 1)
        delay = day - due[:, np.newaxis]
        place = np.clip(delay - DELAY_MIN, 0, len(_DELAYS) - 1)
        inside = (delay >= DELAY_MIN) & (delay <= DELAY_MAX)
        paid = np.where(inside, np.take_along_axis(shares, place, axis=1), 0.0)
        paid = self._off_weekends(paid, weekdays_of(day))
        ahead = np.where(np.arange(len(_DELAYS)) > place[:, -1:], shares, 0.0).sum(axis=1, keepdims=True)
        left = np.cumsum(paid[:, ::-1], axis=1)[:, ::-1] + ahead + _NEVER
        return np.asarray(np.where(delay > DELAY_MAX, _BEYOND, paid / left))

    def _shares(self, static: Rows) -> Floats:
        """Share of each delay: (n, 181), each row adding up to 1."""
        column = {name: static[:, INDEX[name]].astype(np.float64) for name in ("n_known", "h_median")}
        known = np.where(np.isnan(column["h_median"]), 0.0, column["n_known"])
        trust = (known / (known + SHRINK_WEIGHT))[:, np.newaxis]
        median = np.rint(np.nan_to_num(column["h_median"])).astype(np.int64)
        moved = np.clip(_DELAYS - median[:, np.newaxis], DELAY_MIN, DELAY_MAX) - DELAY_MIN
        shares = (1.0 - trust) * self.around_due + trust * self.around_median[moved]
        late = np.clip(static[:, INDEX["h_late_rate"]].astype(np.float64), 0.0, 1.0)
        any_late = np.clip(static[:, INDEX["h_any_late_rate"]].astype(np.float64), late, 1.0)
        for part, rate in zip(_PARTS, (1.0 - any_late, any_late - late, late), strict=True):
            shares[:, part] *= (rate / np.maximum(shares[:, part].sum(axis=1), 1e-12))[:, np.newaxis]
        return np.asarray(shares)

    def _off_weekends(self, paid: Floats, weekday: Whole) -> Floats:
        """Moves what a weekend would have seen to the Monday after it, but for the share that is paid on weekends."""
        result = paid.copy()
        for day, ahead in ((5, 2), (6, 1)):
            leaving = np.where(weekday == day, paid * (1.0 - self.weekend), 0.0)
            result -= leaving
            result[:, ahead:] += leaving[:, :-ahead]
        return result


def debtor_rate_model(frame: FeatureFrame, delay: Whole, around: Whole, weekday: Whole) -> DebtorRateModel:
    """frame: as known; means that it lacks are filled in.

    Of each settled invoice, (n,): delay from due (moved to a business day), the same less its debtor's median, and the
    weekday on which it was paid.
    """
    n = len(delay)
    return DebtorRateModel(
        info=ModelInfo(NAME, VERSION, Role.FALLBACK, schema_sha256(), _filled(frame, n)),
        around_due=_smoothed(delay),
        around_median=_smoothed(around),
        weekend=min(1.0, (int((weekday >= 5).sum()) + 0.1) / (n * 2 / 7 + 1.0)),
    )


def _smoothed(delays: Whole) -> Floats:
    """Shares of the delays -60..120, none of them impossible."""
    counts = np.bincount(np.clip(delays, DELAY_MIN, DELAY_MAX) - DELAY_MIN, minlength=len(_DELAYS))
    prior = np.where(_ON_TIME, 0.5 ** (1 + 0.25 * -_DELAYS), np.where(_LATE, 0.97**_DELAYS / 100, 0.02))
    # Half of what is on time comes on the day itself.
    prior[_DELAYS == 0] = prior[_ON_TIME].sum()
    shares = counts + _PRIOR_WEIGHT * prior / prior.sum()
    return np.asarray(shares / shares.sum())


def _filled(frame: FeatureFrame, settled: int) -> FeatureFrame:
    def filled(mean: float | None, usual: float) -> float:
        return (settled * (mean or 0.0) + _PRIOR_WEIGHT * usual) / (settled + _PRIOR_WEIGHT)

    return replace(
        frame,
        other_median_minor=frame.other_median_minor or 100_000.0,
        late_rate=filled(frame.late_rate, _LATE_RATE),
        any_late_rate=filled(frame.any_late_rate, _ANY_LATE_RATE),
        delay_mean=filled(frame.delay_mean, _DELAY_MEAN),
        days_to_pay_mean=filled(frame.days_to_pay_mean, _DAYS_TO_PAY),
    )

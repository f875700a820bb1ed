"""Which model answers: the fitted hazard model, or the debtor-rate baseline where data are too thin for it.

Two of each are made: one on everything known before the cut, and one on what was known half a year earlier. The
earlier one's forecasts of the time in between have come due: they say which of the two kinds is better, and how wide
the cash band has to be.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import xgboost as xgb
from duly_booster.artefact import frame_of
from duly_booster.model import BoosterHazards
from duly_risk.asking import hazards_of
from duly_risk.closed_days import closed_days
from duly_risk.curves import HORIZON_DAYS, Floats
from duly_risk.days import weekdays_of
from duly_risk.features import schema_sha256
from duly_risk.model import HazardModel, ModelInfo, Role

from duly_training.backtest.debtor_rate import DebtorRateModel, debtor_rate_model
from duly_training.backtest.fit_cache import FitCache, StoredFit
from duly_training.fit import FitSettings
from duly_training.folding import timeline_of
from duly_training.history import History
from duly_training.origin import TooFewSettledInvoices, fit_before, known_before
from duly_training.progress import OnProgress, OnStep
from duly_training.splits import begin_before
from duly_training.timeline import FIRST, NEVER, Days, Timeline

_EARLIER_DAYS_MAX, _EARLIER_SHARE = 182, 0.3
_LIKELIHOOD_MIN = 1e-6
# Where a part of the fit begins and ends, in hundredths of it: for the bar alone.
_FOLDING, _EARLIER_FIT, _FINAL_FIT = (0, 20), (20, 60), (60, 100)
_NORMAL_90 = 1.2816
# From here on a ledger is not thin, and a fitted model that looks worse for a while has met a shock.
_SETTLED_ENOUGH = 3_000


@dataclass(frozen=True, slots=True)
class Served:
    """model: on everything known before the cut. earlier: on what was known before `earlier_day`.

    fallback: "" for the fitted model, else why the baseline serves.
    """

    model: HazardModel
    earlier: HazardModel
    earlier_day: int
    fallback: str


def served(history: History, settings: FitSettings, cache: FitCache, on_progress: OnProgress) -> Served:
    """history: cut off at the day before which everything is known."""
    timeline = timeline_of(history, _part(on_progress, *_FOLDING))
    cut = history.cut_day
    begin = begin_before(timeline, cut)
    earlier_day = cut - max(1, min(_EARLIER_DAYS_MAX, int((cut - begin) * _EARLIER_SHARE)))
    stored = cache.load_or(lambda: _fitted(timeline, earlier_day, settings, on_progress))
    models: tuple[HazardModel, HazardModel]
    if stored.fallback:
        models = baseline_of(timeline, cut), baseline_of(timeline, earlier_day)
    else:
        final, before = stored.boosters()
        models = _booster_model(final), _booster_model(before)
    return Served(models[0], models[1], earlier_day, stored.fallback)


def _fitted(timeline: Timeline, earlier_day: int, settings: FitSettings, on_progress: OnProgress) -> StoredFit:
    try:
        earlier_fit = _part(on_progress, *_EARLIER_FIT)
        earlier = fit_before(timeline, earlier_day, settings, on_step=earlier_fit).booster
        settled = known_before(timeline, timeline.cut_day).outcomes.settled
        rivals = _booster_model(earlier), baseline_of(timeline, earlier_day)
        if settled < _SETTLED_ENOUGH and not _gains(timeline, earlier_day, *rivals):
            return StoredFit(None, None, "no better than the debtors' own rates on the last part of the history")
        final_fit = _part(on_progress, *_FINAL_FIT)
        final = fit_before(timeline, timeline.cut_day, settings, on_step=final_fit).booster
    except TooFewSettledInvoices as error:
        return StoredFit(None, None, str(error))
    return StoredFit(bytes(final.save_raw("ubj")), bytes(earlier.save_raw("ubj")), "")


def _part(on_progress: OnProgress, begin: int, end: int) -> OnStep:
    """Steps of a part of the fit, as hundredths of the whole."""
    on_progress("fit", begin, 100)
    return lambda done, total: on_progress("fit", begin + (end - begin) * done // max(1, total), 100)


def _booster_model(booster: xgb.Booster) -> BoosterHazards:
    """Named by its bytes: equal data, settings and code give an equal name."""
    version = f"hazard-{hashlib.sha256(booster.save_raw('ubj')).hexdigest()[:12]}"
    return BoosterHazards(booster, ModelInfo("risk", version, Role.CHAMPION, schema_sha256(), frame_of(booster)))


def baseline_of(timeline: Timeline, day: int) -> DebtorRateModel:
    """The baseline on what was known before `day`."""
    known = known_before(timeline, day)
    outcomes = known.outcomes
    paid = np.flatnonzero(outcomes.known & (outcomes.paid < NEVER))
    delay = outcomes.paid[paid] - closed_days(known.frame.closed_rules).open_day(outcomes.due[paid])
    around = delay.copy()
    by_debtor = np.argsort(timeline.debtor[paid], kind="stable")
    for rows in np.split(by_debtor, np.flatnonzero(np.diff(timeline.debtor[paid][by_debtor])) + 1):
        around[rows] -= int(np.rint(np.median(delay[rows]))) if len(rows) else 0
    return debtor_rate_model(known.frame, delay, around, weekdays_of(outcomes.paid[paid]))


def _gains(timeline: Timeline, from_day: int, model: HazardModel, baseline: HazardModel) -> bool:
    """Whether the model tells the day of payment better than the baseline, beyond what chance among debtors explains.

    Log likelihood of each invoice that became known from `from_day` on, as known at the cut; the debtors are the
    sample, for one debtor's invoices go together.
    """
    snapshots = timeline.snapshots_before(timeline.cut_day)
    snapshots = snapshots.where((snapshots.landmark == FIRST) & (snapshots.as_of >= from_day))
    if not len(snapshots):
        return False
    outcomes = timeline.outcomes_before(timeline.cut_day)
    paid, censored = outcomes.paid[snapshots.invoice], outcomes.censored[snapshots.invoice]
    seen = np.minimum(np.minimum(paid, censored - 1), timeline.cut_day - 1) - snapshots.as_of
    scores = []
    for one in (model, baseline):
        hazards = hazards_of(one, snapshots.measures).astype(np.float64)
        hazards = np.clip(hazards, _LIKELIHOOD_MIN, 1 - _LIKELIHOOD_MIN)
        scores.append(_log_likelihood(hazards, seen, paid - snapshots.as_of))
    _, debtor = np.unique(timeline.debtor[snapshots.invoice], return_inverse=True)
    gained = np.bincount(debtor, scores[0] - scores[1])
    return bool(gained.sum() > _NORMAL_90 * np.sqrt(np.square(gained - gained.mean()).sum()))


def _log_likelihood(hazards: Floats, seen: Days, paid: Days) -> Floats:
    """Of each invoice: ln h on the day it was paid + ln (1 - h) of all days before it, as far as they were seen."""
    lag = np.arange(1, HORIZON_DAYS + 1)
    event = lag == paid[:, np.newaxis]
    inside = lag <= seen[:, np.newaxis]
    return np.asarray(np.where(inside, np.where(event, np.log(hazards), np.log1p(-hazards)), 0.0).sum(axis=1))

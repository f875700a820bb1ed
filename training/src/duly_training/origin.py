"""Fit on what was known before a day: the one way a model comes about, for a release, a back-test and an evaluation."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
import xgboost as xgb
from duly_booster.model import BoosterHazards
from duly_risk.days import date_of
from duly_risk.features import NAMES
from duly_risk.measures import Measures
from duly_risk.model import FeatureFrame

from duly_training.backends import backend_for
from duly_training.calibration import SLOPE_MIN, Calibration, calibrated, fitted_calibration
from duly_training.dataset import Dataset, RowSource
from duly_training.fit import FitSettings, as_model, count_rounds, labelled, parameters
from duly_training.frame import known_frame
from duly_training.progress import OnStep, silent
from duly_training.splits import begin_before
from duly_training.timeline import Outcomes, Timeline

# Below this nothing can be learnt and judged; the rules score serves.
SETTLED_MIN = 100
# The same for the debtor's rate alone.
RATE_SETTLED_MIN = 30
# From here on too steep a fit is a quarter in which habits broke, not too many trees, and is no lesson: flattened after
# the shock of 2020 a model lost 0.018 of logloss in the recovery (docs/adr/0011). Small ledgers do overfit.
_SETTLED_MANY = 3_000
_VALIDATION_SHARE = 0.15
_VALIDATION_DAYS_MAX = 92


class TooFewSettledInvoices(ValueError):
    """The history holds too few settled invoices for a model: the rules score has to serve."""

    code = "too_few_settled_invoices"


@dataclass(frozen=True, slots=True)
class KnownBefore:
    """Everything that was known before `day`. frame: of that day."""

    day: int
    outcomes: Outcomes
    frame: FeatureFrame


@dataclass(frozen=True, slots=True)
class FittedModel:
    """booster: calibrated, with its frame inside. rows, events: person-days and payments it was fitted on.

    sample, sample_measures: some of its rows, and the measures of some of its snapshots.
    """

    booster: xgb.Booster
    known: KnownBefore
    validation_from: int
    rounds: int
    calibration: Calibration
    rows: int
    events: int
    sample: Dataset
    sample_measures: Measures

    @property
    def model(self) -> BoosterHazards:
        return as_model(self.booster, self.known.frame)


def known_before(timeline: Timeline, day: int) -> KnownBefore:
    """Outcomes and frame from the facts known before `day`, and from nothing else."""
    outcomes = timeline.outcomes_before(day)
    return KnownBefore(day, outcomes, known_frame(timeline, outcomes))


class Kind(StrEnum):
    """RATE: a hazard model that sees the debtor's late rate and the day alone, the baseline in the form of an artefact.

    It serves where the hazard model is refused: same Booster, same schema, nothing else to operate.
    """

    HAZARD = "hazard"
    RATE = "debtor_rate"


_SAMPLE_ROWS = 4_096
_RATE_COLUMNS = ("h_late_rate", "pre_due", "dpd_day", "dow")


def fit_before(
    timeline: Timeline,
    day: int,
    settings: FitSettings,
    kind: Kind = Kind.HAZARD,
    on_step: OnStep = silent,
) -> FittedModel:
    """The model fitted on everything known before `day`, and on nothing else.

    Rounds are counted and the calibration is fitted on the latest days before `day`, by a model of the days before
    them; then the fit is repeated on all days. on_step: rounds of both. Raises TooFewSettledInvoices.
    """
    known = known_before(timeline, day)
    settled_min = SETTLED_MIN if kind is Kind.HAZARD else RATE_SETTLED_MIN
    begin = begin_before(timeline, day)
    validation_from = day - min(_VALIDATION_DAYS_MAX, int((day - begin) * _VALIDATION_SHARE))
    if known.outcomes.settled < settled_min:
        settled = f"{known.outcomes.settled} invoices were settled before {date_of(day)}"
        raise TooFewSettledInvoices(f"{settled}, {settled_min} are needed")
    source = source_before(timeline, known, settings, kind)
    tuning = source.every(-(-source.count() // settings.tuning_rows))
    earlier, later = replace(tuning, until_day=validation_from), replace(tuning, from_day=validation_from)
    if not earlier.events() or not later.events():
        raise TooFewSettledInvoices("no invoice was settled in the days that count the rounds, or none before them")
    later_rows = later.all()
    most = settings.rounds_max
    counted, rounds = count_rounds(earlier.all(), later_rows, settings, lambda done, _: on_step(done, 2 * most))
    slope_min = SLOPE_MIN if known.outcomes.settled < _SETTLED_MANY else 1.0
    calibration = _calibration(counted, later_rows, slope_min)
    events, rows = source.events(), source.count()
    backend = backend_for(rows, settings.rows_in_memory, settings.dask)
    grown = backend.train(
        source, parameters(events, settings), rounds, lambda done, of: on_step(most + done, most + of)
    )
    booster = labelled(calibrated(grown, calibration), known.frame)
    return FittedModel(booster, known, validation_from, rounds, calibration, rows, events, *_sample(source))


def _sample(source: RowSource) -> tuple[Dataset, Measures]:
    some = source.every(-(-len(source.snapshots) // _SAMPLE_ROWS))
    rows = some.all()
    chosen = np.linspace(0, len(rows.y) - 1, min(_SAMPLE_ROWS, len(rows.y))).astype(int)
    return rows.where(chosen), some.snapshots.measures


def source_before(timeline: Timeline, known: KnownBefore, settings: FitSettings, kind: Kind = Kind.HAZARD) -> RowSource:
    """The training rows of what was known before a day."""
    blank = tuple(i for i, name in enumerate(NAMES) if kind is Kind.RATE and name not in _RATE_COLUMNS)
    snapshots = timeline.snapshots_before(known.day)
    source = RowSource(snapshots, known.outcomes, known.frame, known.day, 1.0, settings.seed, blank=blank)
    return replace(source, far_share=settings.far_share) if source.count() > settings.thin_above_rows else source


def _calibration(booster: xgb.Booster, later: Dataset, slope_min: float) -> Calibration:
    margin = np.asarray(booster.inplace_predict(later.x, predict_type="margin"), dtype=np.float64)
    return fitted_calibration(margin, later.y, later.weight, slope_min)

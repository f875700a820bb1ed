"""One look at a model: every measure with what it means, worst first. Nothing here acts; the report says what to do.

A measure of calibration raises a level by what is left of it when chance among debtors is taken off; where there are
too few of them, a measure says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from enum import IntEnum
from typing import Any

import numpy as np
from duly_risk.curves import Floats
from duly_risk.days import date_of
from duly_risk.model import HazardModel
from duly_risk.score import Behaviour
from duly_risk.segments import behaviours_of
from numpy.typing import NDArray

from duly_training.gate import ECE_MAX, SLOPE_MAX, SLOPE_MIN
from duly_training.judged import LATE_KS, judged_between
from duly_training.metrics import Flags, calibration_error
from duly_training.monitor.chance import error_by_chance, slope_and_error
from duly_training.monitor.drift import PSI_ALARM, PSI_WARN, Drift, drifts_of
from duly_training.monitor.payments import LIMIT, RHO, Cusum, cusum, daily_payments, exposure_between
from duly_training.monitor.recorded import ScoreFlow
from duly_training.monitor.reference import NEVER_AN_ALARM, FitReference, quantities
from duly_training.predictions import hazard_predictions
from duly_training.timeline import Timeline

ALL = "ALL"
PAYMENTS, CALIBRATION, DRIFT, AGREEMENT = "payments", "calibration", "drift", "agreement"
DRIFT_DAYS = 28
PAYMENT_DAYS = 28
LABEL_DAYS = 180
# Surely outside the bounds of the promotion gate: a warning. Twice as far: an alarm.
ECE_WARN, ECE_ALARM = ECE_MAX, 2 * ECE_MAX
SLOPE_WARN, SLOPE_ALARM = (SLOPE_MIN, SLOPE_MAX), (SLOPE_MIN**2, SLOPE_MAX**2)
RIPE_MIN = 200
# Late ones, and ones that are not: a slope through a handful says nothing.
EVENTS_MIN = 50
AGREEMENT_WARN = 0.8
MISSING_WARN, MISSING_ALARM = 0.05, 0.2
# An alarm stays on so long after its day: a person has to have seen it.
ALARM_DAYS = 14


class Level(IntEnum):
    OK = 0
    WARN = 1
    ALARM = 2


@dataclass(frozen=True, slots=True)
class SegmentPayments:
    """Payments of the last 28 days against those expected, and both cumulative sums. alarms: dates, ISO."""

    segment: str
    observed: float
    expected: float
    ratio: float | None
    behind: float
    ahead: float
    alarms_behind: tuple[str, ...]
    alarms_ahead: tuple[str, ...]
    level: Level


@dataclass(frozen=True, slots=True)
class RipeCalibration:
    """p_late_<k> where the label can be known by now. ripe_share: of the invoices that became known in the window.

    debtors: whose invoices are ripe. ece_limit_by_chance: an ECE up to it says nothing, see `chance`; not the mean over
    unclustered draws that the gate takes off. slope_error: half of the slope's 95 % interval. None: too few to tell.
    """

    k: int
    ripe: int
    debtors: int
    ripe_share: float
    observed: float | None = None
    expected: float | None = None
    ece: float | None = None
    ece_limit_by_chance: float | None = None
    slope: float | None = None
    slope_error: float | None = None
    level: Level = Level.OK


@dataclass(frozen=True, slots=True)
class QuantityDrift:
    name: str
    psi: float | None
    missing_then: float
    missing_now: float
    level: Level


@dataclass(frozen=True, slots=True)
class MonitorReport:
    """at: the last day looked at, exclusive. since: first day of the payments."""

    tenant: str
    version: str
    at: str
    since: str
    dispersion: float
    payments: tuple[SegmentPayments, ...]
    calibration: tuple[RipeCalibration, ...]
    drift: tuple[QuantityDrift, ...]
    flow: ScoreFlow | None

    @property
    def level(self) -> Level:
        """The worst of all measures."""
        return max(self.levels.values())

    @property
    def levels(self) -> dict[str, Level]:
        """The worst level by topic. A challenger that ranks debtors otherwise is news, in whosever favour."""
        measured = {
            PAYMENTS: [one.level for one in self.payments],
            CALIBRATION: [one.level for one in self.calibration],
            DRIFT: [one.level for one in self.drift],
        }
        worst = {topic: max(levels, default=Level.OK) for topic, levels in measured.items()}
        agreement = self.flow.agreement if self.flow else None
        differs = agreement is not None and agreement < AGREEMENT_WARN
        return {**worst, AGREEMENT: Level.WARN if differs else Level.OK}

    def to_json(self) -> dict[str, Any]:
        """Plain data, levels by name."""
        document: dict[str, Any] = {"level": self.level.name, **_plain(asdict(self))}
        return document


def monitor(
    timeline: Timeline,
    model: HazardModel,
    reference: FitReference,
    tenant: str,
    flow: ScoreFlow | None = None,
    at_day: int | None = None,
) -> MonitorReport:
    """Look at a model by everything known before a day, and nothing later. at_day: default the timeline's cut.

    Payments count from the end of the fit on: what a model was fitted on cannot contradict it.
    """
    at = timeline.cut_day if at_day is None else min(at_day, timeline.cut_day)
    since = reference.fitted_until
    now, debtor = quantities(timeline, model, max(timeline.first_day, at - DRIFT_DAYS), at)
    return MonitorReport(
        tenant=tenant,
        version=model.info.version,
        at=str(date_of(at)),
        since=str(date_of(since)),
        dispersion=reference.dispersion,
        payments=tuple(_payments(timeline, model, reference, since, at)) if since < at else (),
        calibration=tuple(_calibration(timeline, model, max(reference.fitted_until, at - LABEL_DAYS), at)),
        drift=tuple(
            QuantityDrift(name, drift.psi, drift.missing_then, drift.missing_now, drift_level(name, drift))
            for name, drift in drifts_of(reference.bins, now, debtor).items()
        ),
        flow=flow,
    )


def _payments(
    timeline: Timeline, model: HazardModel, reference: FitReference, since: int, at: int
) -> Sequence[SegmentPayments]:
    exposure = exposure_between(timeline, model, since, at)
    segment = behaviours_of(timeline.snapshots_before(at).measures, model.info.frame)[exposure.snapshot]
    parts = [(ALL, exposure)] + [(one.name, exposure.where(segment == one)) for one in Behaviour if one]
    made = []
    for name, part in parts:
        daily = daily_payments(part, since, at)
        observed, expected = daily.last(PAYMENT_DAYS)
        behind, ahead = (cusum(daily, reference.dispersion, rho) for rho in (RHO, 1 / RHO))
        made.append(
            SegmentPayments(
                segment=name,
                observed=observed,
                expected=expected,
                ratio=observed / expected if expected > 0 else None,
                behind=behind.value,
                ahead=ahead.value,
                alarms_behind=_dates(behind),
                alarms_ahead=_dates(ahead),
                level=_payment_level(name, behind, ahead, at),
            )
        )
    return made


def _payment_level(segment: str, behind: Cusum, ahead: Cusum, at: int) -> Level:
    """Payments behind over all debtors are the alarm. Of one segment, or ahead of the model: a warning."""
    fresh = [any(day >= at - ALARM_DAYS for day in one.alarms) for one in (behind, ahead)]
    if fresh[0] and segment == ALL:
        return Level.ALARM
    return Level.WARN if any(fresh) or max(behind.value, ahead.value) > LIMIT / 2 else Level.OK


def _calibration(timeline: Timeline, model: HazardModel, from_day: int, at: int) -> Sequence[RipeCalibration]:
    judged = judged_between(timeline, from_day, at, at, model.info.frame)
    predicted = hazard_predictions(model, judged)
    made = []
    for k in LATE_KS:
        ripe = judged.ripe(k)
        part = judged.where(ripe)
        share = len(part) / len(judged) if len(judged) else 0.0
        made.append(calibration_of(k, part.late(k), predicted.p_late[k][ripe], part.debtor, share))
    return made


def calibration_of(k: int, y: Flags, p: Floats, debtor: NDArray[np.int64], ripe_share: float) -> RipeCalibration:
    """What became of p_late_<k>. y, p, debtor: (n,), of invoices whose outcome is known."""
    counted = RipeCalibration(k, len(y), len(np.unique(debtor)), ripe_share)
    if len(y) < RIPE_MIN:
        return counted
    ece, limit = calibration_error(y, p), error_by_chance(y, p, debtor)
    slope, error = _slope(y, p, debtor)
    level = _outside(max(0.0, ece - limit), (0.0, ECE_WARN), (0.0, ECE_ALARM))
    if slope is not None and error is not None:
        nearest = max(1.0, slope - error) if slope > 1 else min(1.0, slope + error)
        level = max(level, _outside(nearest, SLOPE_WARN, SLOPE_ALARM))
    return replace(
        counted,
        observed=float(y.mean()),
        expected=float(p.mean()),
        ece=ece,
        ece_limit_by_chance=limit,
        slope=slope,
        slope_error=error,
        level=level,
    )


def _slope(y: Flags, p: Floats, debtor: NDArray[np.int64]) -> tuple[float, float] | tuple[None, None]:
    """Slope and half of its interval; None where too few were late, too few were not, or nothing tells a slope."""
    if not EVENTS_MIN <= int(y.sum()) <= len(y) - EVENTS_MIN:
        return None, None
    return slope_and_error(y, p, debtor) or (None, None)


def _outside(value: float, warn: tuple[float, float], alarm: tuple[float, float]) -> Level:
    if warn[0] <= value <= warn[1]:
        return Level.OK
    return Level.WARN if alarm[0] <= value <= alarm[1] else Level.ALARM


def drift_level(name: str, drift: Drift) -> Level:
    """The worse of how a quantity's values and its missing ones have moved."""
    moved = Level.OK
    if drift.psi is not None and name not in NEVER_AN_ALARM:
        moved = _outside(drift.psi, (0.0, PSI_WARN), (0.0, PSI_ALARM))
    return max(moved, _outside(drift.missing_moved, (0.0, MISSING_WARN), (0.0, MISSING_ALARM)))


def _dates(one: Cusum) -> tuple[str, ...]:
    return tuple(str(date_of(day)) for day in one.alarms)


def _plain(value: Any) -> Any:
    if isinstance(value, Level):
        return value.name
    if isinstance(value, Mapping):
        return {" -> ".join(k) if isinstance(k, tuple) else k: _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return value

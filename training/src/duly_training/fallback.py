"""What scores where the gate refuses a model: the one place where that is decided, and the debtor's rate as a model."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from duly_training.fit import FitSettings
from duly_training.intervals import Intervals, intervals_of
from duly_training.metrics import metrics_of
from duly_training.origin import FittedModel, Kind, fit_before
from duly_training.predictions import hazard_predictions
from duly_training.progress import OnStep
from duly_training.registry import KnownVersion
from duly_training.timeline import Timeline
from duly_training.window import Window

RATE_CURVE = "debtor_rate_curve"


class Serves(StrEnum):
    """What should score after a training; nothing does before it is promoted."""

    FITTED = "fitted"
    CHAMPION = "champion"
    RATE = "rate"


def serves(gate_passed: bool, champion: KnownVersion | None) -> Serves:
    """The fitted model if its gate let it pass; else the champion, if it is a model whose own gate did; else the rate.

    A champion that somebody promoted against its gate is nothing to fall back to; one that is itself a debtor's rate
    gives way to the rate of newer data.
    """
    if gate_passed:
        return Serves.FITTED
    return Serves.CHAMPION if champion is not None and champion.gate_passed else Serves.RATE


@dataclass(frozen=True, slots=True)
class RateModel:
    """The debtor's rate as a model. final: fitted on everything.

    window: the judgement with one row more, RATE_CURVE: the rate that knew nothing of the window, `fitted`.
    """

    final: FittedModel
    window: Window


def rate_model(timeline: Timeline, window: Window, settings: FitSettings, on_step: OnStep) -> RateModel:
    """window: of the refused model. on_step: rounds of both fits. Raises TooFewSettledInvoices."""
    final = fit_before(timeline, timeline.cut_day, settings, Kind.RATE, lambda done, of: on_step(done, 2 * of))
    before = fit_before(timeline, window.from_day, settings, Kind.RATE, lambda done, of: on_step(of + done, 2 * of))
    judged = window.judged
    said = hazard_predictions(before.model, judged)
    metrics = {**window.metrics, RATE_CURVE: metrics_of(said, judged)} if len(judged) else window.metrics
    own = intervals_of(judged, {RATE_CURVE: said}, RATE_CURVE, settings.seed)
    both = Intervals({**window.intervals.measured, **own.measured}, window.intervals.gains)
    by_name = {**window.by_name, RATE_CURVE: said}
    return RateModel(final, replace(window, fitted=before, by_name=by_name, metrics=metrics, intervals=both))

"""One honest judgement: a model and its baselines, fitted on what was known before a day, on the invoices after it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from duly_training.baselines import GATE_BASELINES, baseline_predictions
from duly_training.fit import FitSettings
from duly_training.intervals import Intervals, intervals_of
from duly_training.judged import LATE_KS, Judged, judged_between, late_name
from duly_training.metrics import metrics_of
from duly_training.origin import FittedModel, fit_before
from duly_training.predictions import Predictions, hazard_predictions
from duly_training.progress import OnStep, silent
from duly_training.slices import Slice, best_baseline, slices_of
from duly_training.timeline import Timeline

MODEL = "hazard"


@dataclass(frozen=True, slots=True)
class Window:
    """judged: invoices that became known in [from_day, until_day). by_name: predictions of the model and baselines."""

    from_day: int
    until_day: int
    fitted: FittedModel
    judged: Judged
    by_name: Mapping[str, Predictions]
    metrics: Mapping[str, Mapping[str, float]]
    intervals: Intervals
    slices: Sequence[Slice]

    def flat_metrics(self) -> dict[str, float]:
        """`<model>_<measure>` of every model, with `_low` and `_high`, and the gains, as a run shows them."""
        flat = {f"{name}_{measure}": value for name, of in self.metrics.items() for measure, value in of.items()}
        for name, interval in self.intervals.measured.items():
            flat |= {f"{name}_low": interval.low, f"{name}_high": interval.high}
        for name, gain in self.intervals.gains.items():
            key = f"gain_logloss_over_{name}"
            flat |= {key: gain.value, f"{key}_low": gain.low, f"{key}_high": gain.high}
        return flat


def judge(
    timeline: Timeline,
    from_day: int,
    until_day: int,
    settings: FitSettings,
    late_ks: Sequence[int] = LATE_KS,
    on_step: OnStep = silent,
) -> Window:
    """Fits before `from_day` and judges [from_day, until_day) by all that the timeline knows.

    late_ks: what the fitted baselines are asked about. on_step: rounds of the model. Raises TooFewSettledInvoices.
    """
    fitted = fit_before(timeline, from_day, settings, on_step=on_step)
    frame = fitted.known.frame
    labelled = judged_between(timeline, timeline.first_day, from_day, from_day, frame)
    # Features in the window are measured against the frame of before it, as a served model would do.
    judged = judged_between(timeline, from_day, until_day, timeline.cut_day, frame)
    by_name = {MODEL: hazard_predictions(fitted.model, judged)}
    if len(judged):
        by_name |= baseline_predictions(labelled, judged, frame, settings.seed, late_ks)
    metrics = {name: metrics_of(one, judged) for name, one in by_name.items()} if len(judged) else {}
    intervals = intervals_of(judged, by_name, MODEL, settings.seed)
    measured = {name: metrics.get(name, {}).get(late_name("logloss")) for name in GATE_BASELINES}
    losses = {name: value for name, value in measured.items() if value is not None}
    slices = slices_of(judged, by_name[MODEL], by_name[best_baseline(losses)], timeline.sectors) if losses else ()
    return Window(from_day, until_day, fitted, judged, by_name, metrics, intervals, slices)

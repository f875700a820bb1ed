"""Rolling origins: the same judgement at the first of several months, each model fitted on what was known before it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from duly_risk.book import LATE_DAYS
from duly_risk.days import day_of

from duly_training.baselines import GATE_BASELINES
from duly_training.fit import FitSettings
from duly_training.glossary import glossary_lines
from duly_training.intervals import Interval, Intervals, intervals_of
from duly_training.judged import Judged, late_name
from duly_training.metrics import metrics_of
from duly_training.origin import TooFewSettledInvoices
from duly_training.predictions import Predictions
from duly_training.progress import OnProgress
from duly_training.report import DRAWS_MEAN, LATE_MEANS, table, with_interval
from duly_training.splits import begin_before, monthly_origins, next_month
from duly_training.timeline import Timeline
from duly_training.window import MODEL, judge

_SHOWN = ("auc", "logloss", "brier", "ece", "slope", "capture")
_DAYS = ("days_median", "days_due")
_LOSSES = (MODEL, *GATE_BASELINES)
# The tables show no other lateness; each of its baselines would be fitted anew at every origin.
_LATE_KS = (LATE_DAYS,)


@dataclass(frozen=True, slots=True)
class OriginFigures:
    """One origin: what came of the invoices that became known in its month."""

    origin: date
    invoices: int
    metrics: Mapping[str, Mapping[str, float]]
    intervals: Intervals


@dataclass(frozen=True, slots=True)
class Evaluation:
    """pooled, intervals: over the invoices of all origins, each predicted by the model of its own month."""

    origins: Sequence[OriginFigures]
    invoices: int
    pooled: Mapping[str, Mapping[str, float]]
    intervals: Intervals

    @property
    def beats_baselines(self) -> bool:
        """Whether the gain over each baseline is sure over all origins together."""
        gains = self.intervals.gains
        return all(name in gains and gains[name].above_zero for name in GATE_BASELINES)


def evaluate(timeline: Timeline, months: int, settings: FitSettings, on_progress: OnProgress) -> Evaluation:
    """The latest `months` months whose invoices had their time. Raises TooFewSettledInvoices."""
    origins = monthly_origins(begin_before(timeline, timeline.cut_day), timeline.cut_day, months)
    found: list[OriginFigures] = []
    judged: list[Judged] = []
    predicted: list[Mapping[str, Predictions]] = []
    for done, origin in enumerate(origins):
        on_progress(f"origin {origin}", done, len(origins))

        def told(step: int, of: int, done: int = done, origin: date = origin) -> None:
            on_progress(f"origin {origin}, step {step} of {of}", done, len(origins))

        until = day_of(next_month(origin))
        window = judge(timeline, day_of(origin), until, settings, late_ks=_LATE_KS, on_step=told)
        if len(window.judged):
            found.append(OriginFigures(origin, len(window.judged), window.metrics, window.intervals))
            judged.append(window.judged)
            predicted.append(window.by_name)
    on_progress("all origins", len(origins), len(origins))
    if not judged:
        raise TooFewSettledInvoices("no month of the history has invoices that can be judged yet")
    together = Judged.joined(judged)
    by_name = {name: Predictions.joined([one[name] for one in predicted]) for name in predicted[0]}
    metrics = {name: metrics_of(one, together) for name, one in by_name.items()}
    return Evaluation(found, len(together), metrics, intervals_of(together, by_name, MODEL, settings.seed))


def evaluation_report(evaluation: Evaluation) -> str:
    """The evaluation as Markdown: one table per question, a line per origin, the pooled line last."""
    return "\n".join(_report(evaluation)) + "\n"


def _report(evaluation: Evaluation) -> Iterator[str]:
    yield from (
        "# Rolling origins",
        "",
        "Each line: a model of what was known before the origin, on the month from it on.",
    )
    yield from (f"{LATE_MEANS} {DRAWS_MEAN}", "", "## Late invoices", "")
    header = (
        "origin",
        "invoices",
        "late",
        *(f"hazard {name}" for name in _SHOWN),
        "debtor_rate auc",
        "debtor_rate logloss",
    )
    lines = [(str(one.origin), one.invoices, one.metrics) for one in evaluation.origins]
    lines.append(("all", evaluation.invoices, evaluation.pooled))
    yield from table(header, (_late_line(*line) for line in lines))
    yield from ("## Logloss", "")
    measured = [(str(one.origin), one.intervals.measured) for one in evaluation.origins]
    measured.append(("all", evaluation.intervals.measured))
    yield from table(("origin", *_LOSSES), (_loss_line(*line) for line in measured))
    yield from ("## Gain in logloss (the baseline's minus the model's)", "")
    gains = [(str(one.origin), one.intervals.gains) for one in evaluation.origins]
    gains.append(("all", evaluation.intervals.gains))
    yield from table(("origin", *GATE_BASELINES, "classifier"), (_gain_line(*line) for line in gains))
    yield from ("## Days", "")
    header = (
        "origin",
        "mae_days",
        *(f"mae_days of {name}" for name in _DAYS),
        "mae_late_days",
        "coverage_days",
        "C on delay",
        "C on delay of days_mean",
    )
    yield from table(header, (_day_line(name, metrics) for name, _, metrics in lines))
    explained = (*_SHOWN, "mae_days", "mae_late_days", "coverage_days", "C on delay")
    yield from glossary_lines(explained, (*_LOSSES, "classifier", *_DAYS, "days_mean"))


def _late_line(origin: str, invoices: int, metrics: Mapping[str, Mapping[str, float]]) -> tuple[str, ...]:
    model, rate = metrics[MODEL], metrics["debtor_rate"]
    shown = [model.get(late_name(name)) for name in ("rate", *_SHOWN)]
    shown += [rate.get(late_name(name)) for name in ("auc", "logloss")]
    return (origin, f"{invoices:,}", *map(_figure, shown))


def _loss_line(origin: str, measured: Mapping[str, Interval]) -> tuple[str, ...]:
    shown = [measured.get(late_name(f"{name}_logloss")) for name in _LOSSES]
    return (origin, *(with_interval(None if one is None else one.value, one) for one in shown))


def _gain_line(origin: str, gains: Mapping[str, Interval]) -> tuple[str, ...]:
    shown = [gains.get(name) for name in (*GATE_BASELINES, "classifier")]
    return (origin, *(with_interval(None if gain is None else gain.value, gain) for gain in shown))


def _day_line(origin: str, metrics: Mapping[str, Mapping[str, float]]) -> tuple[str, ...]:
    model = metrics[MODEL]
    shown = [model.get("mae_days"), *(metrics[name].get("mae_days") for name in _DAYS), model.get("mae_late_days")]
    shown += [model.get("coverage_days"), model.get("concordance"), metrics["days_mean"].get("concordance")]
    return (origin, *map(_figure, shown))


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"

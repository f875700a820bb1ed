"""What a person reads to decide: one Markdown report with figures, intervals, slices, verdict; files beside it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import xgboost as xgb
from duly_risk.book import LATE_DAYS
from duly_risk.days import date_of
from duly_risk.features import FEATURES, schema_sha256

from duly_training.baselines import GATE_BASELINES
from duly_training.fairness import GroupRow
from duly_training.fallback import RATE_CURVE
from duly_training.gate import Verdict
from duly_training.glossary import glossary_lines
from duly_training.intervals import DRAWS, Interval
from duly_training.judged import late_name
from duly_training.pipeline import Released
from duly_training.plots import weekly_money, write_gain, write_reliability, write_weekly_money
from duly_training.roll_rate import RollRate
from duly_training.slices import Slice
from duly_training.window import MODEL, Window

_LATE = ("auc", "ap", "logloss", "brier", "ece", "ece_by_chance", "slope", "intercept", "capture", "capture_amount")
_DAYS = ("mae_days", "mae_late_days", "p90_error_days", "within_3_days", "coverage_days")
# Of the tables: what late means, and what stands in brackets.
LATE_MEANS = f"Late = {LATE_DAYS} or more days."
DRAWS_MEAN = f"In brackets 95 % of {DRAWS:,} draws of debtors."

LIMITS = (
    "It knows only this ledger: another tenant, currency or kind of debtor needs its own fit.",
    "A sudden change of everybody's habits is in no feature; the intervals speak of debtors, not of such a change.",
    "Really late invoices are missed by about two weeks (see their error): it ranks them, it does not date them.",
    "No feature is a protected attribute or a stand-in for one; the allow-list with owners and reasons is schema.json.",
    "It ranks and times reminders. It must not decide alone on credit, fees or legal steps against a person.",
)
_RATE_LIMITS = ("A debtor without history is taken for the average one; amount, terms and season change nothing.",)


def write_report(
    folder: Path,
    released: Released,
    facts: Mapping[str, str],
    roll_rates: Sequence[RollRate] = (),
    groups: Sequence[GroupRow] = (),
) -> None:
    """report.md, model_card.md, gate.json, slices.json and the plots, of the fitted model."""
    window = released.window
    gain = gain_shares(released.final.booster)
    _write_json(folder / "gate.json", released.verdict.to_json())
    _write_json(folder / "gain.json", gain)
    _write_json(
        folder / "slices.json", [{name: getattr(one, name) for name in Slice.__slots__} for one in window.slices]
    )
    (folder / "report.md").write_text("\n".join(_report(released, facts, gain, roll_rates, groups)) + "\n")
    (folder / "model_card.md").write_text("\n".join(_card(released, facts)) + "\n")
    write_gain(folder / "gain.png", gain)
    _write_pictures(folder, window, MODEL)


def write_fallback_report(
    folder: Path, verdict: Verdict, window: Window, facts: Mapping[str, str], instead_of: str
) -> None:
    """The same page for the debtor's rate. window: of the rate. instead_of: the version that the gate refused."""
    _write_json(folder / "gate.json", verdict.to_json())
    (folder / "report.md").write_text("\n".join(_fallback_report(verdict, window, facts, instead_of)) + "\n")
    (folder / "model_card.md").write_text("\n".join(_fallback_card(verdict, window, facts, instead_of)) + "\n")
    _write_pictures(folder, window, RATE_CURVE)


def _write_pictures(folder: Path, window: Window, model: str) -> None:
    if len(window.judged):
        shown = {name: window.by_name[name] for name in (*GATE_BASELINES, model)}
        write_reliability(folder / "reliability.png", window.judged, shown)
        write_weekly_money(folder / "forecast.png", weekly_money(window.fitted.model, window.judged))


def gain_shares(booster: xgb.Booster) -> dict[str, float]:
    """Share of the total gain by feature name, largest first; unused features have 0."""
    gains: dict[str, Any] = dict(booster.get_score(importance_type="total_gain"))
    total = sum(float(value) for value in gains.values()) or 1.0
    shares = {feature.name: float(gains.get(feature.name, 0.0)) / total for feature in FEATURES}
    return dict(sorted(shares.items(), key=lambda item: (-item[1], item[0])))


def _report(
    released: Released,
    facts: Mapping[str, str],
    gain: Mapping[str, float],
    roll_rates: Sequence[RollRate],
    groups: Sequence[GroupRow],
) -> Iterator[str]:
    window = released.window
    yield "# Risk model: daily payment hazard"
    yield ""
    yield from verdict_lines(released.verdict)
    yield from (f"- **{name}**: {value}" for name, value in facts.items())
    yield ""
    yield from window_lines(window)
    yield from _slice_lines(window.slices)
    if roll_rates:
        yield from ("## Roll rates: of invoices open that many days after due, the share that reached 90", "")
        yield from table(
            ("days after due", "invoices", "observed", "forecast"), (_roll_cells(one) for one in roll_rates)
        )
    if groups:
        yield from ("## By group, apart from training", "")
        header = ("group", "n", "AUC", "ECE", "in the top tenth", "to the largest", "AUC of the features for it")
        yield from table(header, (one.cells() for one in groups))
    yield from ("## What it looks at", "", "![gain](gain.png)", "")
    yield from table(
        ("feature", "share of the gain"), ((name, f"{share:.3f}") for name, share in list(gain.items())[:15])
    )
    yield from _closing_lines(window)


def _fallback_report(verdict: Verdict, window: Window, facts: Mapping[str, str], instead_of: str) -> Iterator[str]:
    yield from _fallback_card(verdict, window, facts, instead_of)
    yield ""
    yield from (f"# The verdict on version {instead_of}", "")
    yield from verdict_lines(verdict)
    yield from _slice_lines(window.slices)
    yield from _closing_lines(window)


def _fallback_card(verdict: Verdict, window: Window, facts: Mapping[str, str], instead_of: str) -> Iterator[str]:
    yield f"# The debtor's rate, in place of version {instead_of}"
    yield ""
    yield f"The gate refused version {instead_of}: {verdict.short_reason}."
    yield ""
    yield "This version says what the debtor's own share of late invoices, the days to or past due and the weekday"
    yield "tell, as daily curves like any model's. It needs no gate, as it is what a model is measured against, and may"
    yield f"be promoted as it is. Row {RATE_CURVE} of the tables is this version, fitted on what was known before the"
    yield "judged window."
    yield ""
    yield from (f"- **{name}**: {value}" for name, value in facts.items())
    yield ""
    yield from window_lines(window)
    yield from ("## Limits", "", *(f"- {limit}" for limit in (*LIMITS, *_RATE_LIMITS)))


def _closing_lines(window: Window) -> Iterator[str]:
    if len(window.judged):
        yield from ("## Pictures", "", "![reliability](reliability.png)", "", "![forecast](forecast.png)", "")
    yield from glossary_lines((*_LATE, "gain in logloss", *_DAYS, "C on delay"), window.metrics)
    yield from ("## Limits", "", *(f"- {limit}" for limit in LIMITS))


def verdict_lines(verdict: Verdict) -> Iterator[str]:
    """The verdict as Markdown."""
    yield "## Verdict: promote" if verdict.promote else "## Verdict: REFUSED"
    yield ""
    rows = ((one.name, one.value, one.limit, "yes" if one.passed else "**NO**") for one in verdict.lines)
    yield from table(("line", "measured", "must be", "held"), rows)


def window_lines(window: Window) -> Iterator[str]:
    """One judged window as Markdown: all models, late by 5 days and days."""
    ripe = int(window.judged.ripe().sum())
    yield f"## Judged on {ripe:,} invoices that became known from {date_of(window.from_day)} on"
    yield ""
    yield f"{LATE_MEANS} {DRAWS_MEAN} Gain: logloss less than the baseline."
    yield "What each column means stands at the end of report.md."
    yield ""
    header = ("model", *_LATE, "gain in logloss")
    late = late_name("auc")
    yield from table(header, (_late_cells(window, name) for name, of in window.metrics.items() if late in of))
    yield from table(
        ("model", *_DAYS, "C on delay"),
        (_day_cells(window, name) for name, of in window.metrics.items() if "mae_days" in of),
    )


def _late_cells(window: Window, name: str) -> tuple[str, ...]:
    of, measured = window.metrics[name], window.intervals.measured
    cells = [with_interval(of.get(late_name(m)), measured.get(late_name(f"{name}_{m}"))) for m in _LATE]
    gain = window.intervals.gains.get(name)
    return (name, *cells, with_interval(None if gain is None else gain.value, gain))


def _day_cells(window: Window, name: str) -> tuple[str, ...]:
    of = window.metrics[name]
    cells = [with_interval(of.get(m), window.intervals.measured.get(f"{name}_{m}")) for m in (*_DAYS, "concordance")]
    return (name, *cells)


def _slice_lines(slices: Sequence[Slice]) -> Iterator[str]:
    yield from ("## Slices", "")
    header = ("slice", "invoices", "late", "AUC", "ECE", "logloss", "best baseline", "worse by", "counts for the gate")
    yield from table(header, (_slice_cells(one) for one in slices))


def _slice_cells(one: Slice) -> tuple[str, ...]:
    figures = (f"{value:.4f}" for value in (one.auc, one.ece, one.logloss, one.baseline_logloss))
    counts = "yes" if one.is_judged else "no, too small"
    return (one.name, f"{one.invoices:,}", str(one.late), *figures, f"{one.worse_by:+.1%}", counts)


def _roll_cells(one: RollRate) -> tuple[str, ...]:
    return (str(one.days_after_due), f"{one.invoices:,}", f"{one.observed:.3f}", f"{one.forecast:.3f}")


def _card(released: Released, facts: Mapping[str, str]) -> Iterator[str]:
    yield "# Model card: daily payment hazard"
    yield ""
    yield "P(an open invoice is paid on day d | it was open before d), for invoices of one tenant. What is shown of an"
    yield "invoice (probability of being late, expected days, quantiles, expected cash) is arithmetic on it."
    yield ""
    yield from (f"- **{name}**: {value}" for name, value in facts.items())
    yield ""
    yield from verdict_lines(released.verdict)
    yield from window_lines(released.window)
    yield f"Feature schema sha256: {schema_sha256()}"
    yield from ("", "## Limits", "", *(f"- {limit}" for limit in LIMITS))


def with_interval(value: float | None, interval: Interval | None) -> str:
    """A figure with its interval in brackets; "-" for none."""
    if value is None:
        return "-"
    return f"{value:.4f}" if interval is None else f"{value:.4f} ({interval.low:.4f} .. {interval.high:.4f})"


def table(header: Sequence[str], rows: Iterator[Sequence[str]]) -> Iterator[str]:
    """Lines of a Markdown table."""
    yield "| " + " | ".join(header) + " |"
    yield "|---" * len(header) + "|"
    for row in rows:
        yield "| " + " | ".join(row) + " |"
    yield ""


def _write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=1) + "\n")

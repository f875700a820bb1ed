"""From a history to a fitted and judged model; no file, no registry.

Three fits: trees are counted by early stopping on the days before the test window, a model of that size is fitted on
everything known before the test window and judged inside it, and the released model is the same fit on everything.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import xgboost as xgb
from duly_risk.facts import InvoiceStated
from duly_risk.model import FeatureFrame

from duly_training.dataset import Dataset, rows_of
from duly_training.evaluate import (
    Judged,
    Predictions,
    constant_predictions,
    hazard_predictions,
    judged_of,
    logistic_predictions,
    metrics_of,
    rate_predictions,
)
from duly_training.fit import FitSettings, as_model, count_trees, fit
from duly_training.frame import frame_of
from duly_training.history import History
from duly_training.snapshots import Outcome, Snapshot, known_at, outcomes_of, snapshots_of
from duly_training.splits import Splits, splits_of

# Below this nothing can be learnt and judged; the rules score serves.
SETTLED_MIN = 100

OnProgress = Callable[[str, int, int], None]
STAGES = ("read the ledger", "count trees", "fit and judge", "fit on everything", "register")


class TooFewSettledInvoices(ValueError):
    """The history holds too few settled invoices for a model: the rules score has to serve."""

    code = "too_few_settled_invoices"


@dataclass(frozen=True, slots=True)
class Known:
    """Everything that was known before a day, ready to fit on."""

    frame: FeatureFrame
    snapshots: Sequence[Snapshot]
    outcomes: Mapping[tuple[str, str], Outcome]
    rows: Dataset


@dataclass(frozen=True, slots=True)
class Fitted:
    """booster: fitted on everything, with its frame inside. predictions: of the judged invoices, by model name."""

    booster: xgb.Booster
    known: Known
    splits: Splits
    trees: int
    judged: Sequence[Judged]
    predictions: Mapping[str, Predictions]
    metrics: Mapping[str, float]


def known_before(history: History, snapshots: Sequence[Snapshot], day: int, settings: FitSettings, seed: int) -> Known:
    """Frame, snapshots, outcomes and rows from the facts known before `day`, and from nothing else.

    snapshots: of the whole history; each holds what was known at its t0, whatever came later.
    """
    past = history.before(day)
    outcomes = outcomes_of(past)
    frame = frame_of(past, outcomes)
    known = known_at(snapshots, past.cut_day)
    return Known(frame, known, outcomes, rows_of(known, outcomes, frame, past.cut_day, settings.rows_max, seed))


def fit_and_judge(history: History, settings: FitSettings, seed: int, on_progress: OnProgress) -> Fitted:
    """See the module. Raises TooFewSettledInvoices."""
    splits = splits_of(_first_day(history), history.cut_day)
    on_progress(STAGES[1], 1, len(STAGES))
    snapshots = list(snapshots_of(history))
    before_test = known_before(history, snapshots, splits.test_from, settings, seed)
    trees = _count_trees(before_test, splits, settings, seed)
    on_progress(STAGES[2], 2, len(STAGES))
    judged, predictions, metrics = _judge(history, snapshots, before_test, splits, trees, settings, seed)
    on_progress(STAGES[3], 3, len(STAGES))
    everything = known_before(history, snapshots, splits.cut_day, settings, seed)
    booster = fit(everything.rows, settings, seed, trees, everything.frame)
    return Fitted(booster, everything, splits, trees, judged, predictions, metrics)


def _count_trees(known: Known, splits: Splits, settings: FitSettings, seed: int) -> int:
    earlier = known.rows.where(known.rows.day < splits.validation_from)
    later = known.rows.where(known.rows.day >= splits.validation_from)
    settled = sum(outcome.paid_day is not None for outcome in known.outcomes.values())
    if settled < SETTLED_MIN or not earlier.events or not later.events:
        raise TooFewSettledInvoices(f"{settled} invoices were settled before the test window, {SETTLED_MIN} are needed")
    return count_trees(earlier, later, settings, seed)


def _judge(
    history: History,
    snapshots: Sequence[Snapshot],
    known: Known,
    splits: Splits,
    trees: int,
    settings: FitSettings,
    seed: int,
) -> tuple[list[Judged], dict[str, Predictions], dict[str, float]]:
    """The model and its baselines, fitted on what was known before the test window, on the invoices that came in it."""
    model = as_model(fit(known.rows, settings, seed, trees, known.frame), known.frame)
    labelled = judged_of(known.snapshots, known.outcomes, splits.first_day, splits.test_from, splits.test_from)
    # Features in the window are measured against the frame of before it, as a served model would do.
    judged = judged_of(snapshots, outcomes_of(history), splits.test_from, splits.cut_day, splits.cut_day)
    if not judged:
        return [], {}, {}
    predictions = {
        "constant": constant_predictions(labelled, judged),
        "debtor_rate": rate_predictions(judged, known.frame),
        "logistic": logistic_predictions(labelled, judged, known.frame, seed),
        "hazard": hazard_predictions(model, judged),
    }
    metrics: dict[str, float] = {}
    for name, predicted in predictions.items():
        metrics |= metrics_of(name, predicted, judged)
    metrics["test_invoices"] = float(len(judged))
    return judged, predictions, metrics


def _first_day(history: History) -> int:
    issued = [
        event.business_day
        for events in history.by_debtor.values()
        for event in events
        if isinstance(event.body, InvoiceStated)
    ]
    if not issued:
        raise TooFewSettledInvoices("the history holds no invoice")
    return min(issued)

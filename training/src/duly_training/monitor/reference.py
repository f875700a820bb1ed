"""What a model was fitted on, as far as monitoring compares with it: `reference.json` of the run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace

import numpy as np
from duly_risk.features import INDEX, STATIC, features_of
from duly_risk.model import HazardModel
from numpy.typing import NDArray

from duly_training.closed_days import closed_rules
from duly_training.judged import LATE_KS, judged_between
from duly_training.monitor.drift import FitBins
from duly_training.monitor.payments import daily_payments, exposure_between
from duly_training.predictions import hazard_predictions
from duly_training.timeline import Timeline

REFERENCE_FILE = "reference.json"
WINDOW_DAYS = 182
# Shown, never an alarm: the first rise with every day that a ledger is kept, whoever the debtors are; the others follow
# the calendar, and four weeks of it are never like half a year.
NEVER_AN_ALARM = frozenset({"n_prior", "n_known", "tenure", "h_max", "due_dow", "due_dom", "due_month_end"})


class ReferenceUnreadable(ValueError):
    """A `reference.json` that is none."""

    code = "reference_unreadable"


@dataclass(frozen=True, slots=True)
class FitReference:
    """bins: by feature, and `p_late_<k>` for the scores. fitted_until: exclusive, days since 1970-01-01.

    dispersion: of daily payments in the window, see `payments`.
    """

    fitted_until: int
    dispersion: float
    bins: Mapping[str, FitBins]

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=1, sort_keys=True)

    @staticmethod
    def from_json(text: str) -> FitReference:
        """Raises ReferenceUnreadable."""
        try:
            document = json.loads(text)
            bins = {
                name: FitBins(tuple(row["edges"]), tuple(row["shares"]), float(row["missing"]))
                for name, row in document["bins"].items()
            }
            return FitReference(int(document["fitted_until"]), float(document["dispersion"]), bins)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ReferenceUnreadable(f"{REFERENCE_FILE}: {type(error).__name__}: {error}") from error


def reference_of(timeline: Timeline, model: HazardModel, fitted_until: int) -> FitReference:
    """The last 182 days (or all) of what a model was fitted on, seen with its own eyes. Nothing later is looked at."""
    from_day = max(timeline.first_day, fitted_until - WINDOW_DAYS)
    measured, _ = quantities(timeline, model, from_day, fitted_until)
    bins = {name: FitBins.of(values) for name, values in measured.items()}
    # Closed days as known before the window: those that the window itself taught would look quieter than the days to
    # come, in which a young ledger meets holidays for the first time.
    before = replace(model.info.frame, closed_rules=closed_rules(timeline.outcomes_before(from_day).paid))
    daily = daily_payments(exposure_between(timeline, model, from_day, fitted_until, before), from_day, fitted_until)
    return FitReference(fitted_until, daily.dispersion, bins)


def quantities(
    timeline: Timeline, model: HazardModel, from_day: int, until_day: int
) -> tuple[dict[str, NDArray[np.float64]], NDArray[np.int64]]:
    """Features and scores of the invoices that became known in a window, each as of that day; and whose they are."""
    judged = judged_between(timeline, from_day, until_day, until_day, model.info.frame)
    static = features_of(judged.measures, model.info.frame).astype(np.float64)
    predicted = hazard_predictions(model, judged)
    features = {feature.name: static[:, INDEX[feature.name]] for feature in STATIC}
    return features | {f"p_late_{k}": predicted.p_late[k] for k in LATE_KS}, judged.debtor

"""From a history to a model that was judged before it is released; no file, no registry.

The model of everything known is released only on the judgement of a model that was fitted, by the same steps, on what
was known before a test window: the last 30 % of the history, at most 182 days.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from duly_booster.model import predict
from duly_risk.book import LATE_DAYS
from duly_risk.features import FEATURES, INDEX
from duly_risk.model import HazardModel

from duly_training.gate import AgainstChampion, Verdict
from duly_training.metrics import log_losses
from duly_training.origin import FittedModel, fit_before
from duly_training.predictions import hazard_predictions
from duly_training.progress import OnProgress, OnStep
from duly_training.request import TrainingRequest
from duly_training.splits import begin_before, window_from
from duly_training.timeline import Timeline
from duly_training.window import MODEL, Window, judge

STAGES = ("read the ledger", "fold the history", "fit and judge", "fit on everything", "register")
# A champion is compared on no fewer invoices that it had not seen.
CHAMPION_INVOICES_MIN = 200
_CHECKED_ROWS = 500


@dataclass(frozen=True, slots=True)
class Champion:
    """The serving model, and the day before which everything it was fitted on was known."""

    model: HazardModel
    known_until_day: int


@dataclass(frozen=True, slots=True)
class Released:
    """final: fitted on everything. window: the judgement; its own model knew nothing of the window."""

    final: FittedModel
    window: Window
    verdict: Verdict


def release(
    timeline: Timeline, request: TrainingRequest, champion: Champion | str, on_progress: OnProgress
) -> Released:
    """Judge, then fit on everything. champion: to compare with, or a note why not. Raises TooFewSettledInvoices."""
    settings = request.settings
    from_day = window_from(begin_before(timeline, timeline.cut_day), timeline.cut_day)
    window = judge(timeline, from_day, timeline.cut_day, settings, on_step=steps_of(on_progress, 2))
    final = fit_before(timeline, timeline.cut_day, settings, on_step=steps_of(on_progress, 3))
    verdict = request.gate(
        window.metrics.get(MODEL, {}),
        window.intervals.gains,
        window.slices,
        model_checks(final),
        against_champion(window, champion),
    )
    return Released(final, window, verdict)


def steps_of(on_progress: OnProgress, stage: int, words: str = "") -> OnStep:
    """Steps inside one of STAGES, told behind its name or other words."""
    name = words or STAGES[stage]
    on_progress(name, stage, len(STAGES))
    return lambda done, total: on_progress(f"{name}, step {done:,} of {total:,}", stage, len(STAGES))


def against_champion(window: Window, champion: Champion | str) -> AgainstChampion:
    """Both on the invoices of the window that the champion had not seen either."""
    if isinstance(champion, str):
        return AgainstChampion(0, None, None, champion)
    judged = window.judged
    unseen = judged.ripe() & (judged.as_of >= champion.known_until_day)
    part = judged.where(unseen)
    if len(part) < CHAMPION_INVOICES_MIN:
        note = f"the champion has seen all but {len(part)} invoices, {CHAMPION_INVOICES_MIN} are needed to compare"
        return AgainstChampion(len(part), None, None, note)
    theirs = hazard_predictions(champion.model, part).p_late[LATE_DAYS]
    ours = window.by_name[MODEL].p_late[LATE_DAYS][unseen]
    y = part.late()
    return AgainstChampion(len(part), float(log_losses(y, ours).mean()), float(log_losses(y, theirs).mean()))


def model_checks(final: FittedModel) -> dict[str, str]:
    """name -> fault, "" where it held: monotone directions, a row alone and in a batch, hazards within [0, 1]."""
    rows = final.sample.x[:_CHECKED_ROWS]
    before = predict(final.booster, rows)
    rising = []
    for feature in FEATURES:
        if feature.monotone:
            worse = rows.copy()
            worse[:, INDEX[feature.name]] += np.float32(1.0)
            if np.any((predict(final.booster, worse) - before) * feature.monotone < 0):
                rising.append(feature.name)
    alone = np.concatenate([predict(final.booster, row[np.newaxis]) for row in rows[:64]])
    bounded = bool(np.isfinite(before).all() and (before >= 0).all() and (before <= 1).all())
    return {
        "older debt is never safer": f"violated by {', '.join(rising)}" if rising else "",
        "a row alone equals itself in a batch": "" if alone.tobytes() == before[:64].tobytes() else "bytes differ",
        "hazards lie within 0 and 1": "" if bounded else "they do not",
    }

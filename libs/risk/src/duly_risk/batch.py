"""A batch of events through the step, one call per model: what the stream shell, a replay and a test run alike."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from duly_risk.curves import HORIZON_DAYS
from duly_risk.facts import Position, RiskEvent
from duly_risk.measures import stacked
from duly_risk.model import HazardModel, Hazards
from duly_risk.plan import Plan, plan_of
from duly_risk.score import ScoreUpdated
from duly_risk.state import DebtorState, Standing
from duly_risk.step import Folded, conclude, fold, hazards_of

ScoreIdOf = Callable[[bytes, RiskEvent], str]
# (debtor key, business day of the score) -> the model that computes it. Depends on nothing else, see ADR 13.
ModelOf = Callable[[bytes, int], HazardModel]
_NO_CURVES = np.empty((0, HORIZON_DAYS), dtype=np.float32)


@dataclass(frozen=True, slots=True)
class Item:
    """One event for one debtor. A tick becomes one item per debtor of its slice, all at the tick's position."""

    key: bytes
    debtor_id: str
    event: RiskEvent
    position: Position


@dataclass(frozen=True, slots=True)
class BatchResult:
    """states: after the batch, for every key of its items. folded: one per item. scores: (index of the item, score).

    plans: (index of the item, what its score was computed from), in the order of `scores`.
    """

    states: dict[bytes, DebtorState]
    folded: tuple[Folded, ...]
    scores: tuple[tuple[int, ScoreUpdated], ...]
    plans: tuple[tuple[int, Plan], ...]


def apply_batch(
    states: Mapping[bytes, DebtorState], items: Sequence[Item], model_of: ModelOf, score_id_of: ScoreIdOf
) -> BatchResult:
    """Fold all items in order, call each model once, conclude in order. A key absent from `states` starts empty.

    Where a batch ends has no influence: the same items cut differently give the same states and scores, byte for byte.
    """
    after: dict[bytes, DebtorState] = {}
    folded: list[Folded] = []
    plans: list[tuple[int, Plan]] = []
    for index, item in enumerate(items):
        state = after.get(item.key) or states.get(item.key) or DebtorState()
        step = fold(state, item.event, item.position)
        after[item.key] = step.state
        folded.append(step)
        if step.rescore:
            plans.append((index, plan_of(step.state)))
    scores: list[tuple[int, ScoreUpdated]] = []
    standings: dict[bytes, Standing] = {}
    models = [model_of(items[index].key, plan.as_of_day) for index, plan in plans]
    hazards = curves_of([plan for _, plan in plans], models)
    stop = 0
    for (index, plan), model in zip(plans, models, strict=True):
        start, stop = stop, stop + len(plan.claims)
        item, state = items[index], folded[index].state
        if item.key in standings:
            state = replace(state, standing=standings[item.key])
        scored, score = conclude(
            state,
            plan,
            hazards[start:stop],
            model.info,
            score_id=score_id_of(item.key, item.event),
            debtor_id=item.debtor_id,
            on_tick=item.event.is_tick,
        )
        standings[item.key] = scored.standing
        scores.append((index, score))
    for key, standing in standings.items():
        after[key] = replace(after[key], standing=standing)
    return BatchResult(after, tuple(folded), tuple(scores), tuple(plans))


def curves_of(plans: Sequence[Plan], models: Sequence[HazardModel]) -> Hazards:
    """The curves of all claims, plan by plan: (n, 182). models: one per plan; each is called once."""
    places: dict[int, list[int]] = {}
    for place, model in enumerate(models):
        places.setdefault(id(model), []).append(place)
    if len(places) <= 1:
        return hazards_of(models[0], stacked([plan.measures for plan in plans])) if plans else _NO_CURVES
    owner = np.repeat(np.arange(len(plans)), [len(plan.claims) for plan in plans])
    hazards = np.empty((len(owner), HORIZON_DAYS), dtype=np.float32)
    for mine in places.values():
        rows = stacked([plans[place].measures for place in mine])
        hazards[np.isin(owner, mine)] = hazards_of(models[mine[0]], rows)
    return hazards

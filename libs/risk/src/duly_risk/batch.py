"""A batch of events through the step, with one model call: what the stream shell, a replay and a test run alike."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from duly_risk.facts import Position, RiskEvent
from duly_risk.measures import stacked
from duly_risk.model import HazardModel
from duly_risk.plan import Plan, plan_of
from duly_risk.score import ScoreUpdated
from duly_risk.state import DebtorState, Standing, replaced
from duly_risk.step import Folded, conclude, fold, hazards_of, outlooks_of

ScoreIdOf = Callable[[bytes, RiskEvent], str]


@dataclass(frozen=True, slots=True)
class Item:
    """One event for one debtor. A tick becomes one item per debtor of its slice, all at the tick's position."""

    key: bytes
    debtor_id: str
    event: RiskEvent
    position: Position


@dataclass(frozen=True, slots=True)
class BatchResult:
    """states: after the batch, for every key of its items. folded: one per item. scores: (index of the item, score)."""

    states: dict[bytes, DebtorState]
    folded: tuple[Folded, ...]
    scores: tuple[tuple[int, ScoreUpdated], ...]


def apply_batch(
    states: Mapping[bytes, DebtorState], items: Sequence[Item], model: HazardModel, score_id_of: ScoreIdOf
) -> BatchResult:
    """Fold all items in order, predict once, conclude in order. A key absent from `states` starts empty.

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
    hazards = hazards_of(model, stacked([plan.measures for _, plan in plans]))
    outlooks = outlooks_of([plan for _, plan in plans], hazards)
    for (index, plan), outlook in zip(plans, outlooks, strict=True):
        item = items[index]
        standing, score = conclude(
            standings.get(item.key) or folded[index].state.standing,
            plan,
            outlook,
            model.info,
            ledger_version=item.position.offset,
            score_id=score_id_of(item.key, item.event),
            debtor_id=item.debtor_id,
            on_tick=item.event.is_tick,
        )
        standings[item.key] = standing
        scores.append((index, score))
    for key, standing in standings.items():
        after[key] = replaced(after[key], standing=standing)
    return BatchResult(after, tuple(folded), tuple(scores))

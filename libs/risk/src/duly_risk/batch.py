"""A batch of events through the step, one call per model: what the stream shell, a replay and a test run alike."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Generic, NamedTuple, TypeVar

from duly_risk.asking import hazards_of
from duly_risk.facts import Position, RiskEvent
from duly_risk.measures import stacked
from duly_risk.model import HazardModel
from duly_risk.outlook import Outlook, outlooks_of
from duly_risk.plan import Plan, plan_of
from duly_risk.score import ScoreUpdated
from duly_risk.state import DebtorState, Standing
from duly_risk.step import Folded, conclude, fold

ScoreIdOf = Callable[[bytes, RiskEvent], str]
# (debtor key, business day of the score) -> the model that computes it. Depends on nothing else, see ADR 13.
ModelOf = Callable[[bytes, int], HazardModel]
Told = TypeVar("Told")


# One per event and debtor: a named tuple costs a third of a frozen dataclass to make.
class Item(NamedTuple):
    """One event for one debtor. A tick becomes one item per debtor of its slice, all at the tick's position."""

    key: bytes
    debtor_id: str
    event: RiskEvent
    position: Position


class BatchResult(NamedTuple, Generic[Told]):
    """states: after the batch, for every key of its items. folded: one per item.

    told: what `tell` made of each score, by the index of its item, in their order.
    plans: (index of the item, what its score was computed from), in the order of `told`.
    """

    states: dict[bytes, DebtorState]
    folded: tuple[Folded, ...]
    told: dict[int, Told]
    plans: tuple[tuple[int, Plan], ...]


def apply_batch(
    states: Mapping[bytes, DebtorState],
    items: Sequence[Item],
    model_of: ModelOf,
    score_id_of: ScoreIdOf,
    tell: Callable[[int, ScoreUpdated], Told],
) -> BatchResult[Told]:
    """Fold all items in order, call each model once, conclude in order. A key absent from `states` starts empty.

    tell: given (index of the item, its score) as soon as there is one; what it returns is kept in place of the score,
    as hundreds of scores do not stay in a processor's cache. What it raises leaves this function.
    Where a batch ends has no influence: the same items cut differently give the same states and scores, byte for byte.
    """
    after, folded, plans = _folded(states, items)
    told: dict[int, Told] = {}
    standings: dict[bytes, Standing] = {}
    models = [model_of(items[index].key, plan.as_of_day) for index, plan in plans]
    outlooks = outlooks_by([plan for _, plan in plans], models)
    for (index, plan), model, outlook in zip(plans, models, outlooks, strict=True):
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
        told[index] = tell(index, score)
    for key, standing in standings.items():
        after[key] = after[key]._replace(standing=standing)
    return BatchResult(after, tuple(folded), told, tuple(plans))


def _folded(
    states: Mapping[bytes, DebtorState], items: Sequence[Item]
) -> tuple[dict[bytes, DebtorState], list[Folded], list[tuple[int, Plan]]]:
    """The newest states, what became of each item, and by its index the plan of each score that is due."""
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
    return after, folded, plans


def outlooks_by(plans: Sequence[Plan], models: Sequence[HazardModel]) -> Iterator[Outlook]:
    """One outlook per plan, in their order, made as asked for.

    models: one per plan; all are asked at the first outlook, each once, with the rows of all its plans. Raises
    HazardInvalid then.
    """
    asked: dict[int, tuple[HazardModel, list[Plan]]] = {}
    for plan, model in zip(plans, models, strict=True):
        asked.setdefault(id(model), (model, []))[1].append(plan)
    outlooks = {
        key: outlooks_of(mine, hazards_of(model, stacked([plan.measures for plan in mine])))
        for key, (model, mine) in asked.items()
    }
    for model in models:
        yield next(outlooks[id(model)])

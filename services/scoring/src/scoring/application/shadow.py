"""What a challenger would have said: the champion's rows, another model, role SHADOW. It changes no state.

Its band is that of its risk alone: hysteresis lives in the debtor's standing, which is the champion's. A challenger
that fails costs its own scores and nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from duly_contracts.keys import split_key
from duly_risk.batch import Item, outlooks_by
from duly_risk.model import HazardModel
from duly_risk.outlook import Outlook
from duly_risk.plan import Plan
from duly_risk.score import ScoreUpdated
from duly_risk.state import Standing
from duly_risk.step import conclude

from scoring.application.outputs import shadow_id_of
from scoring.application.ports import Models
from scoring.domain.data_faults import DATA_FAULTS


@dataclass(slots=True)
class Shadows:
    """scores: by index of the item. faults: one text per score that could not be given."""

    scores: dict[int, ScoreUpdated] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)


def shadow_scores(items: Sequence[Item], plans: Sequence[tuple[int, Plan]], models: Models) -> Shadows:
    """The challengers' scores of what was scored. One call per challenger; after a fault, one per debtor.

    plans: (index of the item, what its score was computed from).
    """
    shadows = Shadows()
    asked: list[tuple[int, Plan, HazardModel]] = []
    for index, plan in plans:
        challenger = models.shadow(split_key(items[index].key)[0], plan.as_of_day)
        if challenger is not None:
            asked.append((index, plan, challenger))
    if not asked:
        return shadows
    try:
        outlooks = outlooks_by([plan for _, plan, _ in asked], [model for _, _, model in asked])
        for (index, plan, model), outlook in zip(asked, outlooks, strict=True):
            shadows.scores[index] = _shadow_score(items[index], plan, outlook, model)
    except DATA_FAULTS:
        for index, plan, model in asked:
            _alone(shadows, items[index], index, plan, model)
    return shadows


def _shadow_score(item: Item, plan: Plan, outlook: Outlook, challenger: HazardModel) -> ScoreUpdated:
    """One score. outlook: the challenger's for the plan."""
    _, score = conclude(
        Standing(),
        plan,
        outlook,
        challenger.info,
        ledger_version=item.position.offset,
        score_id=shadow_id_of(item.key, item.event, challenger.info),
        debtor_id=item.debtor_id,
        on_tick=item.event.is_tick,
    )
    return score._replace(reasons=())


def _alone(shadows: Shadows, item: Item, index: int, plan: Plan, model: HazardModel) -> None:
    try:
        shadows.scores[index] = _shadow_score(item, plan, next(outlooks_by([plan], [model])), model)
    except DATA_FAULTS as error:
        shadows.faults.append(f"version {model.info.version}: {type(error).__name__}: {error}")

"""What the states and outputs of a log must be: `duly_risk` record by record, without batches, index, cache or store.

The oracle of the tests and of the demo's checker: it shares with the worker duly_risk, decoding and outputs, and has
rules of its own for whom a tick visits and what a challenger says.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from duly_contracts.keys import partition_of, slice_of, split_key
from duly_risk.batch import outlooks_by
from duly_risk.codec import encode_state
from duly_risk.degraded import waits_for
from duly_risk.facts import RiskEvent, Tick
from duly_risk.model import HazardModel
from duly_risk.plan import Plan, plan_of
from duly_risk.score import ScoreUpdated
from duly_risk.state import DebtorState, Standing, StateUnreadable
from duly_risk.step import conclude, degrade, fold, has_open_invoices
from duly_runtime.log import Record

from scoring.application.decode_record import Poison, Usable, decode_record, poison
from scoring.application.outputs import (
    Output,
    dead_letter_output,
    degraded_output,
    restored_output,
    score_id_of,
    score_output,
    score_outputs,
    shadow_id_of,
)
from scoring.application.ports import Models


@dataclass(slots=True)
class Folded:
    """states: by debtor key. outputs: each once, in the order of their causes."""

    states: dict[bytes, DebtorState] = field(default_factory=dict)
    outputs: list[Output] = field(default_factory=list)

    def blobs(self) -> dict[bytes, bytes]:
        """The table's content by debtor key."""
        return {key: encode_state(state) for key, state in self.states.items()}


def pure_fold(
    records: Iterable[Record], models: Models, partitions: int, before: Mapping[bytes, DebtorState] | None = None
) -> Folded:
    """Fold a whole log. records: offset order within each partition; partitions: number of the topic's partitions.

    before: states to begin with, by debtor key.
    """
    folded = Folded(dict(before or {}))
    for record in records:
        decoded = decode_record(record)
        if isinstance(decoded, Poison):
            _put_aside(folded, decoded, record.key)
        elif decoded.event.is_tick:
            for key in _visited(folded, decoded, partitions):
                _step(folded, decoded, key, split_key(key)[1], models)
        else:
            _step(folded, decoded, record.key, decoded.debtor_id, models)
    return folded


def _visited(folded: Folded, tick: Usable, partitions: int) -> list[bytes]:
    def moves(key: bytes, state: DebtorState) -> bool:
        partition = partition_of(key, partitions) if state.applied is None else state.applied.partition
        return (
            partition == tick.position.partition
            and split_key(key)[0] == tick.tenant
            and slice_of(key, partitions, tick.parts) == tick.part
            and has_open_invoices(state)
            and _is_moved(state, tick)
        )

    return sorted(key for key, state in folded.states.items() if moves(key, state))


def _is_moved(state: DebtorState, tick: Usable) -> bool:
    """A date moves a debtor once; the very tick that it could not bear, or that it has had, may come again."""
    assert isinstance(tick.event.body, Tick)
    if state.tick_day < tick.event.body.day or waits_for(state, tick.event.event_id):
        return True
    return state.applied is not None and state.applied.offset >= tick.position.offset


def _step(folded: Folded, cause: Usable, key: bytes, debtor_id: str, models: Models) -> None:
    event: RiskEvent = cause.event
    try:
        step = fold(folded.states.get(key, DebtorState()), event, cause.position)
    except StateUnreadable as error:
        detail = f"{type(error).__name__}: {error}"
        _put_aside(folded, poison(cause.record, cause.envelope, error.code, detail, debtor_id), key)
        return
    state = step.state
    if step.restored:
        folded.outputs.append(restored_output(cause, key, debtor_id, state))
    if step.rescore:
        plan, tenant = plan_of(state), split_key(key)[0]
        model, challenger = models.serving(tenant, plan.as_of_day), models.shadow(tenant, plan.as_of_day)
        [outlook] = outlooks_by([plan], [model])
        score_id = score_id_of(key, event)
        standing, score = conclude(
            state.standing,
            plan,
            outlook,
            model.info,
            ledger_version=cause.position.offset,
            score_id=score_id,
            debtor_id=debtor_id,
            on_tick=event.is_tick,
        )
        state = state._replace(standing=standing)
        folded.outputs += score_outputs(cause, key, score)
        if challenger is not None:
            folded.outputs.append(score_output(cause, key, _shadow(cause, key, debtor_id, plan, challenger)))
    folded.states[key] = state


def _shadow(cause: Usable, key: bytes, debtor_id: str, plan: Plan, challenger: HazardModel) -> ScoreUpdated:
    """A challenger's score: as if the debtor had no band yet, and without reasons."""
    [outlook] = outlooks_by([plan], [challenger])
    _, score = conclude(
        Standing(),
        plan,
        outlook,
        challenger.info,
        ledger_version=cause.position.offset,
        score_id=shadow_id_of(key, cause.event, challenger.info),
        debtor_id=debtor_id,
        on_tick=cause.event.is_tick,
    )
    return score._replace(reasons=())


def _put_aside(folded: Folded, aside: Poison, key: bytes) -> None:
    folded.outputs.append(dead_letter_output(aside))
    if aside.debtor_id:
        state = degrade(folded.states.get(key, DebtorState()), aside.event_id, aside.position)
        folded.states[key] = state
        folded.outputs.append(degraded_output(aside, key, state))

"""The step of the risk fold: an event into a state, a state into model rows, hazards into a score.

Scoring and training run these same functions. For one event::

    folded = fold(state, event, position)
    if folded.rescore:
        rows = plan_rows(folded.state, model.info.frame)
        hazards = model.predict(rows.matrix)          # only if len(rows.matrix); one call may serve many debtors
        ids = {"score_id": ..., "debtor_id": ...}
        state, score = conclude(folded.state, rows, hazards, model.info, **ids, on_tick=event.is_tick)

`batch.apply_batch` does this for a whole batch with one model call. `fold` never touches `state.standing`, and
`conclude` changes nothing else; so a batch may fold ahead and carry the standing over afterwards
(`replace(later, standing=...)`).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

import numpy as np

from duly_risk.balances import settle
from duly_risk.bands import next_standing
from duly_risk.curves import HORIZON_DAYS, expand, survival
from duly_risk.facts import Position, RiskEvent, Tick
from duly_risk.ledger import apply_fact
from duly_risk.model import FeatureFrame, Hazards, ModelInfo
from duly_risk.outlook import cash_by_week, debtor_risk, invoice_scores
from duly_risk.reasons import explain
from duly_risk.rows import CurveRows, plan_rows
from duly_risk.score import Band, ScoreUpdated
from duly_risk.state import DebtorState

__all__ = ["CurveRows", "FeatureFrame", "Folded", "conclude", "degrade", "fold", "has_open_invoices", "plan_rows"]

RECENT_FACTS = 1024
DEGRADED_IDS = 32
_DIGEST_BYTES = 8


class HazardInvalid(ValueError):
    """A model answered with a wrong number of hazards, NaN, or a value outside [0, 1]."""

    code = "hazard_invalid"


@dataclass(frozen=True, slots=True)
class Folded:
    """state: to be written even when nothing changed (a replay re-writes the blob).

    changed: a fact was applied, for the first time. rescore: a score is due from `state`.
    restored: the last degraded event id of the debtor was cleared by this event.
    """

    state: DebtorState
    changed: bool
    rescore: bool
    restored: bool = False


def fold(state: DebtorState, event: RiskEvent, position: Position) -> Folded:
    """The state after one event. Events of a debtor must come in offset order; a repeated offset or fact is a no-op."""
    if state.applied is not None and position.offset <= state.applied.offset:
        return Folded(state, changed=False, rescore=False)
    waited, state = bool(state.degraded_event_ids), _not_waiting_for(state, event.event_id)
    restored = waited and not state.degraded_event_ids
    if isinstance(event.body, Tick):
        return replace(_fold_tick(state, event.body, event.backfill, position), restored=restored)
    digest = _digest(event.event_id)
    if _holds(state.recent_facts, digest):
        return Folded(replace(state, applied=position), changed=False, rescore=False, restored=restored)
    after = replace(
        apply_fact(state, event.body),
        applied=position,
        business_day=max(state.business_day, event.business_day),
        facts_applied=state.facts_applied + 1,
        recent_facts=(state.recent_facts + digest)[-RECENT_FACTS * _DIGEST_BYTES :],
    )
    return Folded(after, changed=True, rescore=not event.backfill and after.business_day > 0, restored=restored)


def _not_waiting_for(state: DebtorState, event_id: str) -> DebtorState:
    """Whatever an event changes: once it can be used, nothing waits for it, also if it was applied before."""
    if event_id not in state.degraded_event_ids:
        return state
    return replace(state, degraded_event_ids=tuple(known for known in state.degraded_event_ids if known != event_id))


def _fold_tick(state: DebtorState, tick: Tick, backfill: bool, position: Position) -> Folded:
    if tick.day <= state.tick_day:
        return Folded(replace(state, applied=position), changed=False, rescore=False)
    after = replace(state, applied=position, tick_day=tick.day, business_day=max(state.business_day, tick.day))
    return Folded(after, changed=False, rescore=not backfill and has_open_invoices(after))


def degrade(state: DebtorState, event_id: str, position: Position) -> DebtorState:
    """The state after an event that could not be used. Its id stays (the newest 32) until the event folds after all."""
    if state.applied is not None and position.offset <= state.applied.offset:
        return state
    kept = tuple(known for known in state.degraded_event_ids if known != event_id)
    return replace(state, applied=position, degraded_event_ids=(*kept, event_id)[-DEGRADED_IDS:])


def has_open_invoices(state: DebtorState) -> bool:
    """Whether a tick re-scores this debtor."""
    return any(settle(invoice, state.sources).is_open for invoice in state.invoices.values())


def conclude(
    state: DebtorState,
    rows: CurveRows,
    hazards: Hazards,
    info: ModelInfo,
    *,
    score_id: str,
    debtor_id: str,
    on_tick: bool,
) -> tuple[DebtorState, ScoreUpdated]:
    """The score of a debtor and the state with its new standing.

    rows: from `plan_rows(state, info.frame)`; hazards: (len(rows.matrix),) float32, the model's answer to it, in order.
    on_tick: whether a tick caused the score; only ticks count for the way down of a band. Raises HazardInvalid.
    """
    if hazards.shape != (len(rows.matrix),) or not bool(np.all((hazards >= 0.0) & (hazards <= 1.0))):
        raise HazardInvalid(f"{info.name} {info.version}: {hazards.shape} for {len(rows.matrix)} rows, or out of 0..1")
    curves = np.ones((len(rows.invoices), HORIZON_DAYS + 1))
    for index, layout in enumerate(rows.invoices):
        curves[index] = survival(expand(hazards[layout.start : layout.stop], layout.grid))
    scores = invoice_scores(rows, curves)
    risk, at_risk = debtor_risk(rows.invoices, scores)
    before = state.standing
    standing = next_standing(before, risk, bool(rows.invoices), on_tick=on_tick, day=rows.as_of_day)
    standing = replace(standing, last_score_id=score_id, model_version=info.version)
    explained = standing.band != before.band or standing.band > Band.LOW
    score = ScoreUpdated(
        score_id=score_id,
        debtor_id=debtor_id,
        business_day=rows.as_of_day,
        ledger_version=state.applied.offset if state.applied else -1,
        model_name=info.name,
        model_version=info.version,
        role=info.role,
        band=standing.band,
        previous_band=before.band,
        risk=risk,
        amount_at_risk_minor=at_risk,
        invoices=scores,
        expected_cash=cash_by_week(rows, curves),
        reasons=explain(rows.book, rows.as_of_day) if explained else (),
    )
    return replace(state, standing=standing), score


def _digest(event_id: str) -> bytes:
    return hashlib.blake2b(event_id.encode(), digest_size=_DIGEST_BYTES).digest()


def _holds(digests: bytes, digest: bytes) -> bool:
    at = digests.find(digest)
    while at >= 0 and at % _DIGEST_BYTES:
        at = digests.find(digest, at + 1)
    return at >= 0

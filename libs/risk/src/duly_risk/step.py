"""The step of the risk fold: an event into a state, a state into measures, hazards into a score.

Scoring and training run these same functions. For one event::

    folded = fold(state, event, position)
    if folded.rescore:
        plan = plan_of(folded.state)
        [outlook] = outlooks_of([plan], hazards_of(model, plan.measures))  # both may serve many debtors at once
        standing, score = conclude(folded.state.standing, plan, outlook, model.info, ...)

`batch.apply_batch` does this for a whole batch with one model call. `fold` never touches `state.standing`, and
`conclude` changes nothing else; so a batch may fold ahead and carry the standing over afterwards
(`later._replace(standing=...)`).
"""

from __future__ import annotations

from typing import NamedTuple

from duly_risk.bands import next_standing
from duly_risk.degraded import no_longer_waiting_for, waiting_for
from duly_risk.digests import digest, holds
from duly_risk.facts import EventDismissed, Position, RiskEvent, Tick
from duly_risk.ledger import apply_fact
from duly_risk.model import ModelInfo
from duly_risk.outlook import Outlook
from duly_risk.plan import Plan
from duly_risk.reasons import explain
from duly_risk.score import Band, ScoreUpdated, Segment, Tier
from duly_risk.segments import segment_of
from duly_risk.state import DebtorState, Standing, StateUnreadable

RECENT_FACTS = 1024
RECENT_DAYS = 7
_DIGEST_BYTES = 8


class Folded(NamedTuple):
    """state: to be written even when nothing changed (a replay re-writes the blob).

    changed: a fact was applied, for the first time. rescore: a score is due from `state`.
    restored: by this event the debtor waits for none any more; or a person dismissed one, and it waits for none: then
    others may still hold it for degraded, by the word of a state before a full replay.
    """

    state: DebtorState
    changed: bool
    rescore: bool
    restored: bool = False


def fold(state: DebtorState, event: RiskEvent, position: Position) -> Folded:
    """The state after one event. Events of a debtor must come in offset order; a repeated offset or fact is a no-op.

    Raises StateUnreadable, and whatever a state and an event that do not fit each other make Python raise.
    """
    if state.applied is not None and position.offset <= state.applied.offset:
        return Folded(state, changed=False, rescore=False)
    if state.unreadable:
        raise StateUnreadable("the state before this event could not be read")
    waited, state = state.degraded, no_longer_waiting_for(state, event.event_id)
    restored = (waited or isinstance(event.body, EventDismissed)) and not state.degraded
    if isinstance(event.body, Tick):
        folded = _fold_tick(state, event.body, event.backfill, position)
        return Folded(folded.state, folded.changed, folded.rescore, restored)
    this = digest(event.event_id, _DIGEST_BYTES)
    if holds(state.recent_facts, this) or holds(state.earlier_facts, this):
        return Folded(state._replace(applied=position), changed=False, rescore=False, restored=restored)
    day = max(state.business_day, event.business_day)
    earlier, recent, week_day = _week_of(state, day)
    after = apply_fact(state, event.body)._replace(
        applied=position,
        business_day=day,
        facts_applied=state.facts_applied + 1,
        recent_facts=(recent + this)[-RECENT_FACTS * _DIGEST_BYTES :],
        earlier_facts=earlier,
        week_day=week_day,
    )
    return Folded(after, changed=True, rescore=not event.backfill and after.business_day > 0, restored=restored)


def _fold_tick(state: DebtorState, tick: Tick, backfill: bool, position: Position) -> Folded:
    if tick.day <= state.tick_day:
        return Folded(state._replace(applied=position), changed=False, rescore=False)
    day = max(state.business_day, tick.day)
    earlier, recent, week_day = _week_of(state, day)
    after = state._replace(
        applied=position,
        tick_day=tick.day,
        business_day=day,
        recent_facts=recent,
        earlier_facts=earlier,
        week_day=week_day,
    )
    return Folded(after, changed=False, rescore=not backfill and has_open_invoices(after))


def _week_of(state: DebtorState, day: int) -> tuple[bytes, bytes, int]:
    """Digests of the week before and of this week, and its first day. A fact comes again within days or never."""
    if day < state.week_day + RECENT_DAYS:
        return state.earlier_facts, state.recent_facts, state.week_day
    earlier = state.recent_facts if day < state.week_day + 2 * RECENT_DAYS else b""
    return earlier, b"", day


def degrade(state: DebtorState, event_id: str, position: Position) -> DebtorState:
    """The state after an event that could not be used: it waits for that event until it folds after all."""
    if state.applied is not None and position.offset <= state.applied.offset:
        return state
    return waiting_for(state, event_id)._replace(applied=position)


def has_open_invoices(state: DebtorState) -> bool:
    """Whether a tick visits this debtor: to re-score it, or to find out once that nobody can read its state."""
    if state.unreadable:
        return not state.degraded
    return any(invoice.known for invoice in state.invoices.values())


def conclude(
    standing: Standing,
    plan: Plan,
    outlook: Outlook,
    info: ModelInfo,
    *,
    ledger_version: int,
    score_id: str,
    debtor_id: str,
    on_tick: bool,
) -> tuple[Standing, ScoreUpdated]:
    """The score of a debtor and its standing after it. standing: before it; outlook: of the plan.

    ledger_version: offset of the last folded event. on_tick: whether a tick caused the score; only ticks count for the
    way down of a band.
    """
    after = next_standing(standing, outlook.risk, bool(plan.claims), on_tick=on_tick, day=plan.as_of_day)
    segment = segment_of(plan.book, plan.as_of_day, after.band, info.frame)
    if segment.tier is Tier.NONE:  # a model without cut points, the rules score, moves nobody
        segment = Segment(segment.band, standing.segment.tier, segment.behaviour)
    moved = segment != standing.segment and plan.as_of_day > standing.segment_day
    known = standing.segment_day > 0
    after = Standing(
        after.band,
        after.ticks_below,
        after.stepped_down_day,
        score_id,
        info.version,
        segment if moved else standing.segment,
        plan.as_of_day if moved else standing.segment_day,
    )
    explained = after.band != standing.band or after.band > Band.LOW
    score = ScoreUpdated(
        score_id=score_id,
        debtor_id=debtor_id,
        business_day=plan.as_of_day,
        ledger_version=ledger_version,
        model_name=info.name,
        model_version=info.version,
        role=info.role,
        band=after.band,
        previous_band=standing.band,
        risk=outlook.risk,
        amount_at_risk_minor=outlook.at_risk_minor,
        invoices=outlook.invoices,
        expected_cash_minor=outlook.cash_minor,
        reasons=explain(plan.book, plan.as_of_day) if explained else (),
        segment=after.segment,
        segment_before=standing.segment if moved and known else None,
    )
    return after, score

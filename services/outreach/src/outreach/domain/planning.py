"""What a tick means for one debtor: what became overdue, which case opens or closes, which step is due. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from enum import StrEnum

from duly_policy import (
    Answer,
    Autonomy,
    Band,
    Channel,
    DebtorKind,
    DebtView,
    GateDecision,
    GateInput,
    LadderDebt,
    LadderDecision,
    LadderInput,
    LadderStep,
    Packs,
    PastAttempt,
    Phase,
    Stage,
    Strategy,
    canonical_json,
    evaluate,
    next_step,
)

from outreach.domain.debtor import Debtor, OpenInvoice, claimable_minor
from outreach.domain.treatment import (
    Case,
    Treatment,
    TreatmentState,
    case_id_of,
    contact_id_of,
    treatment_id_of,
)

PURPOSE = "payment_reminder"
INVOICES_PER_CONTACT_MAX = 100  # what the gateway takes in one request
DEFAULT_BAND = Band.MEDIUM
_BANDS = frozenset(Band)
_SCORE_REASONS_SHOWN = 3
_AUTONOMY_RULE = "DULY-AUTONOMY"
# A slot that the cap frees later is worth waiting for with the contact in hand; the hours of the day are not: the next
# tick inside them decides with that day's score.
_WAITED_FOR = frozenset({"DULY-CAP"})
# Conditions of the address or the debtor's will: no tick changes them, so a person looks once.
_WORK_FOR_DENIAL = {"DULY-ADDR": "find_address", "DULY-STOP": "no_channel_left", "DULY-DRIFT": "reconcile_ledger"}


@dataclass(frozen=True, slots=True)
class Policy:
    """The released rules outreach decides by. valid_for: how long a planned contact waits before it is planned anew."""

    strategy: Strategy
    packs: Packs
    valid_for: timedelta
    score_age_days_max: int


@dataclass(frozen=True, slots=True)
class Tick:
    """A business date at an instant (aware UTC) of it. ledger_version: the tick's own offset."""

    business_date: date
    instant: datetime
    ledger_version: int


@dataclass(frozen=True, slots=True)
class Picture:
    """Everything a decision about one debtor may look at. case: the latest one, open or closed."""

    debtor: Debtor
    invoices: tuple[OpenInvoice, ...]
    unapplied: Mapping[str, int]
    case: Case | None
    waiting: tuple[Treatment, ...]
    attempts: tuple[PastAttempt, ...]
    kill_switch: bool

    def overdue(self, business_date: date) -> tuple[OpenInvoice, ...]:
        late = [invoice for invoice in self.invoices if invoice.dpd(business_date) >= 1]
        return tuple(sorted(late, key=lambda invoice: (invoice.due_date, invoice.invoice_id)))


@dataclass(frozen=True, slots=True)
class DayChange:
    """newly_overdue: said once each. opens: a new case or the old one again. closes: nothing is overdue any more."""

    newly_overdue: tuple[OpenInvoice, ...]
    case: Case | None
    opens: bool = False
    closes: bool = False


class PlanKind(StrEnum):
    """CONTACT: ask the gateway. WORK: give it to a person. REFUSED: recorded, nothing else."""

    CONTACT = "CONTACT"
    WORK = "WORK"
    REFUSED = "REFUSED"


@dataclass(frozen=True, slots=True)
class Plan:
    """A decision worth recording, with its evidence. work_kind: only with WORK."""

    kind: PlanKind
    treatment: Treatment
    decision: GateDecision
    gate_input_json: str
    work_kind: str = ""


@dataclass(frozen=True, slots=True)
class DayPlan:
    """What a tick means for one debtor. covered: unapplied cash pays for everything overdue (AT-24)."""

    picture: Picture
    change: DayChange
    covered: bool = False
    plan: Plan | None = None


def plan_day(picture: Picture, tick: Tick, policy: Policy) -> DayPlan:
    change = day_change(picture, tick.business_date)
    if change.case is None or change.case.closed_on is not None:
        return DayPlan(picture, change)
    if covered_by_unapplied_cash(picture, tick.business_date):
        return DayPlan(picture, change, covered=True)
    return DayPlan(picture, change, plan=plan_treatment(picture, change.case, tick, policy))


def day_change(picture: Picture, business_date: date) -> DayChange:
    """A case opens with the first overdue invoice and closes when none is left; a reversal opens the same one again."""
    overdue = picture.overdue(business_date)
    case = picture.case
    newly = tuple(invoice for invoice in overdue if invoice.overdue_since is None)
    is_open = case is not None and case.closed_on is None
    if not overdue:
        closed = replace(case, closed_on=business_date) if case is not None and is_open else case
        return DayChange((), closed, closes=is_open)
    if is_open:
        return DayChange(newly, case)
    if case is not None and any(invoice.case_id == case.case_id for invoice in overdue):
        return DayChange(newly, replace(case, closed_on=None), opens=True)
    debtor = picture.debtor
    episode = 1 if case is None else case.episode + 1
    opened = Case(case_id_of(debtor.tenant, debtor.debtor_id, episode), debtor.debtor_id, episode, business_date)
    return DayChange(newly, opened, opens=True)


def covered_by_unapplied_cash(picture: Picture, business_date: date) -> bool:
    """Overdue, but money that nobody has allocated yet pays for all of it: there is nothing to ask for (AT-24)."""
    overdue = [invoice for invoice in picture.overdue(business_date) if invoice.open_minor > invoice.disputed_minor]
    claimable = claimable_minor(picture.invoices, picture.unapplied)
    return bool(overdue) and all(claimable[invoice.invoice_id] <= 0 for invoice in overdue)


def plan_treatment(picture: Picture, case: Case, tick: Tick, policy: Policy) -> Plan | None:
    """The one treatment due at this tick, or None: no step is due, the waiting one stays, or the time is not right.

    Outside the hours nothing is recorded: the next tick asks again. Under the cap the contact is planned and waits at
    the gateway, so that a payment in between cancels it. Sources: AT-01, AT-02, AT-14, AT-23.
    """
    band, band_reason = _band(picture.debtor, tick, policy)
    ladder = next_step(LadderInput(tick.business_date, band or DEFAULT_BAND, _debts(picture)), policy.strategy)
    if ladder.step is None or any(_stays(treatment, ladder.step, tick) for treatment in picture.waiting):
        return None
    treatment = _treatment(picture.debtor, case, tick, policy, ladder, ladder.step)
    treatment = replace(treatment, risk_band=band or "", reasons=_reasons(picture, band, band_reason, ladder))
    gate_input = _gate_input(picture, treatment, tick)
    decision = evaluate(gate_input, policy.packs)
    if _asks_for_later(decision):
        return None
    if decision.until is not None:
        treatment = replace(treatment, not_after=decision.until + policy.valid_for)
    return _plan(treatment, decision, canonical_json(gate_input), ladder.step)


def _debts(picture: Picture) -> tuple[LadderDebt, ...]:
    """Disputed invoices are left out altogether: the gate refuses a contact that names one."""
    claimable = claimable_minor(picture.invoices, picture.unapplied)
    return tuple(
        LadderDebt(
            invoice_id=invoice.invoice_id,
            currency=invoice.currency,
            due_date=invoice.due_date,
            claimable_minor=claimable[invoice.invoice_id],
            step_sent=max(invoice.step_sent, invoice.step_handed),
        )
        for invoice in picture.invoices
        if invoice.disputed_minor == 0
    )


def _stays(waiting: Treatment, step: LadderStep, tick: Tick) -> bool:
    """A waiting treatment stays until the ladder asks for another step or its time is over (a held one has no end)."""
    in_time = waiting.state is TreatmentState.HELD or tick.instant <= waiting.not_after
    return waiting.step_no == step.no and in_time


def _band(debtor: Debtor, tick: Tick, policy: Policy) -> tuple[Band | None, str]:
    """The band that times the ladder, and why; None = the strategy's default timing."""
    if policy.strategy.stage is Stage.REMINDERS:
        return None, f"stage REMINDERS: {DEFAULT_BAND} timing for everybody"
    score = debtor.score
    if score is None:
        return None, f"no score yet: {DEFAULT_BAND} timing"
    if score.role == "FALLBACK" or score.band not in _BANDS:
        return None, f"rules score without a model: {DEFAULT_BAND} timing"
    if (tick.business_date - score.business_date).days > policy.score_age_days_max:
        return None, f"the last score is of {score.business_date}: {DEFAULT_BAND} timing"
    return Band(score.band), f"risk band {score.band} by the score of {score.business_date}"


def _reasons(picture: Picture, band: Band | None, band_reason: str, ladder: LadderDecision) -> tuple[str, ...]:
    score = picture.debtor.score
    behind = score.reasons[:_SCORE_REASONS_SHOWN] if score is not None and band is not None else ()
    return (band_reason, *ladder.reasons, *behind)


def _treatment(
    debtor: Debtor, case: Case, tick: Tick, policy: Policy, ladder: LadderDecision, step: LadderStep
) -> Treatment:
    strategy = policy.strategy
    listed = _listed(ladder)
    treatment_id = treatment_id_of(debtor.tenant, case.case_id, step.no, tick.business_date, listed)
    point = debtor.contact_point_for(step.channel)
    return Treatment(
        tenant=debtor.tenant,
        treatment_id=treatment_id,
        contact_id=contact_id_of(debtor.tenant, treatment_id),
        case_id=case.case_id,
        debtor_id=debtor.debtor_id,
        business_date=tick.business_date,
        step_no=step.no,
        action=step.action,
        channel=step.channel,
        contact_point_id=point.contact_point_id if point is not None else "",
        template_id=step.template,
        invoice_ids=listed,
        steps_reached={key: no for key, no in ladder.steps_reached.items() if key in listed},
        autonomy=strategy.autonomy_of(step.action),
        stage=strategy.stage,
        score_id=debtor.score.score_id if debtor.score is not None else "",
        risk_band="",
        strategy_version=f"{strategy.name}@{strategy.version}",
        rule_ids=ladder.rule_ids,
        pack_versions=(),
        reasons=(),
        decision_id="",
        planned_at=tick.instant,
        not_after=tick.instant + policy.valid_for,
        ledger_version=tick.ledger_version,
        state=TreatmentState.PLANNED,
    )


def _listed(ladder: LadderDecision) -> tuple[str, ...]:
    """The rows of the one message, oldest first; where they are too many, those whose step is due are kept."""
    if len(ladder.invoice_ids) <= INVOICES_PER_CONTACT_MAX:
        return ladder.invoice_ids
    first = sorted(ladder.invoice_ids, key=lambda invoice_id: -ladder.steps_reached.get(invoice_id, 0))
    kept = frozenset(first[:INVOICES_PER_CONTACT_MAX])
    return tuple(invoice_id for invoice_id in ladder.invoice_ids if invoice_id in kept)


def _gate_input(picture: Picture, treatment: Treatment, tick: Tick) -> GateInput:
    debtor = picture.debtor
    claimable = claimable_minor(picture.invoices, picture.unapplied)
    point = debtor.contact_point_for(treatment.channel)
    return GateInput(
        tenant=debtor.tenant,
        contact_id=treatment.contact_id,
        debtor_id=debtor.debtor_id,
        phase=Phase.PLAN,
        kind=DebtorKind(debtor.kind),
        country=debtor.country,
        zones=debtor.zones,
        debts=tuple(
            DebtView(
                invoice_id=invoice.invoice_id,
                currency=invoice.currency,
                open_minor=invoice.open_minor,
                claimable_minor=claimable[invoice.invoice_id],
                disputed=invoice.disputed_minor > 0,
                due_date=invoice.due_date,
            )
            for invoice in picture.invoices
            if invoice.invoice_id in treatment.invoice_ids
        ),
        channel=Channel(treatment.channel),
        purpose=PURPOSE,
        action=treatment.action,
        autonomy=Autonomy(treatment.autonomy),
        approved=False,
        address_verified=point is not None and point.verified,
        suppressed=point is not None and point.contact_point_id == debtor.address_refused,
        stopped=debtor.stopped,
        degraded=debtor.degraded or debtor.unusable_here,
        drift=debtor.drift,
        kill_switch=picture.kill_switch,
        ledger_fresh=True,
        content_amounts=None,
        attempts=picture.attempts,
        promise_open=False,
        care=False,
        not_before=None,
        not_after=treatment.not_after,
        now=tick.instant,
    )


def _plan(treatment: Treatment, decision: GateDecision, gate_input_json: str, step: LadderStep) -> Plan:
    treatment = replace(
        treatment,
        rule_ids=(*treatment.rule_ids, *decision.rule_ids),
        pack_versions=tuple(f"{name}@{version}" for name, version in decision.pack_versions),
        decision_id=decision.decision_id,
    )
    if decision.answer in (Answer.ALLOW, Answer.DEFER):
        return Plan(PlanKind.CONTACT, treatment, decision, gate_input_json)
    reasons = (*treatment.reasons, *(hit.reason for hit in decision.hits))
    treatment = replace(treatment, reasons=reasons)
    work_kind = _work_kind(decision, step)
    if not work_kind:
        return Plan(PlanKind.REFUSED, replace(treatment, state=TreatmentState.DENIED), decision, gate_input_json)
    # Only what is a person's by its kind counts as done on the ladder; a doubtful debtor's step stays due.
    reached = treatment.steps_reached if _is_for_a_person(decision, step) else {}
    treatment = replace(treatment, state=TreatmentState.HANDED, steps_reached=reached)
    return Plan(PlanKind.WORK, treatment, decision, gate_input_json, work_kind)


def _asks_for_later(decision: GateDecision) -> bool:
    """Some rule of the hour defers to an instant that will come. One that defers for good is a person's matter."""
    return any(
        hit.effect is Answer.DEFER and hit.until is not None and hit.rule_id not in _WAITED_FOR for hit in decision.hits
    )


def _is_for_a_person(decision: GateDecision, step: LadderStep) -> bool:
    """A call task needs no address of ours; anything that waits for an approval is with whoever may give it."""
    strict = {hit.rule_id for hit in decision.hits if hit.effect is not Answer.DEFER}
    return strict == {_AUTONOMY_RULE} or (step.action != "reminder" and strict <= {_AUTONOMY_RULE, "DULY-ADDR"})


def _work_kind(decision: GateDecision, step: LadderStep) -> str:
    """What a person is asked to do; empty where nobody is: a switch, a promise, a payment end by themselves."""
    if _is_for_a_person(decision, step):
        return "approve_contact" if step.action == "reminder" else step.action
    if decision.answer is Answer.HUMAN:
        return "decide_contact"
    denials = [hit.rule_id for hit in decision.hits if hit.effect is Answer.DENY]
    if not all(rule_id in _WORK_FOR_DENIAL for rule_id in denials):
        return ""
    return _WORK_FOR_DENIAL[denials[0]]

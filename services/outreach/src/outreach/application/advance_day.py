"""The tick: what is overdue now, which cases open and close, which treatments are due.

Everything of one partition's slice happens in one transaction: reads for all its debtors at once, then a pure decision
per debtor, then all writes on their way together. A tick outside a debtor's contact hours moves cases but plans
nothing: the gate answers DEFER and nothing is recorded; the next tick asks again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from duly_contracts.envelope import Envelope
from duly_contracts.money import Money
from duly_runtime.clock import PolicyClock

from duly.contact.v1 import types_pb2 as types_pb
from duly.gateway.v1 import contact_service_pb2 as gateway_pb
from duly.ledger.v1 import events_pb2 as ledger_pb
from duly.outreach.v1 import events_pb2 as pb
from outreach.application.outgoing import emit_caused
from outreach.application.ports import Received, Unit
from outreach.application.withdraw_treatments import cancel_treatment
from outreach.application.work import create_work_item
from outreach.domain.debtor import Debtor
from outreach.domain.planning import PURPOSE, DayChange, DayPlan, Picture, Plan, PlanKind, Policy, Tick, plan_day
from outreach.domain.treatment import CancelReason, Treatment, WorkItem, work_item_id_of

_ALLOCATE_PAYMENT = "allocate_payment"
_ATTEMPTS_WINDOW = timedelta(days=31)  # the gate counts local days of 30; one more covers every zone


@dataclass(frozen=True, slots=True)
class AdvanceDay:
    """Handler of `calendar.business_date_advanced`."""

    policy: Policy
    policy_clock: PolicyClock

    def __call__(self, event: Received, unit: Unit) -> None:
        message = event.message
        assert isinstance(message, ledger_pb.CalendarBusinessDateAdvanced)
        slices = max(1, message.slices)
        tick = Tick(date.fromisoformat(message.business_date), message.instant.ToDatetime(UTC), event.offset)
        fresh = unit.ticks.advance(event.tenant, event.partition, message.slice, tick.business_date, tick.instant)
        if not fresh or event.envelope.backfill:
            return
        debtors = unit.ledger.lock_due(event.tenant, event.partition, message.slice, slices, tick.business_date)
        if not debtors:
            return
        pictures = _pictures(event.tenant, debtors, tick, unit)
        days = [plan_day(picture, tick, self.policy) for picture in pictures]
        known = _known(event.tenant, days, unit)
        with unit.batched():
            for day in days:
                self._carry_out(day, known, tick, event.envelope, unit)

    def _carry_out(self, day: DayPlan, known: frozenset[str], tick: Tick, cause: Envelope, unit: Unit) -> None:
        _move_case(day.picture, day.change, tick, cause, unit)
        if day.change.closes:
            _supersede(day.picture, cause, unit)
        if day.covered and _cash_item_id(day) not in known:
            create_work_item(_allocate_payment(day, tick), cause, unit)
        if day.plan is None:
            return
        unit.count_gate_answer(day.plan.decision.answer)
        unit.treatments.record_decision(day.plan)
        treatment = day.plan.treatment
        if treatment.treatment_id in known:
            return
        match day.plan.kind:
            case PlanKind.REFUSED:
                return
            case PlanKind.WORK:
                unit.ledger.raise_steps(treatment.tenant, treatment.debtor_id, treatment.steps_reached, handed=True)
                if _work_item_id(day.plan) not in known:
                    _hand_over(day.plan, cause, unit)
                    _supersede(day.picture, cause, unit)
            case PlanKind.CONTACT:
                unit.treatments.add(treatment)
                _supersede(day.picture, cause, unit)
                self._ask_gateway(treatment, cause, unit)

    def _ask_gateway(self, treatment: Treatment, cause: Envelope, unit: Unit) -> None:
        """The decision, the contact, the call: each caused by the one before. The call's key is stored here."""
        decided = _say_decided(treatment, cause, unit)
        planned = emit_caused(unit, decided, treatment.debtor_id, _contact_planned(treatment))
        request = _request(treatment, max(self.policy_clock.now(), treatment.planned_at))
        request.causation_id = planned.id
        request.correlation_id = planned.correlation_id
        unit.requests.add_request(request, treatment)
        unit.count_treatment(treatment.action)


def _pictures(tenant: str, debtors: Sequence[Debtor], tick: Tick, unit: Unit) -> Sequence[Picture]:
    ids = [debtor.debtor_id for debtor in debtors]
    invoices = unit.ledger.open_invoices(tenant, ids)
    unapplied = unit.ledger.unapplied(tenant, ids)
    cases = unit.cases.latest(tenant, ids)
    waiting = unit.treatments.waiting(tenant, ids)
    attempts = unit.treatments.attempts(tenant, ids, tick.instant - _ATTEMPTS_WINDOW)
    kill_switch = unit.ticks.kill_switch_on(tenant)
    return [
        Picture(
            debtor=debtor,
            invoices=tuple(invoices.get(debtor.debtor_id, ())),
            unapplied=unapplied.get(debtor.debtor_id, {}),
            case=cases.get(debtor.debtor_id),
            waiting=tuple(waiting.get(debtor.debtor_id, ())),
            attempts=tuple(attempts.get(debtor.debtor_id, ())),
            kill_switch=kill_switch,
        )
        for debtor in debtors
    ]


def _known(tenant: str, days: Sequence[DayPlan], unit: Unit) -> frozenset[str]:
    """Ids of treatments and work items that exist already: what was decided before is not decided again."""
    plans = [day.plan for day in days if day.plan is not None]
    items = [_work_item_id(plan) for plan in plans if plan.kind is PlanKind.WORK]
    items += [_cash_item_id(day) for day in days if day.covered]
    treatments = [plan.treatment.treatment_id for plan in plans]
    return unit.treatments.known(tenant, treatments) | unit.known_work_items(tenant, items)


def _work_item_id(plan: Plan) -> str:
    treatment = plan.treatment
    return work_item_id_of(treatment.tenant, treatment.case_id, plan.work_kind, treatment.step_no)


def _cash_item_id(day: DayPlan) -> str:
    assert day.change.case is not None
    return work_item_id_of(day.picture.debtor.tenant, day.change.case.case_id, _ALLOCATE_PAYMENT)


def _move_case(picture: Picture, change: DayChange, tick: Tick, cause: Envelope, unit: Unit) -> None:
    tenant, debtor_id = picture.debtor.tenant, picture.debtor.debtor_id
    on = tick.business_date.isoformat()
    for ordinal, invoice in enumerate(change.newly_overdue):
        overdue = pb.InvoiceOverdue(
            invoice_id=invoice.invoice_id,
            debtor_id=debtor_id,
            business_date=on,
            dpd=invoice.dpd(tick.business_date),
            open=Money(invoice.open_minor, invoice.currency).to_proto(),
        )
        emit_caused(unit, cause, debtor_id, overdue, ordinal)
    if change.case is None:
        return
    if change.newly_overdue:
        rows = [(debtor_id, invoice.invoice_id, change.case.case_id) for invoice in change.newly_overdue]
        unit.ledger.mark_overdue(tenant, rows, tick.business_date)
    if change.opens or change.closes:
        unit.cases.save(tenant, [change.case])
    if change.opens:
        opened = pb.CaseOpened(case_id=change.case.case_id, debtor_id=debtor_id, business_date=on)
        emit_caused(unit, cause, debtor_id, opened)
    if change.closes:
        closed = pb.CaseClosed(case_id=change.case.case_id, debtor_id=debtor_id, business_date=on)
        emit_caused(unit, cause, debtor_id, closed)


def _supersede(picture: Picture, cause: Envelope, unit: Unit) -> None:
    for ordinal, waiting in enumerate(picture.waiting):
        cancel_treatment(waiting, CancelReason.SUPERSEDED, cause, unit, ordinal)


def _hand_over(plan: Plan, cause: Envelope, unit: Unit) -> None:
    """One work item per case and step. The step of what is a person's by its kind counts as done on the ladder."""
    treatment = plan.treatment
    unit.treatments.add(treatment)
    decided = _say_decided(treatment, cause, unit)
    item = WorkItem(
        work_item_id=_work_item_id(plan),
        tenant=treatment.tenant,
        debtor_id=treatment.debtor_id,
        kind=plan.work_kind,
        reasons=treatment.reasons,
        due=treatment.business_date,
        treatment_id=treatment.treatment_id,
    )
    create_work_item(item, decided, unit)
    unit.count_treatment(treatment.action)


def _allocate_payment(day: DayPlan, tick: Tick) -> WorkItem:
    return WorkItem(
        work_item_id=_cash_item_id(day),
        tenant=day.picture.debtor.tenant,
        debtor_id=day.picture.debtor.debtor_id,
        kind=_ALLOCATE_PAYMENT,
        reasons=("unapplied cash covers everything overdue: allocate it before anybody is reminded",),
        due=tick.business_date,
    )


def _say_decided(treatment: Treatment, cause: Envelope, unit: Unit) -> Envelope:
    message = pb.TreatmentDecided(
        treatment_id=treatment.treatment_id,
        case_id=treatment.case_id,
        debtor_id=treatment.debtor_id,
        action=treatment.action,
        step_no=treatment.step_no,
        invoice_ids=treatment.invoice_ids,
        score_id=treatment.score_id,
        risk_band=treatment.risk_band,
        strategy_version=treatment.strategy_version,
        stage=pb.Stage.Value(f"STAGE_{treatment.stage}"),
        autonomy=pb.Autonomy.Value(f"AUTONOMY_{treatment.autonomy}"),
        rule_ids=treatment.rule_ids,
        reasons=treatment.reasons,
        pack_versions=treatment.pack_versions,
        decision_id=treatment.decision_id,
    )
    message.not_before.FromDatetime(treatment.planned_at)
    return emit_caused(unit, cause, treatment.debtor_id, message, business_date=treatment.business_date)


def _contact_planned(treatment: Treatment) -> pb.ContactPlanned:
    message = pb.ContactPlanned(
        contact_id=treatment.contact_id,
        treatment_id=treatment.treatment_id,
        debtor_id=treatment.debtor_id,
        channel=types_pb.Channel.Value(f"CHANNEL_{treatment.channel}"),
        contact_point_id=treatment.contact_point_id,
        template_id=treatment.template_id,
        purpose=PURPOSE,
        ledger_version=treatment.ledger_version,
    )
    message.planned_at.FromDatetime(treatment.planned_at)
    return message


def _request(treatment: Treatment, as_of: datetime) -> gateway_pb.RequestContactRequest:
    """template_version stays empty: the gateway takes the approved one and says in `contact.sent` which it was."""
    request = gateway_pb.RequestContactRequest(
        tenant_id=treatment.tenant,
        idempotency_key=f"request:{treatment.treatment_id}",
        contact_id=treatment.contact_id,
        treatment_id=treatment.treatment_id,
        case_id=treatment.case_id,
        debtor_id=treatment.debtor_id,
        invoice_ids=treatment.invoice_ids,
        step_no=treatment.step_no,
        channel=types_pb.Channel.Value(f"CHANNEL_{treatment.channel}"),
        contact_point_id=treatment.contact_point_id,
        purpose=PURPOSE,
        action=treatment.action,
        template_id=treatment.template_id,
    )
    request.not_before.FromDatetime(treatment.planned_at)
    request.not_after.FromDatetime(treatment.not_after)
    request.as_of.FromDatetime(as_of)
    return request

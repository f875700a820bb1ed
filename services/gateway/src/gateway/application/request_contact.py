"""RequestContact: key, gate, caps and the contact in one transaction under the debtor's lock. No provider is called."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime

from duly_contracts.ids import named_id
from duly_policy import Answer, Channel, GateDecision
from duly_runtime.clock import PolicyClock, PolicyClockUnset

from duly.gateway.v1 import contact_service_pb2 as pb
from gateway.application import events
from gateway.application import validation as check
from gateway.application.answers import decision_message, state_number
from gateway.application.errors import ContactExists, DebtorNotFound, InvalidRequest
from gateway.application.gate import ContactGate, GateAnswer, Question
from gateway.application.idempotency import once
from gateway.application.ports import Store, Templates, Transactions
from gateway.domain.contact import (
    Attempt,
    AttemptId,
    AttemptState,
    Contact,
    ContactId,
    ContactState,
    DebtorId,
    TenantId,
)
from gateway.domain.debts import totals

# The next day's tick, whose instant may be another day in UTC.
AS_OF_AHEAD_DAYS = 2

_STATE_AFTER = {
    Answer.ALLOW: ContactState.RESERVED,
    Answer.DEFER: ContactState.WAITING,
    Answer.DENY: ContactState.DENIED,
    Answer.HUMAN: ContactState.HELD,
}


class RequestContact:
    """The use case. DEFER, DENY and HUMAN are results, not errors."""

    def __init__(
        self,
        transactions: Transactions,
        gate: ContactGate,
        templates: Templates,
        channels: frozenset[Channel],
        policy_clock: PolicyClock,
        simulated: bool,
    ) -> None:
        """simulated: the policy clock is the newest tick, and a caller may have read a later one than we have."""
        self._transactions = transactions
        self._gate = gate
        self._templates = templates
        self._channels = channels
        self._policy_clock = policy_clock
        self._simulated = simulated

    def __call__(self, request: pb.RequestContactRequest, traceparent: str = "") -> pb.RequestContactResponse:
        wanted = self._read(request, traceparent)
        as_of = check.optional_instant("as_of", request)
        if as_of is not None and self._simulated:
            follow_caller(self._transactions, self._policy_clock, wanted.tenant, as_of)
        now = self._policy_clock.now()
        with self._transactions.begin() as store:
            return once(
                store, request, pb.RequestContactResponse(), lambda answer: self._ask(wanted, store, now, answer)
            )

    def _ask(self, wanted: Contact, store: Store, now: datetime, response: pb.RequestContactResponse) -> None:
        if not store.lock_debtor(wanted.tenant, wanted.debtor_id):
            raise DebtorNotFound("no such debtor")
        answer = self._gate.ask_and_record(question_of(wanted), store, now)
        if answer is None:
            raise DebtorNotFound("no such debtor")
        contact = with_decision(wanted, answer.decision)
        if answer.decision.answer is Answer.ALLOW:
            contact = replace(contact, attempts=1, amount_claimed=totals(answer.claims))
        if not store.add_contact(contact):
            raise ContactExists("this treatment has its contact already, or the contact id is taken")
        if answer.decision.answer is Answer.ALLOW:
            store.save_attempt(new_attempt(contact, 1, answer, now))
        tell_decision(store, contact, answer.decision)
        response.contact_id = contact.contact_id
        response.state = state_number(contact.state)
        response.decision.CopyFrom(decision_message(answer.decision))

    def _read(self, request: pb.RequestContactRequest, traceparent: str) -> Contact:
        tenant = check.required_text("tenant_id", request.tenant_id)
        channel = check.channel_of(request.channel)
        if channel not in self._channels:
            raise InvalidRequest("channel", f"no sender for {channel} is set up")
        template = check.required_text("template_id", request.template_id)
        version = self._templates.version_of(template, request.template_version)
        if version is None:
            raise InvalidRequest(
                "template_id", f"{template} {request.template_version} is not known".replace("  ", " ")
            )
        key = check.required_text("idempotency_key", request.idempotency_key)
        contact_id = check.optional_text("contact_id", request.contact_id) or named_id("contact", tenant, key)
        return Contact(
            tenant=TenantId(tenant),
            contact_id=ContactId(contact_id),
            treatment_id=check.optional_text("treatment_id", request.treatment_id),
            case_id=check.optional_text("case_id", request.case_id),
            debtor_id=DebtorId(check.required_text("debtor_id", request.debtor_id)),
            invoice_ids=check.invoice_ids(request.invoice_ids),
            channel=channel,
            contact_point_id=check.optional_text("contact_point_id", request.contact_point_id),
            purpose=check.required_text("purpose", request.purpose),
            action=check.required_text("action", request.action),
            step_no=request.step_no,
            template_id=template,
            template_version=version,
            not_before=check.optional_instant("not_before", request),
            not_after=check.optional_instant("not_after", request),
            causation_id=check.optional_text("causation_id", request.causation_id),
            correlation_id=check.optional_text("correlation_id", request.correlation_id),
            traceparent=traceparent,
            state=ContactState.WAITING,
        )


def follow_caller(transactions: Transactions, policy_clock: PolicyClock, tenant: TenantId, as_of: datetime) -> None:
    """Move our clock to the caller's where it has read a later tick than we have. Raises InvalidRequest.

    The clock is everybody's and never goes back: nobody may push it beyond the tick after the tenant's newest one that
    we know, and without one nobody moves it. The move is a transaction of its own: the clock's row must never be waited
    for while a debtor's lock is held.
    """
    before = _now_or_none(policy_clock)
    if before is not None and before >= as_of:
        return
    with transactions.begin() as store:
        newest = store.business_date(tenant)
        if not newest:
            return
        if (as_of.date() - date.fromisoformat(newest)).days > AS_OF_AHEAD_DAYS:
            raise InvalidRequest("as_of", f"is more than {AS_OF_AHEAD_DAYS} days past the newest business date here")
        store.move_clock(as_of)


def _now_or_none(policy_clock: PolicyClock) -> datetime | None:
    try:
        return policy_clock.now()
    except PolicyClockUnset:
        return None


def question_of(contact: Contact) -> Question:
    return Question(
        tenant=contact.tenant,
        contact_id=contact.contact_id,
        debtor_id=contact.debtor_id,
        invoice_ids=contact.invoice_ids,
        channel=contact.channel,
        contact_point_id=contact.contact_point_id,
        purpose=contact.purpose,
        action=contact.action,
        not_before=contact.not_before,
        not_after=contact.not_after,
    )


def with_decision(contact: Contact, decision: GateDecision) -> Contact:
    """The contact as this answer leaves it."""
    return replace(
        contact,
        state=_STATE_AFTER[decision.answer],
        decision_id=decision.decision_id,
        until=decision.until or decision.not_before,
        retry_at=None,
    )


def attempt_id_of(contact: Contact, ordinal: int) -> AttemptId:
    return AttemptId(named_id("attempt", contact.tenant, contact.contact_id, str(ordinal)))


def new_attempt(contact: Contact, ordinal: int, answer: GateAnswer, now: datetime) -> Attempt:
    """A reservation: it counts in the caps from here."""
    return Attempt(
        tenant=contact.tenant,
        attempt_id=attempt_id_of(contact, ordinal),
        contact_id=contact.contact_id,
        debtor_id=contact.debtor_id,
        ordinal=ordinal,
        state=AttemptState.RESERVED,
        channel=contact.channel,
        at=now,
        decision_id=answer.decision.decision_id,
        ledger_version=answer.picture.ledger_version,
        amount_claimed=totals(answer.claims),
    )


def tell_decision(store: Store, contact: Contact, decision: GateDecision) -> None:
    """contact.deferred, .denied or .held, through the outbox."""
    message = events.of_decision(contact, decision)
    if message is not None:
        events.emit_of_contact(store, contact, message, decision.decision_id, decision.evaluated_at)

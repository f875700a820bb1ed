"""What became of the contacts, and what debtors said: treatments follow, the ladder climbs only by what was sent."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from duly_policy import Channel, PastAttempt

from duly.contact.v1 import events_pb2 as pb
from duly.contact.v1 import types_pb2 as types_pb
from outreach.application.ports import Received, Unit
from outreach.application.work import create_work_item
from outreach.domain.debtor import Debtor
from outreach.domain.treatment import OPEN_STATES, Treatment, TreatmentState, WorkItem, work_item_id_of


def on_contact_sent(event: Received, unit: Unit) -> None:
    message = event.message
    assert isinstance(message, pb.ContactSent)
    _, treatment = _load(event, message.contact_id, unit)
    channel = Channel(types_pb.Channel.Name(message.channel).removeprefix("CHANNEL_"))
    _count(event, unit, message.attempt_id, message.contact_id, message.sent_at.ToDatetime(UTC), channel, "accepted")
    if treatment is not None and treatment.state is not TreatmentState.SENT:
        unit.treatments.move(treatment, TreatmentState.SENT)
        unit.ledger.raise_steps(event.tenant, event.debtor_id, treatment.steps_reached, handed=False)


def on_contact_unknown(event: Received, unit: Unit) -> None:
    """The debtor may have read it: the step counts as done and is never repeated blindly."""
    message = event.message
    assert isinstance(message, pb.ContactUnknown)
    _, treatment = _load(event, message.contact_id, unit)
    at = message.at.ToDatetime(UTC)
    _count(event, unit, message.attempt_id, message.contact_id, at, _channel_of(treatment), "unknown")
    if treatment is not None and treatment.state is not TreatmentState.SENT:
        unit.treatments.move(treatment, TreatmentState.UNKNOWN)
        unit.ledger.raise_steps(event.tenant, event.debtor_id, treatment.steps_reached, handed=False)


def on_contact_failed(event: Received, unit: Unit) -> None:
    """Refused by the provider: nothing was sent. A permanent refusal closes the address until the source changes it."""
    message = event.message
    assert isinstance(message, pb.ContactFailed)
    debtor, treatment = _load(event, message.contact_id, unit)
    at = message.at.ToDatetime(UTC)
    _count(event, unit, message.attempt_id, message.contact_id, at, _channel_of(treatment), "refused")
    if treatment is None:
        return
    if treatment.state is not TreatmentState.SENT:
        unit.treatments.move(treatment, TreatmentState.FAILED)
    if message.permanent:
        unit.ledger.save_debtor(replace(debtor, address_refused=treatment.contact_point_id))


def on_contact_denied(event: Received, unit: Unit) -> None:
    message = event.message
    assert isinstance(message, pb.ContactDenied)
    _, treatment = _load(event, message.contact_id, unit)
    if treatment is not None and treatment.state in OPEN_STATES:
        unit.treatments.move(treatment, TreatmentState.DENIED)


def on_contact_deferred(event: Received, unit: Unit) -> None:
    message = event.message
    assert isinstance(message, pb.ContactDeferred)
    _, treatment = _load(event, message.contact_id, unit)
    if treatment is not None and treatment.state in OPEN_STATES:
        until = message.until.ToDatetime(UTC) if message.HasField("until") else None
        unit.treatments.move(treatment, TreatmentState.WAITING, until)


def on_contact_held(event: Received, unit: Unit) -> None:
    """The gate wants a person: one work item per case and step."""
    message = event.message
    assert isinstance(message, pb.ContactHeld)
    _, treatment = _load(event, message.contact_id, unit)
    if treatment is None or treatment.state not in OPEN_STATES:
        return
    unit.treatments.move(treatment, TreatmentState.HELD)
    kind = "decide_contact"
    item = WorkItem(
        work_item_id=work_item_id_of(event.tenant, treatment.case_id, kind, treatment.step_no),
        tenant=event.tenant,
        debtor_id=event.debtor_id,
        kind=kind,
        reasons=tuple(message.rule_ids),
        due=event.envelope.business_date,
        treatment_id=treatment.treatment_id,
    )
    create_work_item(item, event.envelope, unit)


def on_consent_revoked(event: Received, unit: Unit) -> None:
    """The debtor said stop. What the gateway has already it stops itself."""
    debtor = unit.ledger.lock_debtor(event.tenant, event.debtor_id)
    unit.ledger.save_debtor(replace(debtor, stopped=True))


def on_reply_received(event: Received, unit: Unit) -> None:
    """A person answers. The text stays where it is: only that there is one goes on."""
    message = event.message
    assert isinstance(message, pb.ReplyReceived)
    unit.ledger.lock_debtor(event.tenant, event.debtor_id)
    kind = "answer_reply"
    item = WorkItem(
        work_item_id=work_item_id_of(event.tenant, message.message_id, kind),
        tenant=event.tenant,
        debtor_id=event.debtor_id,
        kind=kind,
        reasons=(f"the debtor replied, message {message.message_id}",),
        due=event.envelope.business_date,
    )
    create_work_item(item, event.envelope, unit)


def on_kill_switch_changed(event: Received, unit: Unit) -> None:
    message = event.message
    assert isinstance(message, pb.KillSwitchChanged)
    unit.ticks.set_kill_switch(message.scope, message.scope_id or event.tenant, message.on)


def _load(event: Received, contact_id: str, unit: Unit) -> tuple[Debtor, Treatment | None]:
    """The debtor, locked, and the treatment behind a contact; None for a contact that somebody else asked for."""
    debtor = unit.ledger.lock_debtor(event.tenant, event.debtor_id)
    return debtor, unit.treatments.of_contact(event.tenant, contact_id)


def _channel_of(treatment: Treatment | None) -> Channel:
    """Caps count over all channels, so the channel of a contact that is not ours matters to nobody."""
    return Channel.EMAIL if treatment is None else Channel(treatment.channel)


def _count(
    event: Received, unit: Unit, attempt_id: str, contact_id: str, at: datetime, channel: Channel, outcome: str
) -> None:
    attempt = PastAttempt(contact_id, at, channel, outcome)
    unit.treatments.record_attempt(event.tenant, attempt_id, event.debtor_id, attempt)

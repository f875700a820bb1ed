"""The contract events of a contact's life. Ids follow from the decision or attempt that caused them."""

from __future__ import annotations

from datetime import datetime

from duly_contracts.events import event_of
from duly_contracts.ids import derived_id
from duly_contracts.keys import debtor_key
from duly_policy import Answer, GateDecision
from google.protobuf.message import Message

from duly.contact.v1 import events_pb2 as pb
from duly.contact.v1 import types_pb2 as types
from gateway.application.answers import money, timestamp
from gateway.application.ports import EventContext, Store
from gateway.application.validation import channel_number
from gateway.domain.contact import Attempt, Contact, DebtorId, Refused, TenantId


def emit_of_contact(store: Store, contact: Contact, message: Message, cause: str, at: datetime) -> None:
    """Emit an event of this contact. cause: id of the decision or attempt; makes the event's id."""
    key = debtor_key(contact.tenant, contact.debtor_id)
    context = EventContext(
        event_id=derived_id(cause, event_of(message).type, key),
        tenant=contact.tenant,
        debtor_id=contact.debtor_id,
        at=at,
        business_date=store.business_date(contact.tenant),
        causation_id=contact.causation_id,
        correlation_id=contact.correlation_id or contact.causation_id,
        traceparent=contact.traceparent,
    )
    store.emit(message, context)


def emit_plain(
    store: Store, message: Message, cause: str, tenant: TenantId, debtor_id: DebtorId, at: datetime, causation: str = ""
) -> str:
    """Emit an event that is no contact's: a reply, a revoked consent, a switch. Returns its id."""
    event_id = derived_id(cause, event_of(message).type, debtor_key(tenant, debtor_id))
    context = EventContext(
        event_id, tenant, debtor_id, at, store.business_date(tenant), causation, causation or event_id, ""
    )
    store.emit(message, context)
    return event_id


def of_decision(contact: Contact, decision: GateDecision) -> Message | None:
    """contact.deferred, .denied or .held; None for ALLOW, which is told by what the provider says."""
    versions = [f"{name}@{version}" for name, version in decision.pack_versions]
    match decision.answer:
        case Answer.ALLOW:
            return None
        case Answer.DEFER:
            return pb.ContactDeferred(
                contact_id=contact.contact_id,
                debtor_id=contact.debtor_id,
                phase=types.GATE_PHASE_SEND,
                decision_id=decision.decision_id,
                rule_ids=decision.rule_ids,
                pack_versions=versions,
                until=timestamp(decision.until),
            )
        case Answer.DENY:
            return pb.ContactDenied(
                contact_id=contact.contact_id,
                debtor_id=contact.debtor_id,
                phase=types.GATE_PHASE_SEND,
                decision_id=decision.decision_id,
                rule_ids=decision.rule_ids,
                pack_versions=versions,
            )
        case Answer.HUMAN:
            return pb.ContactHeld(
                contact_id=contact.contact_id,
                debtor_id=contact.debtor_id,
                phase=types.GATE_PHASE_SEND,
                decision_id=decision.decision_id,
                rule_ids=decision.rule_ids,
                pack_versions=versions,
                not_before=timestamp(decision.not_before),
            )


def sent(contact: Contact, attempt: Attempt) -> pb.ContactSent:
    return pb.ContactSent(
        contact_id=contact.contact_id,
        attempt_id=attempt.attempt_id,
        debtor_id=contact.debtor_id,
        provider=attempt.provider,
        channel=channel_number(attempt.channel),
        sent_at=timestamp(attempt.at),
        content_sha256=attempt.content_sha256,
        amount_claimed=money(attempt.amount_claimed),
        ledger_version=attempt.ledger_version,
        decision_id=attempt.decision_id,
        template_id=contact.template_id,
        template_version=contact.template_version,
    )


def unknown(contact: Contact, attempt: Attempt, code: str) -> pb.ContactUnknown:
    return pb.ContactUnknown(
        contact_id=contact.contact_id,
        attempt_id=attempt.attempt_id,
        debtor_id=contact.debtor_id,
        at=timestamp(attempt.at),
        provider_code=code,
    )


def failed(contact: Contact, attempt: Attempt, refusal: Refused) -> pb.ContactFailed:
    return pb.ContactFailed(
        contact_id=contact.contact_id,
        attempt_id=attempt.attempt_id,
        debtor_id=contact.debtor_id,
        at=timestamp(attempt.at),
        provider_code=refusal.code,
        permanent=refusal.permanent,
    )

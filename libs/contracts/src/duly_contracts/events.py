"""Every event Duly knows: its `ce_type`, its message class and its topic. One row per event and version."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import DecodeError, Message

from duly.contact.v1 import events_pb2 as contact
from duly.ingress.v1 import events_pb2 as ingress
from duly.ledger.v1 import events_pb2 as ledger
from duly.outreach.v1 import events_pb2 as outreach
from duly.risk.v1 import events_pb2 as risk


class EventUnknown(ValueError):
    """No event of that type is known here: an unknown name or major version. Goes to the DLQ, never a default."""

    code = "event_unknown"


class EventUndecodable(ValueError):
    """The value is not the protobuf message its type promises, or holds an enum value unknown here."""

    code = "event_undecodable"


@dataclass(frozen=True, slots=True)
class EventType:
    """One event: `name` is short (`payment.received`), `type` the CloudEvents type, `topic` where it is written."""

    name: str
    message: type[Message]
    topic: str
    version: int = 1

    @property
    def type(self) -> str:
        return f"duly.{self.name}.v{self.version}"


_LEDGER = "ledger-events"
_RISK = "risk-scores"
_OUTREACH = "outreach-events"
_CONTACT = "contact-events"

EVENTS: tuple[EventType, ...] = (
    EventType("ingress.received", ingress.IngressReceived, "ingress-raw"),
    EventType("party.upserted", ledger.PartyUpserted, _LEDGER),
    EventType("invoice.issued", ledger.InvoiceIssued, _LEDGER),
    EventType("invoice.revised", ledger.InvoiceRevised, _LEDGER),
    EventType("invoice.voided", ledger.InvoiceVoided, _LEDGER),
    EventType("invoice.disputed", ledger.InvoiceDisputed, _LEDGER),
    EventType("invoice.dispute_resolved", ledger.InvoiceDisputeResolved, _LEDGER),
    EventType("invoice.written_off", ledger.InvoiceWrittenOff, _LEDGER),
    EventType("credit_note.issued", ledger.CreditNoteIssued, _LEDGER),
    EventType("credit_note.voided", ledger.CreditNoteVoided, _LEDGER),
    EventType("payment.received", ledger.PaymentReceived, _LEDGER),
    EventType("payment.reversed", ledger.PaymentReversed, _LEDGER),
    EventType("allocation.applied", ledger.AllocationApplied, _LEDGER),
    EventType("allocation.removed", ledger.AllocationRemoved, _LEDGER),
    EventType("ledger.drift_detected", ledger.LedgerDriftDetected, _LEDGER),
    EventType("ledger.drift_cleared", ledger.LedgerDriftCleared, _LEDGER),
    # Also in any other topic whose dead letter was dismissed: it stands where the event itself would (ADR 15).
    EventType("ledger.event_dismissed", ledger.LedgerEventDismissed, _LEDGER),
    EventType("calendar.business_date_advanced", ledger.CalendarBusinessDateAdvanced, _LEDGER),
    EventType("risk.score_updated", risk.RiskScoreUpdated, _RISK),
    EventType("risk.segment_changed", risk.RiskSegmentChanged, _RISK),
    EventType("risk.debtor_degraded", risk.RiskDebtorDegraded, _RISK),
    EventType("risk.debtor_restored", risk.RiskDebtorRestored, _RISK),
    EventType("risk.model_promoted", risk.RiskModelPromoted, "model-control"),
    EventType("risk.model_rolled_back", risk.RiskModelRolledBack, "model-control"),
    EventType("invoice.overdue", outreach.InvoiceOverdue, _OUTREACH),
    EventType("invoice.paid", outreach.InvoicePaid, _OUTREACH),
    EventType("case.opened", outreach.CaseOpened, _OUTREACH),
    EventType("case.closed", outreach.CaseClosed, _OUTREACH),
    EventType("treatment.decided", outreach.TreatmentDecided, _OUTREACH),
    EventType("contact.planned", outreach.ContactPlanned, _OUTREACH),
    EventType("contact.cancelled", outreach.ContactCancelled, _OUTREACH),
    EventType("work_item.created", outreach.WorkItemCreated, _OUTREACH),
    EventType("contact.sent", contact.ContactSent, _CONTACT),
    EventType("contact.unknown", contact.ContactUnknown, _CONTACT),
    EventType("contact.failed", contact.ContactFailed, _CONTACT),
    EventType("contact.deferred", contact.ContactDeferred, _CONTACT),
    EventType("contact.denied", contact.ContactDenied, _CONTACT),
    EventType("contact.held", contact.ContactHeld, _CONTACT),
    EventType("consent.revoked", contact.ConsentRevoked, _CONTACT),
    EventType("control.kill_switch_changed", contact.KillSwitchChanged, _CONTACT),
    EventType("reply.received", contact.ReplyReceived, "inbound-messages"),
)


@cache
def _by_type() -> dict[str, EventType]:
    return {event.type: event for event in EVENTS}


@cache
def _by_message() -> dict[type[Message], EventType]:
    return {event.message: event for event in EVENTS}


def event_by_type(ce_type: str) -> EventType:
    """The event of a CloudEvents type. Raises EventUnknown."""
    try:
        return _by_type()[ce_type]
    except KeyError:
        raise EventUnknown(f"event type {ce_type!r} is not known to this version") from None


def event_of(message: Message) -> EventType:
    """The event a message belongs to. Raises EventUnknown for a message that is none."""
    try:
        return _by_message()[type(message)]
    except KeyError:
        raise EventUnknown(f"{type(message).__name__} is no event") from None


def decode(ce_type: str, value: bytes) -> Message:
    """The message of a record. Raises EventUnknown or EventUndecodable (also for an enum value unknown here)."""
    event = event_by_type(ce_type)
    message = event.message()
    try:
        message.ParseFromString(value)
    except DecodeError as error:
        raise EventUndecodable(f"{event.name}: {error}") from error
    _require_known_enums(message, event.name)
    return message


def encode(message: Message) -> bytes:
    """Deterministic bytes: equal messages give equal bytes."""
    return message.SerializeToString(deterministic=True)


def _require_known_enums(message: Message, where: str) -> None:
    for field in _with_enums(message.DESCRIPTOR):
        if field.is_repeated:
            values = getattr(message, field.name)
        else:
            values = (getattr(message, field.name),) if not field.has_presence or message.HasField(field.name) else ()
        if field.enum_type is not None:
            unknown = [number for number in values if number not in field.enum_type.values_by_number]
            if unknown:
                raise EventUndecodable(f"{where}.{field.name}: enum value {unknown[0]} is not known to this version")
        else:
            for nested in values:
                _require_known_enums(nested, f"{where}.{field.name}")


@cache
def _with_enums(descriptor: Descriptor) -> tuple[FieldDescriptor, ...]:
    """The fields of a message that are enums, or messages with an enum somewhere inside; no event holds itself."""
    return tuple(field for field in descriptor.fields if field.enum_type is not None or _holds_enums(field))


def _holds_enums(field: FieldDescriptor) -> bool:
    nested = field.message_type
    return nested is not None and not nested.GetOptions().map_entry and bool(_with_enums(nested))

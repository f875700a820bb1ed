"""Events of ours: ids from their cause, so that a replay collides instead of doubling."""

from __future__ import annotations

from datetime import date

from duly_contracts.envelope import Envelope
from duly_contracts.events import event_of
from duly_contracts.ids import derived_id
from duly_contracts.keys import debtor_key
from google.protobuf.message import Message

from outreach.application.ports import Unit


def emit_caused(
    unit: Unit, cause: Envelope, debtor_id: str, message: Message, ordinal: int = 0, business_date: date | None = None
) -> Envelope:
    """Emit an event of this debtor that follows from `cause`; returns its envelope, the cause of what follows next.

    ordinal tells events of one type and cause apart. The event's time is its cause's, never a clock's.
    """
    event = event_of(message)
    key = debtor_key(cause.tenant, debtor_id)
    envelope = Envelope(
        id=derived_id(cause.id, event.type, key, ordinal),
        type=event.type,
        source=f"/tenants/{cause.tenant}/services/outreach",
        subject=debtor_id,
        time=cause.time,
        tenant=cause.tenant,
        business_date=business_date or cause.business_date,
        correlation_id=cause.correlation_id or cause.id,
        causation_id=cause.id,
    )
    unit.emit(message, key, envelope)
    return envelope

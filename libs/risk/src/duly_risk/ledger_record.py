"""Which records of `ledger-events` count: scoring folds them, commands read them, all else is put aside."""

from __future__ import annotations

from typing import NamedTuple

from duly_contracts.envelope import Envelope
from duly_contracts.events import decode, event_of
from duly_contracts.keys import split_key
from google.protobuf.message import Message

from duly_risk.event_codec import EventUnusable, decode_event
from duly_risk.facts import RiskEvent


class LedgerRecord(NamedTuple):
    """event: as the fold reads it; message: what it was decoded from. debtor_id: '' for a tick."""

    event: RiskEvent
    message: Message
    tenant: str
    debtor_id: str


def ledger_record(envelope: Envelope, key: bytes, value: bytes) -> LedgerRecord:
    """envelope: by `Envelope.of_record`. Raises EventUnknown, EventUndecodable, EventUnusable, UnicodeDecodeError."""
    message = decode(envelope.type, value)
    event = decode_event(
        event_id=envelope.id,
        name=event_of(message).name,
        business_date=envelope.business_date,
        backfill=envelope.backfill,
        message=message,
        source_version=envelope.source_version,
    )
    tenant, debtor_id = split_key(key)
    if event.is_tick:
        return LedgerRecord(event, message, tenant, "")
    if not debtor_id:
        raise EventUnusable(f"{event.name}: the key names no debtor")
    return LedgerRecord(event, message, tenant, debtor_id)

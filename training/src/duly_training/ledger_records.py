"""A record of `ledger-events` as commands read it: one that scoring put aside as a dead letter is none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from duly_contracts.envelope import Envelope
from duly_contracts.events import decode, event_of
from duly_contracts.keys import KEY_BYTES_MAX, split_key, tenant_of
from duly_risk.event_codec import EventUnusable, decode_event
from google.protobuf.message import Message

from duly.ledger.v1 import events_pb2 as ledger


@dataclass(frozen=True, slots=True)
class LedgerRecord:
    """An event that the fold can use. debtor_id: '' for a tick."""

    envelope: Envelope
    debtor_id: str
    message: Message

    @property
    def is_tick(self) -> bool:
        return isinstance(self.message, ledger.CalendarBusinessDateAdvanced)


def is_of(raw: Any, tenant: str) -> bool:
    """Whose a record is, by its key: also of one that is no event."""
    return tenant_of(raw.key or b"") == tenant.encode()


def ledger_record(raw: Any) -> LedgerRecord:
    """By the rules of scoring, `tests/integration/parity` holds both to them. Raises ValueError for what breaks one."""
    key = raw.key or b""
    if len(key) > KEY_BYTES_MAX:
        raise EventUnusable(f"a key of {len(key)} bytes")
    envelope = Envelope.of_record(key, raw.headers or ())
    message = decode(envelope.type, raw.value or b"")
    decode_event(
        event_id=envelope.id,
        name=event_of(message).name,
        business_date=envelope.business_date,
        backfill=envelope.backfill,
        message=message,
        source_version=envelope.source_version,
    )
    record = LedgerRecord(envelope, split_key(key)[1], message)
    if not record.is_tick and not record.debtor_id:
        raise EventUnusable(f"{event_of(message).name}: the key names no debtor")
    return record

"""A raw record of `ledger-events` as commands read it: what scoring puts aside as a dead letter is none."""

from __future__ import annotations

from typing import Any

from duly_contracts.envelope import Envelope
from duly_contracts.keys import KEY_BYTES_MAX, tenant_of
from duly_risk.event_codec import EventUnusable
from duly_risk.ledger_record import LedgerRecord, ledger_record


def is_of(raw: Any, tenant: str) -> bool:
    """Whose a record is, by its key: also of one that is no event."""
    return tenant_of(raw.key or b"") == tenant.encode()


def read_record(raw: Any) -> tuple[Envelope, LedgerRecord]:
    """raw: of a Kafka client. Raises ValueError for what scoring puts aside."""
    key = raw.key or b""
    if len(key) > KEY_BYTES_MAX:
        raise EventUnusable(f"a key of {len(key)} bytes")
    envelope = Envelope.of_record(key, raw.headers or ())
    return envelope, ledger_record(envelope, key, raw.value or b"")

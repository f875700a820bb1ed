"""A record of `ledger-events` as the fold reads it, or the reason why nobody can use it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from duly_contracts.envelope import Envelope, EnvelopeInvalid
from duly_contracts.events import EventUndecodable, EventUnknown
from duly_contracts.ids import record_id
from duly_contracts.keys import KEY_BYTES_MAX, split_key
from duly_risk.event_codec import EventUnusable
from duly_risk.facts import Position, RiskEvent
from duly_risk.ledger_record import ledger_record
from duly_runtime.log import Record

from duly.ledger.v1 import events_pb2 as ledger


class Usable(NamedTuple):
    """One event. part, parts: slice of a tick; debtor_id is empty for a tick."""

    record: Record
    envelope: Envelope
    event: RiskEvent
    position: Position
    tenant: str
    debtor_id: str
    part: int = 0
    parts: int = 1


@dataclass(frozen=True, slots=True)
class Poison:
    """A record that no retry can help. debtor_id is empty where nobody can be blamed: a tick, a key of no use."""

    record: Record
    envelope: Envelope | None
    event_id: str
    debtor_id: str
    reason: str
    detail: str

    @property
    def position(self) -> Position:
        return Position(self.record.partition, self.record.offset)


def decode_record(record: Record) -> Usable | Poison:
    """Never raises: what is wrong with the record is the answer."""
    envelope: Envelope | None = None
    try:
        if len(record.key) > KEY_BYTES_MAX:
            return poison(record, None, "key_invalid", f"a key of {len(record.key)} bytes", debtor_id="")
        envelope = Envelope.of_record(record.key, record.headers)
        return _usable(record, envelope)
    except (EnvelopeInvalid, EventUnknown, EventUndecodable, EventUnusable) as error:
        return poison(record, envelope, error.code, str(error))
    except UnicodeDecodeError as error:
        return poison(record, envelope, "key_invalid", str(error))


def poison(record: Record, envelope: Envelope | None, reason: str, detail: str, debtor_id: str | None = None) -> Poison:
    """The record put aside; its id is the event's, or made of its place where the headers name none."""
    event_id = envelope.id if envelope else _id_of(record)
    blamed = _debtor_of(record.key) if debtor_id is None else debtor_id
    return Poison(record, envelope, event_id, blamed, reason, detail)


def _usable(record: Record, envelope: Envelope) -> Usable:
    event, message, tenant, debtor_id = ledger_record(envelope, record.key, record.value)
    position = Position(record.partition, record.offset)
    if isinstance(message, ledger.CalendarBusinessDateAdvanced):
        return Usable(record, envelope, event, position, tenant, debtor_id, message.slice, message.slices or 1)
    return Usable(record, envelope, event, position, tenant, debtor_id)


def _debtor_of(key: bytes) -> str:
    try:
        tenant, debtor_id = split_key(key)
    except UnicodeDecodeError:
        return ""
    return debtor_id if tenant else ""


def _id_of(record: Record) -> str:
    return record_id(record.headers, record.topic, record.partition, record.offset)

"""A delivery and what becomes of the events in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from google.protobuf.message import Message

from ledger_sync.domain.facts import Fact


class Framing(StrEnum):
    """How CloudEvents lie in a body (CloudEvents HTTP binding)."""

    BINARY = "binary"
    STRUCTURED = "structured"
    BATCH = "batch"


@dataclass(frozen=True, slots=True)
class Delivery:
    """What a source sent, byte for byte.

    tenant: from the sender's token, never from the body. headers: lower-case names; `ce-*` and content-type only.
    key: id of this content of this delivery, the cause of everything in it.
    """

    tenant: str
    delivery_id: str
    key: str
    framing: Framing
    headers: Mapping[str, str]
    body: bytes
    received_at: datetime
    traceparent: str = ""


class Fault(StrEnum):
    """Why an event is refused: not CloudEvents JSON, more than the bounds, another tenant's, or breaking a rule."""

    MALFORMED = "malformed"
    TOO_LARGE = "too_large"
    FOREIGN = "foreign"
    INVALID = "invalid"


@dataclass(frozen=True, slots=True)
class Rejection:
    """An event that is no fact. position: in the delivery, from 0. text may quote the event: never log it.

    unreadable: it stands for a whole body in which no event could be told from another.
    """

    position: int
    event_id: str
    event_type: str
    fault: Fault
    code: str
    text: str
    debtor_id: str = ""
    raw: bytes = b""
    unreadable: bool = False


@dataclass(frozen=True, slots=True)
class MappedFact:
    """An event that is a canonical fact.

    event_id, source: the CloudEvent's own. fact_id: id of the fact in our log. content: deterministic protobuf bytes.
    cause_id: key of the delivery. ingested_at: RFC 3339 instant of the delivery.
    """

    position: int
    event_id: str
    source: str
    fact_id: str
    debtor_id: str
    event_type: str
    message: Message
    content: bytes
    fact: Fact
    time: datetime
    backfill: bool
    cause_id: str
    ingested_at: str
    traceparent: str = ""


Mapped = MappedFact | Rejection


@dataclass(frozen=True, slots=True)
class RawEvent:
    """One CloudEvent as JSON: attributes and data, unchecked. headers mode gives texts only."""

    position: int
    attributes: Mapping[str, Any] = field(default_factory=dict)
    data: Any = None

    def text(self, name: str) -> str:
        """An attribute as text; '' where it is absent or no text."""
        value = self.attributes.get(name, "")
        return value if isinstance(value, str) else ""

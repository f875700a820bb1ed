"""The ERP's side of ledger-sync: facts as CloudEvents batches, and the ticks of simulated time."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Protocol

from duly_contracts.envelope import format_instant
from duly_contracts.events import event_of
from duly_ledger_export.facts import DatedFact
from google.protobuf.json_format import MessageToDict

from duly_simulator.edge import Edge, content_id

BATCH_EVENTS_MAX = 500
# The edge takes 1 MiB; half of it keeps a delivery below the log's own limit with room to spare.
BATCH_BYTES_MAX = 512 * 1024
_ACCEPTED = "accepted"


@dataclass(frozen=True, slots=True)
class Rejection:
    """A fact that ledger-sync would not take."""

    event_id: str
    event: str
    reason: str


class Erp(Protocol):
    """What a player needs of an ERP."""

    def send(self, facts: Sequence[DatedFact], *, backfill: bool) -> list[Rejection]:
        """Hands the facts over in that order; returns those that were rejected once the others are kept."""

    def tick(self, business_date: date, instant: datetime, *, backfill: bool) -> None:
        """Moves the tenant's business date (simulated time only)."""


@dataclass(frozen=True, slots=True)
class HttpErp:
    """Speaks the public edge of ledger-sync. tenant, source: the ledger `/tenants/<tenant>/ledgers/<source>`."""

    edge: Edge
    tenant: str
    source: str

    def send(self, facts: Sequence[DatedFact], *, backfill: bool) -> list[Rejection]:
        """Batches of at most 500 events and 512 KiB, one after the other. Raises as `Edge.post`."""
        rejections: list[Rejection] = []
        for batch in batches([encode_event(fact, self.tenant, self.source, backfill) for fact in facts]):
            rejections += self._post(batch, facts)
        return rejections

    def tick(self, business_date: date, instant: datetime, *, backfill: bool) -> None:
        """Raises as `Edge.post`."""
        body = {
            "tenant": self.tenant,
            "business_date": business_date.isoformat(),
            "instant": format_instant(instant),
            "backfill": backfill,
        }
        content = _json_bytes(body)
        self.edge.post("/v1/ticks", content, {"Content-Type": "application/json", **_delivery(content)})

    def _post(self, batch: bytes, facts: Sequence[DatedFact]) -> list[Rejection]:
        headers = {"Content-Type": "application/cloudevents-batch+json", **_delivery(batch)}
        answer = self.edge.post("/v1/events", batch, headers)
        refused = [result for result in answer.get("results", []) if result.get("status") != _ACCEPTED]
        names = {fact.event_id: fact.event for fact in facts} if refused else {}
        return [_rejection(result, names) for result in refused]


def encode_event(fact: DatedFact, tenant: str, source: str, backfill: bool) -> bytes:
    """One CloudEvent as JSON bytes; equal facts give equal bytes."""
    event = {
        "specversion": "1.0",
        "id": fact.event_id,
        "type": event_of(fact.message).type,
        "source": f"/tenants/{tenant}/ledgers/{source}",
        "subject": fact.debtor_id,
        "time": format_instant(fact.time),
        "sourceversion": fact.source_version,
        "datacontenttype": "application/json",
        "data": MessageToDict(fact.message),
    }
    if backfill:
        event["backfill"] = "true"
    return _json_bytes(event)


def batches(events: Sequence[bytes]) -> Iterator[bytes]:
    """JSON arrays of the events in order, each within both limits."""
    batch: list[bytes] = []
    size = 2
    for event in events:
        if batch and (len(batch) == BATCH_EVENTS_MAX or size + len(event) + 1 > BATCH_BYTES_MAX):
            yield b"[" + b",".join(batch) + b"]"
            batch, size = [], 2
        batch.append(event)
        size += len(event) + 1
    if batch:
        yield b"[" + b",".join(batch) + b"]"


def _rejection(result: Mapping[str, str], names: Mapping[str, str]) -> Rejection:
    """One refused result of an answer: `reason` is a stable code, `detail` says it in words where there are any."""
    event_id = result.get("id", "")
    reason = ": ".join(text for text in (result.get("reason"), result.get("detail")) if text)
    return Rejection(event_id, names.get(event_id, ""), reason)


def _delivery(content: bytes) -> dict[str, str]:
    """The same content is the same delivery, also after a lost answer."""
    delivery = content_id(content)
    return {"Idempotency-Key": delivery, "X-Duly-Delivery": delivery}


def _json_bytes(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()

"""The event envelope: CloudEvents 1.0 attributes in Kafka headers, one protobuf message as the value."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime
from typing import ClassVar, NamedTuple

from duly_contracts.ids import ID_BYTES_MAX
from duly_contracts.keys import tenant_of

Headers = list[tuple[str, bytes]]

CONTENT_TYPE = "application/protobuf"
_REQUIRED = ("ce_id", "ce_type", "ce_source", "ce_time", "ce_tenantid")
# Attributes become parts of keys, indexes and of whatever follows from the event, which have their limits.
_LONGEST = {"ce_sourceversion": 100}
_SHORTEST_LIMIT = min(ID_BYTES_MAX, *_LONGEST.values())


class EnvelopeInvalid(ValueError):
    """The headers of a record are not a CloudEvents envelope of ours."""

    code: ClassVar[str] = "envelope_invalid"


class Envelope(NamedTuple):
    """What is known of an event without decoding its value.

    time: business time of the event (aware UTC), part of the event, never a wall clock of the reader.
    business_date: the tenant's business date when the fact was recorded; None where the sender has none.
    backfill: history that moves state and views but causes neither scores nor treatments.
    """

    id: str
    type: str
    source: str
    subject: str
    time: datetime
    tenant: str
    business_date: date | None = None
    source_version: str = ""
    ingested_at: str = ""
    correlation_id: str = ""
    causation_id: str = ""
    traceparent: str = ""
    backfill: bool = False

    def to_headers(self) -> Headers:
        """Kafka headers; empty attributes are left out, the order is fixed."""
        attributes = (
            ("ce_id", self.id),
            ("ce_type", self.type),
            ("ce_source", self.source),
            ("ce_subject", self.subject),
            ("ce_time", format_instant(self.time)),
            ("ce_tenantid", self.tenant),
            ("ce_businessdate", self.business_date.isoformat() if self.business_date else ""),
            ("ce_sourceversion", self.source_version),
            ("ce_ingestedat", self.ingested_at),
            ("ce_correlationid", self.correlation_id),
            ("ce_causationid", self.causation_id),
            ("ce_backfill", "true" if self.backfill else ""),
            ("content-type", CONTENT_TYPE),
            ("traceparent", self.traceparent),
        )
        return [("ce_specversion", b"1.0"), *[(name, value.encode()) for name, value in attributes if value]]

    @staticmethod
    def from_headers(headers: Iterable[tuple[str, bytes | None]]) -> Envelope:
        """The envelope in a record's headers; a null one is empty. Raises EnvelopeInvalid, naming what is wrong."""
        try:
            values = {}
            for name, raw in headers:
                if raw and len(raw) > _SHORTEST_LIMIT:
                    _check_length(name, len(raw))
                values[name] = raw.decode() if raw else ""
            missing = [name for name in _REQUIRED if not values.get(name)]
            if missing:
                raise EnvelopeInvalid(f"header {', '.join(missing)} missing")
            business_date, traceparent = values.get("ce_businessdate", ""), values.get("traceparent", "")
            return Envelope(
                id=values["ce_id"],
                type=values["ce_type"],
                source=values["ce_source"],
                subject=values.get("ce_subject", ""),
                time=parse_instant(values["ce_time"]),
                tenant=values["ce_tenantid"],
                business_date=date.fromisoformat(business_date) if business_date else None,
                source_version=values.get("ce_sourceversion", ""),
                ingested_at=values.get("ce_ingestedat", ""),
                correlation_id=values.get("ce_correlationid", ""),
                causation_id=values.get("ce_causationid", ""),
                traceparent=traceparent if len(traceparent) <= ID_BYTES_MAX else "",  # no part of the event
                backfill=values.get("ce_backfill", "") == "true",
            )
        except (ValueError, AttributeError, OverflowError) as error:  # Overflow: an instant before or after any year
            if isinstance(error, EnvelopeInvalid):
                raise
            raise EnvelopeInvalid(f"header value malformed: {error}") from error

    @staticmethod
    def of_record(key: bytes, headers: Iterable[tuple[str, bytes | None]]) -> Envelope:
        """The envelope of a record whose key begins with its tenant. Raises EnvelopeInvalid, also for two tenants."""
        envelope = Envelope.from_headers(headers)
        if tenant_of(key) != envelope.tenant.encode():
            raise EnvelopeInvalid("the key and header ce_tenantid name two tenants")
        return envelope

    def with_traceparent(self, traceparent: str) -> Envelope:
        """The same envelope inside another span."""
        return self._replace(traceparent=traceparent)


def _check_length(name: str, length: int) -> None:
    longest = _LONGEST.get(name, ID_BYTES_MAX)
    if name.startswith("ce_") and length > longest:
        raise EnvelopeInvalid(f"header {name[:100]} longer than {longest} bytes")


def format_instant(instant: datetime) -> str:
    """RFC 3339 in UTC with microseconds only where there are any. Raises ValueError for a naive datetime."""
    if instant.tzinfo is None:
        raise ValueError("instant without a time zone")
    utc = instant if instant.tzinfo is UTC else instant.astimezone(UTC)
    return utc.isoformat().removesuffix("+00:00") + "Z"


def parse_instant(text: str) -> datetime:
    """An aware UTC instant. Raises ValueError for text without an offset, or outside the years 1 to 9999 in UTC."""
    instant = datetime.fromisoformat(text)
    if instant.tzinfo is None:
        raise ValueError(f"instant {text!r} without a time zone")
    try:
        return instant.astimezone(UTC)
    except OverflowError as error:
        raise ValueError(f"instant {text!r} is on no calendar in UTC") from error

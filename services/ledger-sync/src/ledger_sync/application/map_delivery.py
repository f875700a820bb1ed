"""From a delivery to canonical facts: one pure mapping answers the sender and, behind the line, feeds the mirror."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

from duly_contracts.envelope import format_instant, parse_instant
from duly_contracts.events import EventUndecodable, EventUnknown, decode, encode, event_by_type
from duly_contracts.ids import fact_id
from google.protobuf.json_format import Error as JsonFormatError
from google.protobuf.json_format import ParseDict
from google.protobuf.message import Error as ProtobufError
from google.protobuf.message import Message

from duly.ledger.v1 import events_pb2 as pb
from ledger_sync.application.cloudevents import DeliveryUnreadable, read_events
from ledger_sync.application.delivery import Delivery, Fault, Mapped, MappedFact, RawEvent, Rejection
from ledger_sync.application.fact_rules import ID_LENGTH_MAX, RULES, FactInvalid, check, fact_of, rule_of

_RAW_BYTES_MAX = 16 * 1024
_TRACEPARENT = re.compile(r"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
_VERSION_LENGTH_MAX = 100
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# What protobuf raises for hostile JSON. SystemError: upb, for a field name with a lone surrogate.
_NOT_PROTOBUF_JSON = (
    JsonFormatError, ProtobufError, ValueError, TypeError, LookupError, AttributeError, OverflowError, RecursionError,
    SystemError,
)  # fmt: skip


class _Refused(ValueError):
    def __init__(self, fault: Fault, code: str, text: str) -> None:
        super().__init__(text)
        self.fault = fault
        self.code = code


def map_delivery(delivery: Delivery) -> list[Mapped]:
    """One result per event, in order; a body without readable events gives one rejection. Raises nothing."""
    try:
        events = read_events(delivery)
    except DeliveryUnreadable as error:
        raw = delivery.body[:_RAW_BYTES_MAX]
        return [Rejection(0, "", "", error.fault, error.code, str(error), raw=raw, unreadable=True)]
    return [_map_event(delivery, event) for event in events]


def connector_of(delivery: Delivery) -> str:
    """The connector the first readable `source` names; `unknown` where there is none."""
    try:
        events = read_events(delivery)
    except DeliveryUnreadable:
        return _NO_CONNECTOR
    for event in events:
        parts = event.text("source").split("/")
        if len(parts) == 5 and _is_name(parts[4]):
            return parts[4]
    return _NO_CONNECTOR


_NO_CONNECTOR = "unknown"


def event_ids(mapped: list[Mapped]) -> list[str]:
    """The senders' own event ids, in order."""
    return [result.event_id for result in mapped]


def _map_event(delivery: Delivery, event: RawEvent) -> Mapped:
    try:
        return _mapped(delivery, event)
    except (_Refused, FactInvalid) as error:
        fault = error.fault if isinstance(error, _Refused) else Fault.INVALID
        return Rejection(
            position=event.position,
            event_id=_kept(event.text("id")),
            event_type=_kept(event.text("type")),
            fault=fault,
            code=error.code,
            text=_quoted(str(error)),
            debtor_id=_kept(event.text("subject")),
            raw=_raw(event),
        )


def _mapped(delivery: Delivery, event: RawEvent) -> MappedFact:
    if event.attributes.get("specversion") != "1.0":
        raise _Refused(Fault.MALFORMED, "not_a_cloudevent", "specversion: a CloudEvent of version 1.0 is needed")
    event_id = _attribute(event, "id")
    ce_type = _attribute(event, "type")
    subject = _attribute(event, "subject")
    source = _attribute(event, "source")
    connector = _connector(source, delivery.tenant)
    message = _message(ce_type, event.data, subject)
    check(message)
    time = _time(event, delivery.received_at)
    version = _version(event, time)
    content = encode(message)
    rule = rule_of(message)
    name = event_by_type(ce_type).name
    external_id = getattr(message, rule.external_id)
    return MappedFact(
        position=event.position,
        event_id=event_id,
        source=source,
        fact_id=fact_id(delivery.tenant, connector, rule.entity, external_id, version, name),
        debtor_id=subject,
        event_type=ce_type,
        message=message,
        content=content,
        fact=fact_of(message, version, content),
        time=time,
        backfill=_backfill(event),
        cause_id=delivery.key,
        ingested_at=format_instant(delivery.received_at),
        traceparent=_traceparent(event, delivery),
    )


def _attribute(event: RawEvent, name: str) -> str:
    value = event.attributes.get(name)
    if value is None or value == "":
        raise _Refused(Fault.MALFORMED, "attribute_missing", f"{name}: required")
    if not isinstance(value, str) or len(value) > ID_LENGTH_MAX or not value.isprintable():
        raise _Refused(Fault.MALFORMED, "attribute_invalid", f"{name}: at most {ID_LENGTH_MAX} printable characters")
    return value


def _connector(source: str, tenant: str) -> str:
    parts = source.split("/")
    if len(parts) != 5 or (parts[0], parts[1], parts[3]) != ("", "tenants", "ledgers") or not _is_name(parts[4]):
        raise _Refused(Fault.INVALID, "source_invalid", "source: /tenants/<tenant>/ledgers/<connector> is needed")
    if parts[2] != tenant:
        raise _Refused(Fault.FOREIGN, "source_foreign", "source: names another tenant than the token")
    return parts[4]


def _is_name(text: str) -> bool:
    return re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", text) is not None


def _message(ce_type: str, data: Any, subject: str) -> Message:
    try:
        message = event_by_type(ce_type).message()
    except EventUnknown as error:
        raise _Refused(Fault.INVALID, "type_unknown", str(error)) from None
    if type(message) not in RULES:
        raise _Refused(Fault.INVALID, "type_not_allowed", f"{ce_type} is not for sources to send")
    if not isinstance(data, dict):
        raise _Refused(Fault.INVALID, "data_missing", "data: a JSON object is needed")
    try:
        ParseDict(data, message, max_recursion_depth=10)
        if not message.debtor_id:  # type: ignore[attr-defined]  # every rule's message has one
            message.debtor_id = subject  # type: ignore[attr-defined]
        if isinstance(message, pb.PartyUpserted) and not message.kind:
            message.kind = pb.PARTY_KIND_UNKNOWN
        message = decode(ce_type, encode(message))
    except _NOT_PROTOBUF_JSON as error:
        code = error.code if isinstance(error, EventUndecodable) else "data_invalid"
        reason = "no JSON of this event" if isinstance(error, SystemError) else str(error).partition("\n")[0]
        raise _Refused(Fault.INVALID, code, f"data: {reason}") from None
    if message.debtor_id != subject:  # type: ignore[attr-defined]
        raise _Refused(Fault.INVALID, "subject_mismatch", "subject: must be the debtor that data names")
    return message


def _time(event: RawEvent, received_at: datetime) -> datetime:
    if "time" not in event.attributes:
        return received_at
    try:
        return parse_instant(event.text("time"))
    except (ValueError, OverflowError):
        raise _Refused(Fault.MALFORMED, "attribute_invalid", "time: RFC 3339 with an offset is needed") from None


def _version(event: RawEvent, time: datetime) -> str:
    """The source's own version as digits: a number as it is, an instant in microseconds (16 digits, like the export's).

    Without one, the event's time. Nothing else: of `v9` and `v10` nobody but the source knows which is newer.
    """
    if "sourceversion" not in event.attributes:
        return _microseconds(time, "time")
    version = event.attributes["sourceversion"]
    text = str(version) if isinstance(version, int) and not isinstance(version, bool) else event.text("sourceversion")
    if len(text) <= _VERSION_LENGTH_MAX and text.isascii() and text.isdigit():
        return text
    try:
        instant = parse_instant(text)
    except (ValueError, OverflowError):
        raise _Refused(
            Fault.MALFORMED,
            "attribute_invalid",
            f"sourceversion: a whole number of up to {_VERSION_LENGTH_MAX} digits, or an RFC 3339 instant with an"
            " offset, is needed: other texts have no order",
        ) from None
    return _microseconds(instant, "sourceversion")


def _microseconds(instant: datetime, name: str) -> str:
    if instant < _EPOCH:
        raise _Refused(Fault.MALFORMED, "attribute_invalid", f"{name}: an instant of 1970 or later is needed")
    return str((instant - _EPOCH) // timedelta(microseconds=1)).rjust(16, "0")


def _backfill(event: RawEvent) -> bool:
    match event.attributes.get("backfill", False):
        case True | "true":
            return True
        case False | "false":
            return False
        case _:
            raise _Refused(Fault.MALFORMED, "attribute_invalid", "backfill: true or false is needed")


def _traceparent(event: RawEvent, delivery: Delivery) -> str:
    own = event.text("traceparent")
    return own if _TRACEPARENT.fullmatch(own) else delivery.traceparent


def _kept(text: str) -> str:
    """What the quarantine may keep of an attribute that was not checked."""
    return "".join(char for char in text[:ID_LENGTH_MAX] if char.isprintable())


def _quoted(text: str) -> str:
    """A reason that may quote the event: what neither UTF-8 nor PostgreSQL's text can hold is left out."""
    return text[:500].encode("utf-8", "ignore").decode().replace("\x00", "")


def _raw(event: RawEvent) -> bytes:
    document = {**event.attributes, "data": event.data}
    try:
        return json.dumps(document, ensure_ascii=True).encode()[:_RAW_BYTES_MAX]
    except RecursionError:  # nested to the very depth that could just be read
        return b""

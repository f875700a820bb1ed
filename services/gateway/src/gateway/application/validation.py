"""Reads requests into domain values; what is missing or malformed is named by its field."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from duly_policy import Channel
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from duly.contact.v1 import types_pb2 as types
from gateway.application.errors import InvalidRequest

ID_LENGTH_MAX = 200
INVOICES_MAX = 100
PAGE_SIZE_DEFAULT = 100
PAGE_SIZE_MAX = 500


def required_text(field: str, value: str, length_max: int = ID_LENGTH_MAX) -> str:
    if not value:
        raise InvalidRequest(field, "is required")
    return optional_text(field, value, length_max)


def optional_text(field: str, value: str, length_max: int = ID_LENGTH_MAX) -> str:
    if len(value) > length_max:
        raise InvalidRequest(field, f"is longer than {length_max} characters")
    if "\x00" in value:
        raise InvalidRequest(field, "holds a NUL character")
    return value


def refuse_nul(request: Message) -> None:
    """PostgreSQL's text holds no NUL: in no field of any request. Raises InvalidRequest."""
    for field, value in request.ListFields():
        texts = value if isinstance(value, Sequence) and not isinstance(value, str | bytes) else (value,)
        if any(isinstance(text, str) and "\x00" in text for text in texts):
            raise InvalidRequest(field.name, "holds a NUL character")


def invoice_ids(values: Sequence[str]) -> tuple[str, ...]:
    if not 1 <= len(values) <= INVOICES_MAX:
        raise InvalidRequest("invoice_ids", f"give 1 to {INVOICES_MAX} invoices")
    for value in values:
        required_text("invoice_ids", value)
    return tuple(sorted(set(values)))


def channel_of(value: int) -> Channel:
    names = types.Channel.DESCRIPTOR.values_by_number
    if value not in names or value == types.CHANNEL_UNSPECIFIED:
        raise InvalidRequest("channel", "is required" if value == 0 else f"{value} is not known")
    return Channel(names[value].name.removeprefix("CHANNEL_"))


def channel_number(channel: Channel) -> types.Channel.ValueType:
    return types.Channel.Value(f"CHANNEL_{channel}")


def optional_instant(field: str, message: Message) -> datetime | None:
    """A timestamp field as an aware UTC instant; None when it is not set."""
    if not message.HasField(field):
        return None
    value: Timestamp = getattr(message, field)
    try:
        return value.ToDatetime(UTC)
    except (ValueError, OverflowError) as error:
        raise InvalidRequest(field, "is no instant") from error


def page_size(value: int) -> int:
    if not 0 <= value <= PAGE_SIZE_MAX:
        raise InvalidRequest("page_size", f"give 1 to {PAGE_SIZE_MAX}, or 0 for {PAGE_SIZE_DEFAULT}")
    return value or PAGE_SIZE_DEFAULT

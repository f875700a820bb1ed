"""A record's value for people: decoded where it can be, with everything masked that may be about a person."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator

from duly_contracts.events import EventUnknown, event_by_type
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import DecodeError, Message

# Texts are masked unless their field's name says that they hold an id, a code, a date or a version. Ids of debtors and
# invoices are shown: they stand in keys, too.
_PLAIN = re.compile(
    r"(^|_)(ids?|number|type|kind|currency|date|day|on|of|versions?|role|sha256|connector|country|zones?|language|action)$"
)
_HEX_BYTES = 256


def shown_value(event_type: str, value: bytes, reveal: bool) -> list[str]:
    """Lines. Undecodable bytes are told by size and hash; reveal: everything, bytes as hex (the first 256)."""
    lines = [f"{len(value)} bytes, sha256 {hashlib.sha256(value).hexdigest()[:16]}"]
    message = _decoded(event_type, value)
    if message is not None:
        lines += list(_fields(message, reveal, "  "))
    elif value and reveal:
        lines += [f"  {value[at : at + 32].hex(' ')}" for at in range(0, min(len(value), _HEX_BYTES), 32)]
    elif value:
        lines.append("  cannot be decoded; --reveal shows the bytes")
    return lines


def _decoded(event_type: str, value: bytes) -> Message | None:
    """Also with enum values that are not known: those are shown as numbers."""
    try:
        message = event_by_type(event_type).message()
        message.ParseFromString(value)
    except (EventUnknown, DecodeError):
        return None
    return message


def _fields(message: Message, reveal: bool, indent: str) -> Iterator[str]:
    for field, value in message.ListFields():
        values = list(value) if field.is_repeated else [value]
        for one in values:
            if field.message_type is not None and not isinstance(one, Message):
                yield f"{indent}{field.name}: {len(value)} entries" if not reveal else f"{indent}{field.name}: {value}"
                break
            if isinstance(one, Message):
                yield f"{indent}{field.name}:"
                yield from _fields(one, reveal, indent + "  ")
            else:
                yield f"{indent}{field.name}: {_scalar(field, one, reveal)}"


def _scalar(field: FieldDescriptor, value: object, reveal: bool) -> str:
    if field.enum_type is not None:
        known = field.enum_type.values_by_number.get(int(str(value)))
        return known.name if known is not None else f"{value} (not known to this version)"
    if isinstance(value, bytes):
        return value.hex(" ")[: 3 * _HEX_BYTES] if reveal else f"({len(value)} bytes)"
    if isinstance(value, str) and not reveal and not _PLAIN.search(field.name):
        return f"({len(value)} characters)"
    return str(value)

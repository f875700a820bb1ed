"""JSON schemas of protobuf messages in their JSON mapping, for the OpenAPI document."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

_SCALARS: dict[int, dict[str, Any]] = {
    FieldDescriptor.TYPE_STRING: {"type": "string"},
    FieldDescriptor.TYPE_BOOL: {"type": "boolean"},
    FieldDescriptor.TYPE_INT32: {"type": "integer", "format": "int32"},
    FieldDescriptor.TYPE_INT64: {"type": "string", "format": "int64", "description": "64-bit integer as text"},
    FieldDescriptor.TYPE_DOUBLE: {"type": "number", "format": "double"},
    FieldDescriptor.TYPE_BYTES: {"type": "string", "format": "byte"},
}


def schemas_of(messages: Iterable[type[Message]]) -> dict[str, dict[str, Any]]:
    """Component schemas by short message name, nested messages included."""
    found: dict[str, dict[str, Any]] = {}
    pending: list[Any] = [message.DESCRIPTOR for message in messages]
    while pending:
        message = pending.pop()
        if message.name in found or message.full_name == "google.protobuf.Timestamp":
            continue
        found[message.name] = {
            "type": "object",
            "properties": {field.name: _field(field) for field in message.fields},
        }
        pending += [field.message_type for field in message.fields if field.message_type is not None]
    return found


def reference(message: type[Message]) -> dict[str, Any]:
    return _reference(message.DESCRIPTOR.name)


def _field(field: FieldDescriptor) -> dict[str, Any]:
    schema = _one(field)
    return {"type": "array", "items": schema} if field.is_repeated else schema


def _one(field: FieldDescriptor) -> dict[str, Any]:
    if field.enum_type is not None:
        return {"type": "string", "enum": [value.name for value in field.enum_type.values]}
    if field.message_type is not None:
        if field.message_type.full_name == "google.protobuf.Timestamp":
            return {"type": "string", "format": "date-time"}
        return _reference(field.message_type.name)
    return _SCALARS[field.type]


def _reference(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{name}"}

"""Deterministic event ids: the same cause always gives the same id, so a replay collides instead of doubling."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha1
from uuid import UUID

# Longer than any id or key of ours, and short enough for an index of a database.
ID_BYTES_MAX = 1_000
_NAMESPACE = UUID("6f1d3a52-6f0e-5b3e-9a55-0d9f0c2d7b10").bytes


def fact_id(tenant: str, system: str, entity: str, external_id: str, source_version: str, fact: str) -> str:
    """Id of a source fact, from what the source itself says of it."""
    return _uuid5("fact", tenant, system, entity, external_id, source_version, fact)


def derived_id(cause_id: str, event_type: str, key: bytes, ordinal: int = 0) -> str:
    """Id of an event that follows from another one; `ordinal` tells siblings of one type apart."""
    return _uuid5("derived", cause_id, event_type, key.decode(), str(ordinal))


def named_id(kind: str, *parts: str) -> str:
    """Id of a thing that is not an event: a case, a treatment, a contact, an attempt."""
    return _uuid5(kind, *parts)


def record_id(headers: Iterable[tuple[str, bytes | None]], topic: str, partition: int, offset: int) -> str:
    """Id by which a record that could not be used is waited for: the one it names, else one made of its place.

    Of several `ce_id` the last names it, as in an envelope. One that is null, no text, or longer than any id of ours,
    names nothing.
    """
    named = dict(headers).get("ce_id", b"")
    if named and len(named) <= ID_BYTES_MAX and b"\x00" not in named:
        try:
            return named.decode()
        except UnicodeDecodeError:
            pass
    return named_id("record", topic, str(partition), str(offset))


def _uuid5(*parts: str) -> str:
    """`str(uuid5(...))` of the standard library, a third of its time: ids are made for every event and output."""
    # Length prefixes keep ("a|b", "c") and ("a", "b|c") apart.
    name = "".join([f"{len(part)}:{part}" for part in parts])
    digest = bytearray(sha1(_NAMESPACE + name.encode(), usedforsecurity=False).digest()[:16])
    digest[6] = digest[6] & 0x0F | 0x50
    digest[8] = digest[8] & 0x3F | 0x80
    text = digest.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"

"""Short digests of ids, one behind the other in bytes: a set that costs a few bytes a member in a blob."""

from __future__ import annotations

import hashlib


def digest(text: str, size: int) -> bytes:
    """`size` bytes that stand for an id: with 8 no two of ours will ever meet, with 4 two may."""
    return hashlib.blake2b(text.encode(), digest_size=size).digest()


def holds(digests: bytes, one: bytes) -> bool:
    """Whether digests of the length of `one` hold it."""
    at = digests.find(one)
    while at >= 0 and at % len(one):
        at = digests.find(one, at + 1)
    return at >= 0

"""One effect per idempotency key: the key is claimed in the transaction that has the effect and stores the answer."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Protocol, TypeVar

from google.protobuf.message import Message

from gateway.application.errors import InvalidRequest, KeyReused
from gateway.application.ports import Store

KEY_LENGTH_MAX = 200
_VOLATILE = ("as_of", "correlation_id")  # when and in whose trace it was asked is not what was asked


class Replayable(Protocol):
    """A response with the flag that says it was given before."""

    idempotent_replayed: bool

    def SerializeToString(self, *, deterministic: bool = ...) -> bytes: ...  # noqa: N802 - protobuf's name

    def ParseFromString(self, serialized: bytes) -> int: ...  # noqa: N802 - protobuf's name


R = TypeVar("R", bound=Replayable)


def once(store: Store, request: Message, response: R, effect: Callable[[R], None]) -> R:
    """Fill `response` by `effect`, or with the stored answer of the same request.

    request: has `tenant_id` and `idempotency_key`. Raises InvalidRequest (no key), KeyReused (other request).
    """
    tenant, key = str(getattr(request, "tenant_id")), str(getattr(request, "idempotency_key"))  # noqa: B009
    if not key or len(key) > KEY_LENGTH_MAX:
        raise InvalidRequest("idempotency_key", f"give 1 to {KEY_LENGTH_MAX} characters")
    wanted = request_hash(request)
    stored = store.claim_key(tenant, key, wanted)
    if stored is None:
        effect(response)
        store.finish_key(tenant, key, response.SerializeToString(deterministic=True))
        return response
    if stored[0] != wanted:
        raise KeyReused("the idempotency key was used for another request")
    response.ParseFromString(stored[1])
    response.idempotent_replayed = True
    return response


def request_hash(request: Message) -> bytes:
    """SHA-256 of the request's deterministic bytes with its type, without trace fields."""
    copy = type(request)()
    copy.CopyFrom(request)
    for name in _VOLATILE:
        if name in copy.DESCRIPTOR.fields_by_name:
            copy.ClearField(name)
    return hashlib.sha256(copy.DESCRIPTOR.full_name.encode() + copy.SerializeToString(deterministic=True)).digest()

"""Raw first: a delivery is in the log before anybody says a word about what is in it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass

from duly_contracts.envelope import Envelope
from duly_contracts.events import event_of
from duly_contracts.ids import named_id
from duly_runtime.auth import Principal
from duly_runtime.clock import Clock

from duly.ingress.v1 import events_pb2 as pb
from ledger_sync.application.cloudevents import BODY_BYTES_MAX, framing_of
from ledger_sync.application.delivery import Delivery, Framing, Mapped
from ledger_sync.application.map_delivery import connector_of, event_ids, map_delivery
from ledger_sync.application.ports import RawLog

SCOPE = "ledger:write"
_DELIVERY_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}")
_HEADER_BYTES_MAX = 16 * 1024
_SCHEMES = {
    Framing.BINARY: pb.DELIVERY_SCHEME_CLOUDEVENTS_BINARY,
    Framing.STRUCTURED: pb.DELIVERY_SCHEME_CLOUDEVENTS_STRUCTURED,
    Framing.BATCH: pb.DELIVERY_SCHEME_CLOUDEVENTS_BATCH,
}
_FRAMINGS = {scheme: framing for framing, scheme in _SCHEMES.items()}


class DeliveryRefused(ValueError):
    """A delivery that is not even kept. code: unsupported_media_type, body_too_large, delivery_id_invalid."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


@dataclass(frozen=True, slots=True)
class Receipt:
    """What the sender is told: the delivery is kept; each event will be recorded or was put aside with a reason."""

    delivery_id: str
    framing: Framing
    results: list[Mapped]


class Ingress:
    """The edge, without the web: who may send, what is kept, what is answered."""

    def __init__(self, raw_log: RawLog, clock: Clock) -> None:
        self._raw_log = raw_log
        self._clock = clock

    def deliver(self, body: bytes, headers: Mapping[str, str], principal: Principal, traceparent: str = "") -> Receipt:
        """Append a delivery to `ingress-raw`, then say what is in it. headers: names in lower case.

        Raises PermissionDenied, DeliveryRefused, RawUnavailable; after the last, sending again is right and harmless.
        """
        principal.require(principal.tenant, SCOPE)
        delivery = self._delivery(body, headers, principal.tenant, traceparent)
        results = map_delivery(delivery)
        delivery_id = delivery.delivery_id or _derived_delivery_id(delivery, results)
        self._append(delivery, delivery_id)
        return Receipt(delivery_id, delivery.framing, results)

    def _delivery(self, body: bytes, headers: Mapping[str, str], tenant: str, traceparent: str) -> Delivery:
        framing = framing_of(headers.get("content-type", ""), headers)
        if framing is None:
            raise DeliveryRefused(
                "unsupported_media_type",
                "send application/cloudevents+json, application/cloudevents-batch+json,"
                " or application/json with ce-* headers",
            )
        kept = {name: value for name, value in headers.items() if name.startswith("ce-") or name == "content-type"}
        if len(body) > BODY_BYTES_MAX or sum(map(len, (*kept, *kept.values()))) > _HEADER_BYTES_MAX:
            raise DeliveryRefused("body_too_large", f"a delivery has at most {BODY_BYTES_MAX} bytes")
        delivery_id = headers.get("x-duly-delivery", "")
        if delivery_id and not _DELIVERY_ID.fullmatch(delivery_id):
            raise DeliveryRefused("delivery_id_invalid", "x-duly-delivery: up to 128 letters, digits and ._:-")
        now = self._clock.now()
        return Delivery(tenant, delivery_id, "", framing, kept, body, now, traceparent)

    def _append(self, delivery: Delivery, delivery_id: str) -> None:
        connector = connector_of(delivery)
        sha256 = hashlib.sha256(delivery.body).hexdigest()
        message = pb.IngressReceived(
            connector=connector,
            delivery_id=delivery_id,
            headers=dict(delivery.headers),
            body=delivery.body,
            content_sha256=sha256,
            scheme=_SCHEMES[delivery.framing],
        )
        key = f"{delivery.tenant}|{connector}|{delivery_id}".encode()
        headers_sha256 = hashlib.sha256(repr(sorted(delivery.headers.items())).encode()).hexdigest()
        # One delivery id with other content is another delivery: both are kept, both are mapped.
        envelope_id = named_id("delivery", delivery.tenant, connector, delivery_id, sha256, headers_sha256)
        envelope = Envelope(
            id=envelope_id,
            type=event_of(message).type,
            source=f"/tenants/{delivery.tenant}/ledgers/{connector}",
            subject=delivery_id,
            time=delivery.received_at,
            tenant=delivery.tenant,
            correlation_id=envelope_id,
            traceparent=delivery.traceparent,
        )
        self._raw_log.append(message, key, envelope)


def delivery_from(message: pb.IngressReceived, envelope: Envelope) -> Delivery | None:
    """The delivery in a record of `ingress-raw`; None for a framing this version does not know."""
    framing = _FRAMINGS.get(message.scheme)
    if framing is None:
        return None
    return Delivery(
        tenant=envelope.tenant,
        delivery_id=message.delivery_id,
        key=envelope.id,
        framing=framing,
        headers=dict(message.headers),
        body=message.body,
        received_at=envelope.time,
        traceparent=envelope.traceparent,
    )


def _derived_delivery_id(delivery: Delivery, results: list[Mapped]) -> str:
    sha256 = hashlib.sha256(delivery.body).hexdigest()
    binary_id = delivery.headers.get("ce-id", "")
    return named_id("delivery-id", delivery.tenant, sha256, binary_id, *event_ids(results))

"""CloudEvents 1.0 over HTTP, JSON: from a body to events, or to the reason why there are none. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from ledger_sync.application.delivery import Delivery, Fault, Framing, RawEvent

EVENTS_MAX = 500
# One log record holds a whole delivery with its headers; brokers take 1 MiB, producers 1,000,000 bytes.
BODY_BYTES_MAX = 900 * 1024

_STRUCTURED, _BATCH = "application/cloudevents+json", "application/cloudevents-batch+json"


class DeliveryUnreadable(ValueError):
    """A body that holds no events at all."""

    def __init__(self, fault: Fault, code: str, text: str) -> None:
        super().__init__(text)
        self.fault = fault
        self.code = code


def framing_of(content_type: str, headers: Mapping[str, str]) -> Framing | None:
    """The framing a request declares; None for a media type that is not served."""
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type == _STRUCTURED:
        return Framing.STRUCTURED
    if media_type == _BATCH:
        return Framing.BATCH
    if media_type == "application/json" and "ce-specversion" in headers:
        return Framing.BINARY
    return None


def read_events(delivery: Delivery) -> list[RawEvent]:
    """The events of a delivery, unchecked, in order. Raises DeliveryUnreadable."""
    if len(delivery.body) > BODY_BYTES_MAX:
        raise DeliveryUnreadable(Fault.TOO_LARGE, "body_too_large", f"the body has more than {BODY_BYTES_MAX} bytes")
    document = _parse(delivery.body)
    match delivery.framing:
        case Framing.BINARY:
            attributes = {
                name.removeprefix("ce-"): unquote(value)
                for name, value in delivery.headers.items()
                if name.startswith("ce-")
            }
            return [RawEvent(0, attributes, document)]
        case Framing.STRUCTURED:
            return [_structured(0, document)]
        case Framing.BATCH:
            if not isinstance(document, list):
                raise DeliveryUnreadable(Fault.MALFORMED, "not_a_batch", "a batch is a JSON array of CloudEvents")
            if len(document) > EVENTS_MAX:
                raise DeliveryUnreadable(Fault.TOO_LARGE, "batch_too_large", f"a batch has at most {EVENTS_MAX} events")
            return [_structured(position, item) for position, item in enumerate(document)]


def _structured(position: int, item: Any) -> RawEvent:
    if not isinstance(item, dict):
        return RawEvent(position)
    return RawEvent(position, {name: value for name, value in item.items() if name != "data"}, item.get("data"))


def _parse(body: bytes) -> Any:
    try:
        return json.loads(body, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        reason = str(error)[:200] if isinstance(error, json.JSONDecodeError) else "not JSON text"
        raise DeliveryUnreadable(Fault.MALFORMED, "json_malformed", f"the body is not JSON: {reason}") from None


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is no JSON number")

"""`RawLog` on the event log: a delivery is accepted when every in-sync replica has it."""

from __future__ import annotations

from duly_contracts.envelope import Envelope
from duly_contracts.events import encode, event_of
from duly_runtime.log import Producer, SendFailed
from google.protobuf.message import Message

from ledger_sync.application.ports import RawUnavailable

# Sources give up after a while too; a send that ends later is only a duplicate then.
_ACK_SECONDS_MAX = 8.0


class EventLogRaw:
    """Appends to `ingress-raw` and waits for the acknowledgement."""

    def __init__(self, producer: Producer) -> None:
        self._producer = producer

    def append(self, message: Message, key: bytes, envelope: Envelope) -> None:
        topic = event_of(message).topic
        try:
            pending = self._producer.send(topic, key, encode(message), envelope.to_headers())
            pending.result(_ACK_SECONDS_MAX)
        except SendFailed as error:
            raise RawUnavailable("the event log did not take the delivery") from error

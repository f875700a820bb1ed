"""The loop behind the line: deliveries from `ingress-raw` into the mirror."""

from __future__ import annotations

from collections.abc import Callable

from duly_runtime.clock import Clock
from duly_runtime.consumer import ConsumerLoop, EventHandler, ReceivedEvent
from duly_runtime.database import Database, UnitOfWork
from duly_runtime.dlq import Unusable
from duly_runtime.log import EventLog
from duly_runtime.logging import get_logger
from duly_runtime.metrics import QUARANTINE_EVENTS, Metrics
from duly_runtime.tracing import current_traceparent
from google.protobuf.message import Message

from duly.ingress.v1.events_pb2 import IngressReceived
from ledger_sync.application.ports import RecordingStore
from ledger_sync.application.receive_delivery import delivery_from
from ledger_sync.application.record_facts import record_delivery

NAME = "ledger-sync-normaliser"
TOPIC = "ingress-raw"
_log = get_logger(__name__)


def normaliser_loop(
    log: EventLog,
    database: Database,
    store: Callable[[UnitOfWork], RecordingStore],
    clock: Clock,
    metrics: Metrics,
) -> ConsumerLoop:
    """The consumer loop of `ingress-raw`."""

    def on_ingress_received(event: ReceivedEvent, uow: UnitOfWork) -> None:
        assert isinstance(event.message, IngressReceived)
        delivery = delivery_from(event.message, event.envelope)
        if delivery is None:
            raise Unusable("scheme_unknown", "no framing of this version")
        recorded = record_delivery(delivery, store(uow), current_traceparent())
        for code, count in recorded.put_aside.items():
            metrics.count(QUARANTINE_EVENTS, count, reason=code)
        if recorded.put_aside:
            reasons = dict(recorded.put_aside)
            _log.warning("ledger_sync.events_put_aside", delivery=delivery.delivery_id, reasons=reasons)

    handlers: dict[type[Message], EventHandler] = {IngressReceived: on_ingress_received}
    return ConsumerLoop(NAME, "ledger-sync", log, [TOPIC], database, handlers, clock, metrics)

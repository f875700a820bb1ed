"""The loop behind the line: deliveries from `ingress-raw` into the mirror."""

from __future__ import annotations

from collections.abc import Callable

from duly_runtime.clock import Clock
from duly_runtime.consumer import ConsumerLoop, EventHandler, ReceivedEvent
from duly_runtime.database import Database, UnitOfWork
from duly_runtime.dlq import Unusable
from duly_runtime.log import EventLog, Record
from duly_runtime.logging import get_logger
from duly_runtime.metrics import QUARANTINE_EVENTS, Metrics
from duly_runtime.tracing import current_traceparent
from google.protobuf.message import Message

from duly.ingress.v1.events_pb2 import IngressReceived
from ledger_sync.application.delivery import Fault, Rejection
from ledger_sync.application.ports import RecordingStore
from ledger_sync.application.receive_delivery import delivery_from
from ledger_sync.application.record_facts import record_delivery

NAME = "ledger-sync-normaliser"
TOPIC = "ingress-raw"
DELIVERY_UNUSABLE = "delivery_unusable"
_STALE_SHOWN = 20
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
        if recorded.stale:
            some = list(recorded.stale[:_STALE_SHOWN])
            _log.info("ledger_sync.facts_stale", delivery=delivery.delivery_id, count=len(recorded.stale), facts=some)

    def on_unusable(record: Record, reason: str, uow: UnitOfWork) -> None:
        """The dead letter is for us; the tenant sees in the quarantine which of its deliveries had no effect."""
        try:
            tenant, _, delivery_id = record.key.decode().split("|", 2)
        except ValueError:  # no key of ours: whose delivery it was cannot be told
            return
        cause = f"{record.topic}:{record.partition}:{record.offset}"
        text = f"the delivery could not be read here ({reason}); it is kept and can be read again after a fix"
        rejection = Rejection(0, "", "", Fault.INVALID, DELIVERY_UNUSABLE, text)
        store(uow).quarantine(tenant, delivery_id, cause, clock.now(), [rejection])
        metrics.count(QUARANTINE_EVENTS, reason=DELIVERY_UNUSABLE)
        _log.warning("ledger_sync.delivery_unusable", delivery=delivery_id, record=cause, reason=reason)

    handlers: dict[type[Message], EventHandler] = {IngressReceived: on_ingress_received}
    return ConsumerLoop(NAME, "ledger-sync", log, [TOPIC], database, handlers, clock, metrics, on_unusable)

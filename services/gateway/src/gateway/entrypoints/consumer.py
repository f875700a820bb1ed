"""`gateway-consumer`: ledger facts and degraded debtors into the view that the gate reads."""

from __future__ import annotations

from duly_contracts.keys import split_key
from duly_runtime.clock import Clock
from duly_runtime.consumer import ConsumerLoop, EventHandler, ReceivedEvent
from duly_runtime.database import UnitOfWork
from duly_runtime.log import EventLog, Record
from duly_runtime.metrics import Metrics

from gateway.adapters.postgres.ledger_view import FoldingDatabase
from gateway.application.handlers import EVENT_HANDLERS, FactOrigin, Handler
from gateway.domain.contact import DebtorId, TenantId

GROUP = "gateway-consumer"
TOPICS = ("ledger-events", "risk-scores")


def consumer_loop(log: EventLog, database: FoldingDatabase, clock: Clock, metrics: Metrics) -> ConsumerLoop:
    def on_unusable(record: Record, reason: str, uow: UnitOfWork) -> None:
        if _debtor_of(record.key) is not None:
            database.batch.count_unusable(_origin(record, ""))

    def on_restored(key: bytes, uow: UnitOfWork) -> None:
        if (origin := _debtor_of(key)) is not None:
            database.batch.forget_unusable(origin)

    def handle_with(handler: Handler) -> EventHandler:
        def handle(event: ReceivedEvent, uow: UnitOfWork) -> None:
            origin = _origin(event.record, event.envelope.source_version)
            if origin.debtor_id:
                database.batch.touch(origin)
            handler(event.message, origin, database.batch)

        return handle

    handlers = {message: handle_with(handler) for message, handler in EVENT_HANDLERS.items()}
    return ConsumerLoop(GROUP, "gateway", log, TOPICS, database, handlers, clock, metrics, on_unusable, on_restored)


def _debtor_of(key: bytes) -> FactOrigin | None:
    """None for a key that names no debtor, or is no text."""
    try:
        tenant, debtor_id = split_key(key)
    except UnicodeDecodeError:
        return None
    return FactOrigin(TenantId(tenant), DebtorId(debtor_id), "", -1) if tenant and debtor_id else None


def _origin(record: Record, version: str) -> FactOrigin:
    """risk-scores have offsets of their own, which say nothing of the ledger's version."""
    tenant, debtor_id = split_key(record.key)
    offset = record.offset if record.topic == "ledger-events" else -1
    return FactOrigin(TenantId(tenant), DebtorId(debtor_id), version, offset)

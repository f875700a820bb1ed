"""`gateway-consumer`: ledger facts and degraded debtors into the view that the gate reads."""

from __future__ import annotations

from collections.abc import Mapping

from duly_contracts.envelope import Envelope
from duly_contracts.keys import split_key
from duly_runtime.clock import Clock, PolicyClock
from duly_runtime.consumer import ConsumerLoop, EventHandler, ReceivedEvent
from duly_runtime.database import Database, UnitOfWork
from duly_runtime.log import EventLog, Record
from duly_runtime.loops import Wake
from duly_runtime.metrics import Metrics
from google.protobuf.message import Message

from gateway.adapters.postgres.ledger_view import PostgresLedgerView
from gateway.application.handlers import EVENT_HANDLERS, FactOrigin, Handler
from gateway.domain.contact import DebtorId, TenantId

GROUP = "gateway-consumer"
TOPICS = ("ledger-events", "risk-scores")


def consumer_loop(
    log: EventLog, database: Database, policy_clock: PolicyClock, wake: Wake, clock: Clock, metrics: Metrics
) -> ConsumerLoop:
    """wake: told after a tick, because a contact may have become due."""

    def on_unusable(record: Record, reason: str, uow: UnitOfWork) -> None:
        tenant, debtor_id = split_key(record.key)
        if tenant and debtor_id:
            PostgresLedgerView(uow, policy_clock).count_unusable(
                FactOrigin(TenantId(tenant), DebtorId(debtor_id), "", record.offset)
            )

    handlers = _handlers(policy_clock, wake)
    return ConsumerLoop(GROUP, "gateway", log, TOPICS, database, handlers, clock, metrics, on_unusable)


def _handlers(policy_clock: PolicyClock, wake: Wake) -> Mapping[type[Message], EventHandler]:
    def handle_with(handler: Handler) -> EventHandler:
        def handle(event: ReceivedEvent, uow: UnitOfWork) -> None:
            view = PostgresLedgerView(uow, policy_clock)
            origin = _origin(event.envelope, event.record)
            if origin.debtor_id:
                view.touch(origin)
            else:
                wake.set()
            handler(event.message, origin, view)

        return handle

    return {message: handle_with(handler) for message, handler in EVENT_HANDLERS.items()}


def _origin(envelope: Envelope, record: Record) -> FactOrigin:
    """risk-scores have offsets of their own, which say nothing of the ledger's version."""
    _, debtor_id = split_key(record.key)
    offset = record.offset if record.topic == "ledger-events" else -1
    return FactOrigin(TenantId(envelope.tenant), DebtorId(debtor_id), envelope.source_version, offset)

"""`insights-projector`: every topic but the raw one into the read models."""

from __future__ import annotations

from duly_contracts.events import event_by_type
from duly_contracts.keys import split_key
from duly_runtime.clock import Clock
from duly_runtime.consumer import ConsumerLoop, ReceivedEvent
from duly_runtime.database import UnitOfWork
from duly_runtime.log import EventLog
from duly_runtime.metrics import PROJECTED_EVENTS, Metrics

from insights.adapters.postgres.read_models import BatchingDatabase
from insights.application.handlers import PROJECTED, project
from insights.application.ports import EventOrigin

GROUP = "insights-projector"
TOPICS = ("ledger-events", "risk-scores", "outreach-events", "contact-events", "inbound-messages", "model-control")


def projector_loop(log: EventLog, database: BatchingDatabase, clock: Clock, metrics: Metrics) -> ConsumerLoop:
    def handle(event: ReceivedEvent, uow: UnitOfWork) -> None:
        project(event.message, _origin(event), database.batch)
        metrics.count(PROJECTED_EVENTS, topic=event.record.topic)

    handlers = dict.fromkeys(PROJECTED, handle)
    return ConsumerLoop(GROUP, "insights", log, TOPICS, database, handlers, clock, metrics)


def _origin(event: ReceivedEvent) -> EventOrigin:
    envelope = event.envelope
    _, debtor_id = split_key(event.record.key)
    return EventOrigin(
        tenant=envelope.tenant,
        debtor_id=debtor_id,
        event_id=envelope.id,
        event=event_by_type(envelope.type).name,
        version=envelope.source_version,
        at=envelope.time,
        business_date=envelope.business_date,
        causation_id=envelope.causation_id,
        correlation_id=envelope.correlation_id,
    )

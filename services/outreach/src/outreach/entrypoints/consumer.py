"""From `duly_runtime`'s consumer to our handlers: open the unit, find the handler; the loop commits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from duly_contracts.keys import split_key
from duly_runtime.clock import Clock
from duly_runtime.consumer import ConsumerLoop, EventHandler, ReceivedEvent
from duly_runtime.database import UnitOfWork
from duly_runtime.log import EventLog, Record
from duly_runtime.metrics import Metrics
from google.protobuf.message import Message

from outreach.adapters.postgres.unit import Units
from outreach.application.fold_ledger import Handler
from outreach.application.handlers import TOPICS
from outreach.application.ports import Received

GROUP = "outreach-consumer"


def consumer_loop(
    log: EventLog, units: Units, handlers: Mapping[type[Message], Handler], clock: Clock, metrics: Metrics
) -> ConsumerLoop:
    """One loop for all topics: a debtor's facts and its contacts are then never handled at the same time."""

    def on_unusable(record: Record, reason: str, uow: UnitOfWork) -> None:
        """The picture of this debtor may be incomplete: a person decides until the record comes again, usable."""
        _mark(record.key, True, units, uow)

    def on_restored(key: bytes, uow: UnitOfWork) -> None:
        _mark(key, False, units, uow)

    return ConsumerLoop(
        GROUP,
        "outreach",
        log,
        TOPICS,
        units.database,
        {message: _adapted(handler, units) for message, handler in handlers.items()},
        clock,
        metrics,
        on_unusable,
        on_restored,
    )


def _adapted(handler: Handler, units: Units) -> EventHandler:
    def handle(event: ReceivedEvent, uow: UnitOfWork) -> None:
        tenant, debtor_id = split_key(event.record.key)
        received = Received(
            envelope=event.envelope,
            message=event.message,
            key=event.record.key,
            tenant=tenant,
            debtor_id=debtor_id,
            partition=event.record.partition,
            offset=event.record.offset,
        )
        handler(received, units.within(uow))

    return handle


def _mark(key: bytes, unusable: bool, units: Units, uow: UnitOfWork) -> None:
    try:
        tenant, debtor_id = split_key(key)
    except UnicodeDecodeError:
        return
    if tenant and debtor_id:
        ledger = units.within(uow).ledger
        ledger.save_debtor(replace(ledger.lock_debtor(tenant, debtor_id), unusable_here=unusable))

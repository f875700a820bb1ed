"""Composition root of outreach: settings in, a running service out."""

from __future__ import annotations

import os
import socket
import sys
from dataclasses import replace
from datetime import timedelta

from duly_contracts.envelope import format_instant
from duly_policy import load_packs, load_strategy
from duly_runtime.admin import Status
from duly_runtime.clock import Clock, PolicyClock, PolicyClockUnset
from duly_runtime.consumer import ConsumerLoop
from duly_runtime.database import Database
from duly_runtime.kafka_log import KafkaLog
from duly_runtime.log import EventLog
from duly_runtime.loops import Wake
from duly_runtime.metrics import Metrics
from duly_runtime.outbox import RelayLoop
from duly_runtime.policy_time import restore_policy_clock
from duly_runtime.service import Service, service_main

from outreach.adapters.gateway_client import GrpcContactGateway
from outreach.adapters.postgres.gateway_calls import work_left
from outreach.adapters.postgres.unit import Units
from outreach.application.call_gateway import CallGateway
from outreach.application.handlers import event_handlers
from outreach.application.ports import ContactGateway
from outreach.config import Settings, autonomy_levels
from outreach.domain.planning import Policy
from outreach.entrypoints.consumer import consumer_loop
from outreach.entrypoints.requester import BothWakes, RequesterLoop

NAME = "outreach"
MIGRATIONS = "outreach.adapters.postgres.migrations"


def build(
    settings: Settings,
    clock: Clock,
    metrics: Metrics,
    log: EventLog | None = None,
    gateway: ContactGateway | None = None,
) -> Service:
    """log, gateway: given by scenario worlds; else Kafka and gRPC."""
    relay_wake, request_wake = Wake(), Wake()
    database = Database(settings.database_url.get_secret_value(), BothWakes(relay_wake, request_wake))
    policy_clock = restore_policy_clock(database, settings.time_mode, clock)
    log = log or KafkaLog(settings.kafka_bootstrap_servers, settings.instance_id)
    client = None
    if gateway is None:
        gateway = client = GrpcContactGateway(settings.gateway_address, settings.gateway_token.get_secret_value())
    units = Units(database, log.partitions("ledger-events"), policy_clock, metrics)
    consumer = consumer_loop(log, units, event_handlers(policy_of(settings), policy_clock), clock, metrics)
    call_gateway = CallGateway(units.open, gateway, clock, policy_clock, _owner(settings))
    call_gateway.take_over()
    return Service(
        name=NAME,
        loops=(
            consumer,
            RequesterLoop(call_gateway, request_wake),
            RelayLoop(database, log.producer(NAME), relay_wake, clock, metrics),
        ),
        status=lambda: _status(consumer, database, policy_clock),
        not_ready=database.not_ready,
        closers=(*((client.close,) if client is not None else ()), database.close),
    )


def policy_of(settings: Settings) -> Policy:
    """The released rules by name, with this tenant's stage and levels."""
    strategy = load_strategy(settings.strategy).in_stage(settings.stage)
    levels = {**strategy.autonomy, **autonomy_levels(settings.autonomy)}
    return Policy(
        strategy=replace(strategy, autonomy=levels),
        packs=load_packs(*(name.strip() for name in settings.packs.split(","))),
        valid_for=timedelta(hours=settings.contact_valid_hours),
        score_age_days_max=settings.score_age_days_max,
    )


def _owner(settings: Settings) -> str:
    """Whose calls to the gateway are whose: never the same for two processes that run at once."""
    return settings.instance_id or f"{socket.gethostname()}-{os.getpid()}"


def _status(consumer: ConsumerLoop, database: Database, policy_clock: PolicyClock) -> Status:
    """Positions are read first: what they stand for is committed, so its events and calls are in the counts."""
    positions = consumer.positions()
    with database.reading() as connection:
        outbox, work = work_left(connection)
    try:
        instant = format_instant(policy_clock.now())
    except PolicyClockUnset:
        instant = ""
    return Status(NAME, positions, outbox, work, instant)


def main() -> int:
    return service_main(NAME, Settings, build, MIGRATIONS)


if __name__ == "__main__":
    sys.exit(main())

"""Composition root of ledger-sync."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from zoneinfo import ZoneInfo

from duly_contracts.envelope import format_instant
from duly_runtime.admin import Status
from duly_runtime.auth import TokenVerifier
from duly_runtime.clock import Clock
from duly_runtime.consumer import ConsumerLoop
from duly_runtime.database import Database
from duly_runtime.kafka_log import KafkaLog
from duly_runtime.log import EventLog
from duly_runtime.loops import Loop, Wake
from duly_runtime.metrics import Metrics
from duly_runtime.outbox import RelayLoop, unsent_rows
from duly_runtime.service import Service, service_main

from ledger_sync.adapters.postgres.calendar import PostgresCalendar
from ledger_sync.adapters.postgres.quarantine import PostgresQuarantine
from ledger_sync.adapters.postgres.recording import PostgresRecordingStore
from ledger_sync.adapters.raw_log import EventLogRaw
from ledger_sync.application.advance_business_date import Calendar
from ledger_sync.application.receive_delivery import Ingress
from ledger_sync.config import Settings
from ledger_sync.entrypoints.http import http_app
from ledger_sync.entrypoints.http_server import HttpServer
from ledger_sync.entrypoints.normaliser import normaliser_loop
from ledger_sync.entrypoints.ticker import HousekeepingLoop, TickerLoop

NAME = "ledger-sync"
MIGRATIONS = "ledger_sync.adapters.postgres.migrations"


@dataclass(frozen=True, slots=True)
class LedgerSync:
    """The service without sockets: use cases to call, loops to step. `service` has no HTTP edge."""

    ingress: Ingress
    calendar: Calendar
    quarantine: PostgresQuarantine
    database: Database
    service: Service


def compose(settings: Settings, clock: Clock, metrics: Metrics, log: EventLog | None = None) -> LedgerSync:
    """Wire everything but the HTTP edge. log None: Kafka."""
    event_log: EventLog = KafkaLog(settings.kafka_bootstrap_servers, settings.instance_id) if log is None else log
    wake = Wake()
    database = Database(settings.database_url.get_secret_value(), wake)
    producer = event_log.producer(NAME)
    simulated = settings.time_mode == "simulated"
    calendars, quarantine = PostgresCalendar(database), PostgresQuarantine(database)
    calendar = Calendar(
        calendars.unit, lambda: event_log.partitions("ledger-events"), simulated, settings.debtors_per_slice
    )
    normaliser = normaliser_loop(event_log, database, PostgresRecordingStore, clock, metrics)
    loops: list[Loop] = [
        normaliser,
        RelayLoop(database, producer, wake, clock, metrics),
        HousekeepingLoop(quarantine.forget_old, clock, Wake()),
    ]
    if not simulated and settings.tenants:
        zones = {row.tenant: ZoneInfo(row.zone) for row in settings.tenants}
        pause = settings.slice_pause_seconds
        loops.append(TickerLoop(calendar, calendars.last_tick, zones, pause, clock, Wake()))
    service = Service(
        NAME,
        loops,
        status=lambda: _status(database, normaliser),
        not_ready=database.not_ready,
        closers=(database.close,),
    )
    return LedgerSync(Ingress(EventLogRaw(producer), clock), calendar, quarantine, database, service)


def build(settings: Settings, clock: Clock, metrics: Metrics, log: EventLog | None = None) -> Service:
    """The whole service, with its HTTP edge among the things to start."""
    parts = compose(settings, clock, metrics, log)
    verifier = TokenVerifier.from_file(settings.jwks_file, settings.token_issuer, settings.token_audience)
    app = http_app(parts.ingress, parts.calendar, parts.quarantine, verifier, clock, metrics)
    server = HttpServer(app, settings.http_host, settings.http_port)
    service = parts.service
    return replace(service, start=(server.start,), closers=(server.close, *service.closers))


def _status(database: Database, normaliser: ConsumerLoop) -> Status:
    positions = normaliser.positions()
    with database.reading() as connection:
        unsent = unsent_rows(connection)
        row = connection.execute(
            "select max(instant) as instant, coalesce(sum(records_left), 0)::int as left from calendar"
        ).fetchone()
    instant, left = (row["instant"], row["left"]) if row else (None, 0)
    return Status(NAME, positions, outbox=unsent, work=left, clock=format_instant(instant) if instant else "")


def main(argv: Sequence[str] | None = None, env: Mapping[str, str] | None = None) -> int:
    """`python -m ledger_sync.bootstrap [run|migrate]`."""
    return service_main(NAME, Settings, build, MIGRATIONS, argv, env)


if __name__ == "__main__":
    sys.exit(main())

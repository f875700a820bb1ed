"""Composition root of insights: what is made of what, and `main`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

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

from insights.adapters.postgres.queries import PostgresQueries
from insights.adapters.postgres.read_models import BatchingDatabase
from insights.application.debtor_queries import DebtorQueries
from insights.config import Settings
from insights.entrypoints.grpc_server import GrpcServer
from insights.entrypoints.projector import projector_loop

MIGRATIONS = "insights.adapters.postgres.migrations"


@dataclass(frozen=True, slots=True)
class Insights:
    """The service without sockets: what scenario tests drive."""

    queries: DebtorQueries
    loops: Sequence[Loop]
    status: Callable[[], Status]
    not_ready: Callable[[], str]
    closers: Sequence[Callable[[], None]]


def compose(settings: Settings, clock: Clock, metrics: Metrics, log: EventLog | None = None) -> Insights:
    """Everything but the servers. The database must be migrated. log: a fake in tests."""
    wake = Wake()
    dsn = settings.database_url.get_secret_value()
    projections = BatchingDatabase(dsn, wake, max_connections=2)
    database = Database(dsn, wake, max_connections=settings.grpc_threads + 2)
    log = KafkaLog(settings.kafka_bootstrap_servers, settings.instance_id) if log is None else log
    projector = projector_loop(log, projections, clock, metrics)
    # Only dead letters leave this service.
    relay = RelayLoop(database, log.producer("insights"), wake, clock, metrics)
    return Insights(
        queries=DebtorQueries(PostgresQueries(database)),
        loops=(projector, relay),
        status=lambda: _status(database, projector),
        not_ready=database.not_ready,
        closers=(projections.close, database.close),
    )


def build(settings: Settings, clock: Clock, metrics: Metrics, log: EventLog | None = None) -> Service:
    """The service as it runs: loops and gRPC."""
    insights = compose(settings, clock, metrics, log)
    verifier = TokenVerifier.from_file(settings.jwks_file, settings.token_issuer, settings.token_audience)
    server = GrpcServer(settings.grpc_address, insights.queries, verifier, clock, metrics, settings.grpc_threads)
    return Service(
        name="insights",
        loops=insights.loops,
        status=insights.status,
        not_ready=insights.not_ready,
        start=(server.start,),
        closers=(server.close, *insights.closers),
    )


def main() -> int:
    return service_main("insights", Settings, build, MIGRATIONS)


def _status(database: Database, projector: ConsumerLoop) -> Status:
    positions = projector.positions()
    with database.reading() as connection:
        outbox = unsent_rows(connection)
    return Status("insights", positions, outbox)


if __name__ == "__main__":
    sys.exit(main())

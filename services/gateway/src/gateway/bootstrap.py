"""Composition root of the gateway: what is made of what, and `main`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from email.headerregistry import Address

from duly_contracts.envelope import format_instant
from duly_policy import Channel, load_packs
from duly_runtime.admin import Status
from duly_runtime.auth import TokenVerifier
from duly_runtime.clock import Clock, PolicyClock, PolicyClockUnset
from duly_runtime.consumer import ConsumerLoop
from duly_runtime.database import Database
from duly_runtime.kafka_log import KafkaLog
from duly_runtime.log import EventLog
from duly_runtime.loops import Loop, Wake
from duly_runtime.metrics import Metrics
from duly_runtime.outbox import RelayLoop
from duly_runtime.policy_time import restore_policy_clock
from duly_runtime.service import Service, service_main
from psycopg.conninfo import make_conninfo

from gateway.adapters.channels.console import ConsoleChannel
from gateway.adapters.channels.noop import NoopChannel
from gateway.adapters.channels.smtp import SmtpChannel, SmtpServer
from gateway.adapters.insights_client import GrpcDebtorQueries
from gateway.adapters.postgres.ledger_view import FoldingDatabase
from gateway.adapters.postgres.store import PostgresTransactions, work_and_outbox
from gateway.adapters.templates.library import TemplateLibrary
from gateway.application.cancel_contact import CancelContact
from gateway.application.debtor_queries import DebtorQueries, ShowDebtor
from gateway.application.dispatch import Dispatch, DispatchRules
from gateway.application.gate import ContactGate
from gateway.application.ingest_message import IngestMessage
from gateway.application.kill_switch import SetKillSwitch
from gateway.application.look_up_contacts import EvaluateGate, LookUpContacts
from gateway.application.ports import ChannelAdapter, Channels
from gateway.application.request_contact import RequestContact
from gateway.config import Settings, words
from gateway.entrypoints.consumer import consumer_loop
from gateway.entrypoints.dispatcher import DispatcherLoop
from gateway.entrypoints.grpc_server import GrpcServer
from gateway.entrypoints.operations import Operation, UseCases, operations
from gateway.entrypoints.rest import rest_app
from gateway.entrypoints.rest_server import RestServer

MIGRATIONS = "gateway.adapters.postgres.migrations"
# No statement may hold a debtor's lock, or wait for one, longer than a caller would wait for us.
_STATEMENT_LIMITS = "-c lock_timeout=5s -c statement_timeout=15s"


@dataclass(frozen=True, slots=True)
class Gateway:
    """The gateway without sockets: what scenario tests drive.

    operations: by method name; `operations["RequestContact"].run(request, caller)`. cases: the same, typed.
    dispatch: the hand-over, step by step.
    """

    cases: UseCases
    operations: Mapping[str, Operation]
    dispatch: Dispatch
    loops: Sequence[Loop]
    status: Callable[[], Status]
    database: Database
    closers: Sequence[Callable[[], None]]


def compose(
    settings: Settings,
    clock: Clock,
    metrics: Metrics,
    log: EventLog | None = None,
    channels: Channels | None = None,
    insights: DebtorQueries | None = None,
) -> Gateway:
    """Everything but the servers. The database must be migrated. log, channels, insights: fakes in tests."""
    relay_wake, dispatch_wake = Wake(), Wake()
    dsn = make_conninfo(settings.database_url.get_secret_value(), options=_STATEMENT_LIMITS)
    database = Database(dsn, relay_wake, settings.database_connections)
    policy_clock = restore_policy_clock(database, settings.time_mode, clock)
    transactions = PostgresTransactions(database, policy_clock, metrics)
    log = KafkaLog(settings.kafka_bootstrap_servers, settings.instance_id) if log is None else log
    senders = _channels(settings) if channels is None else channels
    queries = GrpcDebtorQueries(settings.insights_address) if insights is None else insights
    usable = frozenset(senders)
    gate = ContactGate(load_packs(*words(settings.policy_pack)), frozenset(words(settings.auto_actions)), usable)
    templates = TemplateLibrary()
    cases = UseCases(
        request_contact=RequestContact(
            transactions, gate, templates, usable, policy_clock, settings.time_mode == "simulated"
        ),
        contacts=LookUpContacts(transactions),
        cancel_contact=CancelContact(transactions),
        evaluate_gate=EvaluateGate(transactions, gate, policy_clock),
        ingest_message=IngestMessage(transactions, policy_clock),
        set_kill_switch=SetKillSwitch(transactions, clock),
        debtors=ShowDebtor(queries),
    )
    rules = DispatchRules(
        settings.lease_seconds, settings.backoff_seconds, settings.refused_tries_max, settings.creditor_name
    )
    dispatch = Dispatch(transactions, gate, templates, senders, rules, policy_clock, clock)
    folding = FoldingDatabase(dsn, relay_wake, policy_clock, dispatch_wake)
    consumer = consumer_loop(log, folding, clock, metrics)
    loops: tuple[Loop, ...] = (
        consumer,
        DispatcherLoop(dispatch, dispatch_wake, metrics, settings.dispatch_workers),
        RelayLoop(database, log.producer("gateway"), relay_wake, clock, metrics),
    )
    return Gateway(
        cases=cases,
        operations=operations(cases, dispatch_wake.set),
        dispatch=dispatch,
        loops=loops,
        status=lambda: _status(database, consumer, policy_clock),
        database=database,
        closers=(*(sender.close for sender in senders.values()), *_closer(queries), folding.close, database.close),
    )


def build(
    settings: Settings,
    clock: Clock,
    metrics: Metrics,
    log: EventLog | None = None,
    channels: Channels | None = None,
    insights: DebtorQueries | None = None,
) -> Service:
    """The service as it runs: loops, gRPC and REST."""
    gateway = compose(settings, clock, metrics, log, channels, insights)
    verifier = TokenVerifier.from_file(settings.jwks_file, settings.token_issuer, settings.token_audience)
    grpc_server = GrpcServer(
        settings.grpc_address,
        gateway.operations.values(),
        verifier,
        clock,
        metrics,
        settings.grpc_threads,
        settings.grpc_reflection,
    )
    rest_server = RestServer(
        rest_app(gateway.operations, verifier, clock, metrics), settings.rest_host, settings.rest_port
    )
    return Service(
        name="gateway",
        loops=gateway.loops,
        status=gateway.status,
        not_ready=gateway.database.not_ready,
        start=(grpc_server.start, rest_server.start),
        closers=(grpc_server.close, rest_server.close, *gateway.closers),
    )


def main() -> int:
    return service_main("gateway", Settings, build, MIGRATIONS)


def _channels(settings: Settings) -> Channels:
    """Those the settings name. CONSOLE and NOOP reach nobody's address: only who wants them gets them."""
    wanted = words(settings.channels)
    channels: dict[Channel, ChannelAdapter] = {}
    if Channel.CONSOLE in wanted:
        channels[Channel.CONSOLE] = ConsoleChannel(sys.stderr)
    if Channel.NOOP in wanted:
        channels[Channel.NOOP] = NoopChannel()
    if Channel.EMAIL in wanted and settings.smtp_host:
        server = SmtpServer(
            host=settings.smtp_host,
            port=settings.smtp_port,
            tls=settings.smtp_tls,
            username=settings.smtp_username,
            password=settings.smtp_password.get_secret_value(),
            timeout_seconds=settings.smtp_timeout_seconds,
            connections_max=settings.smtp_connections,
        )
        sender = Address(display_name=settings.creditor_name, addr_spec=settings.email_sender)
        channels[Channel.EMAIL] = SmtpChannel(server, sender)
    return channels


def _status(database: Database, consumer: ConsumerLoop, policy_clock: PolicyClock) -> Status:
    """Positions are read first: what they stand for is committed, so its contacts and events are in the counts."""
    positions = consumer.positions()
    try:
        now = policy_clock.now()
    except PolicyClockUnset:
        now = None
    work, outbox = work_and_outbox(database, now)
    return Status("gateway", positions, outbox, work, format_instant(now) if now else "")


def _closer(queries: DebtorQueries) -> tuple[Callable[[], None], ...]:
    return (queries.close,) if isinstance(queries, GrpcDebtorQueries) else ()


if __name__ == "__main__":
    sys.exit(main())

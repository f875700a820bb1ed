"""From environment to running process: settings, migrations, loops, admin server, graceful stop. One way for all."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from duly_runtime.admin import STALL_LIMIT_SECONDS, AdminServer, Probes, Status
from duly_runtime.auth import KeySetUnusable
from duly_runtime.clock import Clock, SystemClock
from duly_runtime.exit_codes import EXIT_CONFIG, EXIT_USAGE
from duly_runtime.logging import configure_logging, get_logger
from duly_runtime.loops import Loop, LoopRunner
from duly_runtime.metrics import Metrics
from duly_runtime.migrations import migrate, schema_missing
from duly_runtime.settings import ServiceSettings, SettingsInvalid, load_settings
from duly_runtime.tracing import configure_tracing

_log = get_logger(__name__)
_GRACE_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Service:
    """What `bootstrap.build` returns.

    loops: run in a thread each. status: for the admin server. not_ready: a reason, or '' when it can do its job.
    start: servers to open (HTTP, gRPC) once loops run. closers: called in order at the end.
    """

    name: str
    loops: Sequence[Loop]
    status: Callable[[], Status]
    not_ready: Callable[[], str] = lambda: ""
    start: Sequence[Callable[[], None]] = ()
    closers: Sequence[Callable[[], None]] = field(default=())


S = TypeVar("S", bound=ServiceSettings)


def run_service(service: Service, settings: ServiceSettings, metrics: Metrics, clock: Clock) -> None:
    """Run until SIGTERM or SIGINT. A failing loop ends the process with EXIT_UNTRUSTED instead."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    runner = LoopRunner(service.loops, clock, metrics)
    probes = Probes(lambda: runner.stalled(STALL_LIMIT_SECONDS), service.not_ready, service.status)
    admin = AdminServer(settings.admin_host, settings.admin_port, probes, metrics)
    admin.start()
    runner.start()
    for start in service.start:
        start()
    _log.info("runtime.service_started", admin_port=admin.port)
    stop.wait()
    _log.info("runtime.service_stopping")
    runner.stop(_GRACE_SECONDS)
    for close in service.closers:
        close()
    admin.close()
    _log.info("runtime.service_stopped")


def service_main(
    name: str,
    settings_model: type[S],
    build: Callable[[S, Clock, Metrics], Service],
    migrations: str,
    argv: Sequence[str] | None = None,
    env: Mapping[str, str] | None = None,
) -> int:
    """`python -m <service>.bootstrap [run|migrate]`. Returns the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv) or ["run"]
    if arguments not in (["run"], ["migrate"]):
        print(f"usage: {name} [run|migrate]", file=sys.stderr)
        return EXIT_USAGE
    try:
        settings = load_settings(settings_model, name, os.environ if env is None else env)
    except SettingsInvalid as error:
        print(error, file=sys.stderr)
        return EXIT_CONFIG
    configure_logging(name, settings.log_level)
    dsn = settings.database_url.get_secret_value()
    if arguments == ["migrate"]:
        migrate(dsn, migrations)
        return 0
    missing = schema_missing(dsn, migrations)
    if missing:
        print(f"{name} cannot start: {missing}", file=sys.stderr)
        return EXIT_CONFIG
    configure_tracing(name, settings.otlp_endpoint)
    clock, metrics = SystemClock(), Metrics()
    try:
        service = build(settings, clock, metrics)
    except KeySetUnusable as error:
        print(f"{name} cannot start: {error}", file=sys.stderr)
        return EXIT_CONFIG
    run_service(service, settings, metrics, clock)
    return 0

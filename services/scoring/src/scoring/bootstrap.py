"""Composition root and `main` of scoring. Nothing is made at import."""

from __future__ import annotations

import asyncio
import gc
import os
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from duly_compiled.use import is_compiled, use_compiled

if __name__ == "__main__":  # before anything of the step is imported
    use_compiled()

import faust
import uvloop
from duly_runtime.admin import STALL_LIMIT_SECONDS, AdminServer, Probes, Status
from duly_runtime.clock import Clock, SystemClock
from duly_runtime.exit_codes import EXIT_CONFIG, EXIT_UNTRUSTED, EXIT_USAGE
from duly_runtime.log import EventLog
from duly_runtime.logging import configure_logging, get_logger
from duly_runtime.metrics import Metrics
from duly_runtime.settings import SettingsInvalid, load_settings
from duly_runtime.tracing import configure_tracing
from kafka.errors import KafkaError

from scoring.adapters.batch_shell import BatchShell
from scoring.adapters.faust_app import (
    TABLE,
    AckedTable,
    AppOptions,
    ScoringApp,
    app_id,
    changelog_topic,
    debtors_table,
    make_app,
)
from scoring.adapters.guards import (
    STOP_SECONDS_MAX,
    Watchdog,
    ZombieGuard,
    end_after,
    end_process,
)
from scoring.adapters.kafka_preflight import LEDGER, BrokersGroup, NotReadyToStart, Preflight
from scoring.adapters.local_state import discard_unusable, state_folder
from scoring.adapters.mlflow_registry import MlflowRegistry
from scoring.adapters.model_control import ControlReader
from scoring.adapters.model_store import ModelStore
from scoring.adapters.serving_models import ServingModels
from scoring.adapters.shell import Shell
from scoring.adapters.take_shell import TakeShell
from scoring.application.ports import Models
from scoring.application.score_batch import Scorer
from scoring.config import Settings
from scoring.entrypoints.memory_stream import MemoryStream
from scoring.entrypoints.positions import Positions
from scoring.entrypoints.scoring_step import ScoringStep
from scoring.entrypoints.stream import Stream

_log = get_logger(__name__)
SERVICE = "scoring"


class Worker(faust.Worker):  # type: ignore[misc]  # Faust is untyped here
    """Faust's worker with our logging, no console of its own, and an end to every stop."""

    def __init__(self, app: ScoringApp, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(
            app, loop=loop, quiet=True, override_logging=False, redirect_stdouts=False, workdir=app.conf.datadir
        )
        self.spinner = None

    def _schedule_shutdown(self, signal: Any) -> None:
        end_after(STOP_SECONDS_MAX)
        super()._schedule_shutdown(signal)


def build_memory(log: EventLog, models: Models) -> MemoryStream:
    """For scenario tests: the same step over any log, state in memory."""
    return MemoryStream(log, models)


def not_ready(app: ScoringApp) -> Callable[[], str]:
    """Ready: state recovered, partitions held. `recovery.completed` would not do, Faust never clears it."""

    def reason() -> str:
        if app.rebalancing:
            return "rebalancing"
        return "" if app.tables.actives_ready else "recovering state"

    return reason


class Watched:
    """`guards.Worker`."""

    def __init__(self, app: ScoringApp, not_ready: Callable[[], str]) -> None:
        self._app = app
        self._not_ready = not_ready

    def progress(self) -> object:
        reason = self._not_ready()
        return (reason, self._app.consumer_generation_id, self._app.changelog_records) if reason else None

    def held(self) -> Collection[int]:
        return {tp.partition for tp in self._app.assignor.assigned_actives()}


def status(positions: Positions, models: ServingModels) -> Callable[[], Status]:
    """Positions are what is acknowledged, outputs and state; scoring has no outbox."""

    def now() -> Status:
        next_offsets, in_work = positions.snapshot()
        extra = {"facts": positions.facts, "scores": positions.scores, **models.status()}
        return Status(SERVICE, {LEDGER: next_offsets}, outbox=0, work=in_work, extra=extra)

    return now


def followed_models(settings: Settings, clock: Clock, metrics: Metrics) -> ServingModels:
    """The models of a worker that knows every promotion there is by now. Raises KafkaError."""
    registry = MlflowRegistry(settings.mlflow_tracking_uri) if settings.mlflow_tracking_uri else None
    store = ModelStore(registry, settings.data_dir / "models", settings.models_kept)
    models = ServingModels(ControlReader(settings.kafka_bootstrap_servers), store, clock, metrics)
    models.read_to_end()
    return models


def end_if_failed(prepared: Future[None]) -> None:
    """Of models that could not be had the store knows; anything else is a fault, and nobody waits for this future."""
    if not prepared.cancelled() and (error := prepared.exception()) is not None:
        end_process(EXIT_UNTRUSTED, "scoring.models_failed", error=f"{type(error).__name__}: {error}")


def app_of(settings: Settings, source: str) -> ScoringApp:
    """The app as the settings have it. source: topic of the facts."""
    options = AppOptions(
        bootstrap_servers=settings.kafka_bootstrap_servers,
        source=source,
        data_dir=settings.data_dir,
        instance_id=settings.instance_id,
        store=settings.store,
        app_version=settings.app_version,
        session_timeout_seconds=settings.session_timeout_seconds,
        recovery_delay_seconds=settings.recovery_delay_seconds,
        replication_factor=settings.replication_factor,
    )
    return make_app(options)


def make_shell(settings: Settings, app: ScoringApp, table: AckedTable) -> Shell:
    """The shell that the settings name."""
    if settings.shell == "batch":
        return BatchShell(app, table, settings.batch_records, settings.batches_in_flight)
    return TakeShell(app, table, settings.batch_records, settings.batch_wait_seconds)


def calm_collector() -> None:
    """Fewer passes of the cycle collector: the fold makes no cycles, yet took a third of its time to be told so.

    What is there by now stays for good. A pass comes after more new objects than the fetches of all partitions make at
    once (some ten a record), else every fetch would start one; a full pass after some 600 million. Measured: ADR 14.
    Where XGBoost itself predicts, each call leaves 25 small objects in cycles: 50 MiB between two passes.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(300_000, 20, 100)


def run_worker(settings: Settings, partitions: int, models: ServingModels, clock: Clock, metrics: Metrics) -> None:
    """Wire everything and run until a signal. Raises SystemExit with the worker's exit code."""
    app = app_of(settings, LEDGER)
    step_thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="step")
    # Its import and load overlap with Faust's start.
    step_thread.submit(models.prepare).add_done_callback(end_if_failed)
    table = debtors_table(app)
    shell, positions, guard = make_shell(settings, app, table), Positions(), ZombieGuard(clock)
    step = ScoringStep(Scorer(shell.states, partitions), models)
    Stream(app, table, shell, step, positions, guard, step_thread, clock, metrics).attach()
    reason = not_ready(app)
    group = BrokersGroup(
        settings.kafka_bootstrap_servers, app_id(settings.app_version), settings.instance_id, partitions
    )
    watchdog = Watchdog(group, Watched(app, reason), clock)
    probes = Probes(lambda: guard.stalled(STALL_LIMIT_SECONDS), reason, status(positions, models))
    admin = AdminServer(settings.admin_host, settings.admin_port, probes, metrics)
    admin.start()
    watchdog.start()
    models.start()
    _log.info("scoring.worker_started", admin_port=admin.port, partitions=partitions, compiled=is_compiled())
    calm_collector()
    try:
        Worker(app, asyncio.new_event_loop()).execute_from_commandline()
    finally:
        models.stop()
        watchdog.stop()
        admin.close()
        step_thread.shutdown(cancel_futures=True)
        _log.info("scoring.worker_stopped")


def main(argv: Sequence[str] | None = None, env: Mapping[str, str] | None = None) -> int:
    """`python -m scoring.bootstrap [run]`. Returns the exit code; a running worker ends by SystemExit."""
    arguments = list(sys.argv[1:] if argv is None else argv) or ["run"]
    if arguments != ["run"]:
        print(f"usage: {SERVICE} [run]", file=sys.stderr)
        return EXIT_USAGE
    try:
        settings = load_settings(Settings, SERVICE, os.environ if env is None else env)
    except SettingsInvalid as error:
        print(error, file=sys.stderr)
        return EXIT_CONFIG
    configure_logging(SERVICE, settings.log_level)
    configure_tracing(SERVICE, settings.otlp_endpoint)
    clock, metrics = SystemClock(), Metrics()
    try:
        preflight = Preflight(settings.kafka_bootstrap_servers)
        partitions = preflight.check_topics(changelog_topic(settings.app_version))
        discard_unusable(
            state_folder(settings.data_dir, app_id(settings.app_version)),
            TABLE,
            preflight.ends(changelog_topic(settings.app_version)),
        )
        preflight.close()
        models = followed_models(settings, clock, metrics)
    except (NotReadyToStart, KafkaError) as error:
        print(f"{SERVICE} cannot start: {error}", file=sys.stderr)
        return EXIT_CONFIG
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    run_worker(settings, partitions, models, clock, metrics)
    return 0


if __name__ == "__main__":
    sys.exit(main())

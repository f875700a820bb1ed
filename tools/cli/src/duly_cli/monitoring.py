"""`duly monitor`: one look at the model that scores, for a person, a file and Prometheus. It changes nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

from duly_contracts.model_control import CHAMPION
from duly_risk.days import date_of
from duly_runtime.clock import Clock
from duly_training.control_topic import ControlTopic
from duly_training.folding import timeline_of
from duly_training.history import FactSource, read_history
from duly_training.model_versions import ModelVersions
from duly_training.monitor.recorded import ScoreFlow, score_flow
from duly_training.monitor.reference import ReferenceUnreadable
from duly_training.monitor.report import PAYMENT_DAYS, Level, MonitorReport, monitor
from duly_training.monitor.topics import ledger_of, recorded_scores
from duly_training.monitor.words import lines_of, prometheus_text
from duly_training.registry import Registry
from duly_training.whole_file import replacing, require_replaceable

from duly_cli.aside import Aside
from duly_cli.errors import CommandFailed
from duly_cli.ledgers import ledger_faults, read_given
from duly_cli.promotions import kafka_faults, registry_faults
from duly_cli.servers import Servers
from duly_cli.terminal import Terminal, ending


@dataclass(frozen=True, slots=True)
class MonitorRequest:
    """What to look at. version '': the stream's champion. ledger None: what is in `ledger-events`. at: exclusive."""

    tenant: str
    version: str = ""
    ledger: Path | None = None
    at: date | None = None


def monitored(servers: Servers, request: MonitorRequest, terminal: Terminal) -> MonitorReport:
    """Raises CommandFailed."""
    return Aside(terminal).run(lambda: _monitored(servers, request, terminal))


def _monitored(servers: Servers, request: MonitorRequest, terminal: Terminal) -> MonitorReport:
    version = request.version or _champion(servers, request.tenant)
    versions = ModelVersions(Registry(servers.tracking_uri, request.tenant))
    try:
        with kafka_faults(), registry_faults():
            model, reference = versions.load(version)
    except ReferenceUnreadable as error:
        raise CommandFailed(f"Version {version} cannot be compared with its fit ({error}): train it anew.") from error
    with terminal.steps():
        line = folding = terminal.line("Fold the ledger's facts")
        with ending(line), ledger_faults():
            facts, at, passed_over = _facts(servers, request)
            history = read_history(facts, at)
            timeline = timeline_of(history, lambda done, total: folding.progress(done, total, "debtors"))
        aside = f"; {passed_over:,} records that cannot be used passed over" if passed_over else ""
        line.done(f"{len(timeline.invoice_ids):,} invoices known before {date_of(timeline.cut_day)}{aside}")
        line = terminal.line(f"Hold version {version} against what came")
        with ending(line):
            report = monitor(timeline, model, reference, request.tenant, _flow(servers, request, at))
        line.done("")
    return report


def require_files(*files: Path | None) -> None:
    """Told before the work, not after it. Raises CommandFailed for a device or a folder in a file's place."""
    for file in files:
        if file is not None:
            with _write_faults(file):
                require_replaceable(file)


def publish(
    report: MonitorReport, json_file: Path | None, metrics_file: Path | None, clock: Clock, terminal: Terminal
) -> bool:
    """Tell it everywhere. Whether there is no alarm."""
    for line in lines_of(report):
        terminal.plain(line)
    if json_file is not None:
        _write(json_file, json.dumps(report.to_json(), indent=1) + "\n")
    if metrics_file is not None:
        _write(metrics_file, prometheus_text(report, clock.now().timestamp()))
    return report.level < Level.ALARM


def _champion(servers: Servers, tenant: str) -> str:
    with kafka_faults():
        history = ControlTopic(servers.kafka).history(tenant, CHAMPION)
    if not history or not history[-1].has_model:
        raise CommandFailed(f"No model scores {tenant}, so there is nothing to look at: name one with --version.")
    return history[-1].version


def _facts(servers: Servers, request: MonitorRequest) -> tuple[FactSource, date, int]:
    """The facts, the day to look at (exclusive), and how many records were passed over. Raises CommandFailed."""
    if request.ledger is not None:
        ledger = read_given(request.ledger, request.tenant)
        return ledger, request.at or ledger.until + timedelta(days=1), 0
    with kafka_faults():
        recorded = ledger_of(servers.kafka, request.tenant)
    if recorded.newest is None:
        raise CommandFailed(
            f"ledger-events holds no fact of {request.tenant} that can be used: import a ledger, "
            "or name one with --ledger."
        )
    return recorded, request.at or recorded.newest + timedelta(days=1), recorded.passed_over


def _flow(servers: Servers, request: MonitorRequest, at: date) -> ScoreFlow | None:
    """Of a running system only: a ledger has no recorded scores."""
    if request.ledger is not None:
        return None
    with kafka_faults():
        return score_flow(recorded_scores(servers.kafka, request.tenant, at - timedelta(days=PAYMENT_DAYS)))


def _write(file: Path, text: str) -> None:
    with _write_faults(file), replacing(file) as whole:
        whole.write(text)


@contextmanager
def _write_faults(file: Path) -> Iterator[None]:
    """OSError -> CommandFailed."""
    try:
        yield
    except OSError as error:
        raise CommandFailed(f"{file} cannot be written: {error.strerror or error}.") from error

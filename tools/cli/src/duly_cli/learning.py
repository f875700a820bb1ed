"""`duly train` and `duly evaluate` on a ledger, without a running stack: progress, verdict, report."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

from duly_ledger_export import Ledger
from duly_training.fit import FitSettings
from duly_training.folding import timeline_of
from duly_training.history import read_history
from duly_training.origin import TooFewSettledInvoices
from duly_training.pipeline import STAGES
from duly_training.registry import Registry
from duly_training.request import TrainingRequest
from duly_training.rolling import evaluate, evaluation_report
from duly_training.splits import left_out_words, without_strays
from duly_training.train import TrainingReport, train_on

from duly_cli.aside import FIT_SECONDS, REGISTER_SECONDS, Aside
from duly_cli.errors import CommandFailed
from duly_cli.ledgers import LedgerChoice, ledger_faults, read_given
from duly_cli.playing import prepare_ledger
from duly_cli.promotions import mlflow_gives_up_soon, registry_faults
from duly_cli.stack.local import DEMO_TENANT
from duly_cli.terminal import Terminal, ending


@dataclass(frozen=True, slots=True)
class LearningRequest:
    """What a person asked for. choice.known_until: only what was known before. threads, dask: where trees are grown.

    groups: CSV of debtor_id and group, for the report alone. tenant: whose ledger it is.
    """

    choice: LedgerChoice
    threads: int
    report: Path | None
    dask: str = ""
    groups: Path | None = None
    tenant: str = DEMO_TENANT

    @property
    def settings(self) -> FitSettings:
        return FitSettings(self.choice.seed, threads=self.threads, dask=self.dask)


def train_ledger(request: LearningRequest, tracking_uri: str, terminal: Terminal) -> TrainingReport:
    """Fit, judge, register in that MLflow; nothing scores until it is promoted. Raises CommandFailed.

    A person's end comes at once, or behind the registration: of a refused model and what stands in for it both are
    registered, or neither.
    """
    aside = Aside(terminal)
    return aside.run(lambda: _trained(request, tracking_uri, terminal, aside))


def _trained(request: LearningRequest, tracking_uri: str, terminal: Terminal, aside: Aside) -> TrainingReport:
    _require_place(request.report)
    mlflow_gives_up_soon()
    with registry_faults():  # minutes of reading come before its first other use
        registry = Registry(tracking_uri, request.tenant)
        registry.champion()
    ledger, until = _ledger(request, terminal)
    with terminal.steps():
        line = terminal.line(f"Train on what was known before {until}")

        def shown(stage: str, done: int, total: int) -> None:
            line.progress(done, total, stage)
            aside.grace_seconds = REGISTER_SECONDS if stage == STAGES[-1] else FIT_SECONDS

        with ending(line):
            asked = TrainingRequest(until, request.settings, _groups(request.groups))
            try:
                with registry_faults(), ledger_faults():
                    report = train_on(ledger, registry, asked, shown)
            except TooFewSettledInvoices as error:
                raise CommandFailed(f"The ledger is too thin for a model: {error}. The rules score serves.") from error
        line.done(f"version {report.judged_version}, {'fitted before' if report.reused else 'registered'}")
    if report.verdict is not None:
        let = "lets it be promoted." if report.may_be_promoted else f"refuses version {report.judged_version}:"
        terminal.say(f"The gate {let}")
        for failed in report.verdict.failed:
            terminal.plain(f"  {failed.name}: {failed.value}, must be {failed.limit}")
        if not report.may_be_promoted:
            terminal.plain(f"What may serve instead: version {report.model.version} ({report.kind}).")
    _write(request.report, report.report, terminal)
    return report


def evaluate_ledger(request: LearningRequest, months: int, terminal: Terminal) -> bool:
    """Rolling origins, printed; whether the gain over every baseline is sure. Raises CommandFailed."""
    aside = Aside(terminal)
    return aside.run(lambda: _evaluated(request, months, terminal, aside))


def _evaluated(request: LearningRequest, months: int, terminal: Terminal, aside: Aside) -> bool:
    _require_place(request.report)
    ledger, until = _ledger(request, terminal)
    with terminal.steps():
        line = folding = terminal.line("Fold the history once")
        with ending(line), ledger_faults():
            history = without_strays(read_history(ledger, until))
            timeline = timeline_of(history, lambda done, total: folding.progress(done, total, "debtors"))
        figures = f"{len(timeline.snapshots):,} snapshots of {len(timeline.invoice_ids):,} invoices"
        line.done("; ".join(filter(None, (figures, left_out_words(history.left_out)))))
        line = terminal.line("Fit and judge at each origin")
        aside.grace_seconds = FIT_SECONDS
        with ending(line):
            try:
                evaluation = evaluate(timeline, months, request.settings, _shown(line.progress))
            except TooFewSettledInvoices as error:
                raise CommandFailed(f"The ledger is too thin to be judged at {months} origins: {error}.") from error
        line.done(f"{len(evaluation.origins)} origins, {evaluation.invoices:,} invoices")
    text = evaluation_report(evaluation)
    terminal.plain(text)
    _write(request.report, text, terminal)
    return evaluation.beats_baselines


def _ledger(request: LearningRequest, terminal: Terminal) -> tuple[Ledger, date]:
    choice, tenant = request.choice, request.tenant
    with terminal.steps():
        line = terminal.line("Read the ledger")
        with ending(line), ledger_faults():
            ledger = read_given(choice.path, tenant) if choice.path else prepare_ledger(choice, tenant).ledger
            until = choice.known_until or ledger.until + timedelta(days=1)
        line.done(f"{len(ledger.records.invoices):,} invoices of {len(ledger.debtors()):,} debtors")
    return ledger, until


def _groups(path: Path | None) -> dict[str, str]:
    """By debtor. Raises CommandFailed, before the work."""
    if path is None:
        return {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return dict(_group_rows(csv.DictReader(file)))
    except (OSError, ValueError, csv.Error) as error:
        raise CommandFailed(f"{path} must be a CSV file with the columns debtor_id and group: {error}.") from error


def _group_rows(reader: csv.DictReader[str]) -> Iterator[tuple[str, str]]:
    """Raises ValueError for a column that is missing, in the header or in a row."""
    missing = {"debtor_id", "group"} - set(reader.fieldnames or ())
    if missing:
        raise ValueError(f"the header lacks {', '.join(sorted(missing))}")
    for row in reader:
        if None in row or None in row.values():
            raise ValueError(f"line {reader.line_num} has another number of fields than the header")
        yield row["debtor_id"], row["group"]


def _shown(progress: Callable[[int, int, str], None]) -> Callable[[str, int, int], None]:
    return lambda stage, done, total: progress(done, total, stage)


def _require_place(report: Path | None) -> None:
    """Told before the work, not after it. Raises CommandFailed."""
    if report is not None and (report.is_dir() or not report.parent.is_dir()):
        raise CommandFailed(f"--report {report} must name a file in a folder that exists.")


def _write(path: Path | None, text: str, terminal: Terminal) -> None:
    if path is not None and text:
        try:
            path.write_text(text, encoding="utf-8")
        except OSError as error:
            raise CommandFailed(f"The report {path} cannot be written: {error.strerror or error}.") from error
        terminal.plain(f"Report: {path}")

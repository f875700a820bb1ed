"""`duly train | evaluate | backtest | judge`: arguments in, the work elsewhere."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from duly_cli.errors import EXIT_NOT_HELD, CommandFailed
from duly_cli.folders import StateFolder
from duly_cli.ledgers import SEED_DEFAULT
from duly_cli.options import (
    STATE,
    DaskOption,
    LedgerOption,
    ReportOption,
    SeedOption,
    StateOption,
    TenantOption,
    ThreadsOption,
    UntilOption,
    history_choice_of,
)
from duly_cli.terminal import Terminal

app = typer.Typer()


@app.command()
def train(
    ledger: LedgerOption = "",
    until: UntilOption = None,
    seed: SeedOption = SEED_DEFAULT,
    tracking_uri: Annotated[
        str, typer.Option("--tracking-uri", envvar="MLFLOW_TRACKING_URI", help="MLflow [that of the running stack].")
    ] = "",
    report: ReportOption = None,
    threads: ThreadsOption = 1,
    dask: DaskOption = "",
    groups: Annotated[
        Path | None, typer.Option("--groups", help="CSV of debtor_id, group: results by group in the report, no more.")
    ] = None,
    tenant: TenantOption = "demo",
    state: StateOption = STATE,
) -> None:
    """Fit the risk model on a ledger, judge it on its latest invoices, register it; `duly promote` lets it score.

    A model that the gate refuses is registered as refused, and the command says why; exit code 1.
    """
    from duly_cli.learning import LearningRequest, train_ledger
    from duly_cli.with_running import attached

    where = tracking_uri or attached(StateFolder(state)).mlflow.tracking_uri
    request = LearningRequest(history_choice_of(ledger, until, seed), threads, report, dask, groups, tenant)
    if not train_ledger(request, where, Terminal()).may_be_promoted:
        raise typer.Exit(EXIT_NOT_HELD)


@app.command()
def evaluate(
    ledger: LedgerOption = "",
    until: UntilOption = None,
    months: Annotated[int, typer.Option("--months", min=1, max=60, help="So many monthly origins, the latest.")] = 6,
    seed: SeedOption = SEED_DEFAULT,
    report: ReportOption = None,
    threads: ThreadsOption = 1,
    dask: DaskOption = "",
) -> None:
    """Judge the risk model at rolling monthly origins of a ledger. Registers nothing.

    At each origin a model is fitted on what was known before it and judged, beside the baselines, on the month after.
    Exit code 1 where the gain over a baseline is not sure over all origins together.
    """
    from duly_cli.learning import LearningRequest, evaluate_ledger

    request = LearningRequest(history_choice_of(ledger, until, seed), threads, report, dask)
    if not evaluate_ledger(request, months, Terminal()):
        raise typer.Exit(EXIT_NOT_HELD)


@app.command()
def backtest(
    known_until: Annotated[
        datetime, typer.Option("--known-until", formats=["%Y-%m-%d"], help="Learn from what was known before this day.")
    ],
    out: Annotated[Path, typer.Option("--out", help="File for the predictions; cash.csv is written beside it.")],
    ledger: Annotated[
        str, typer.Option("--ledger", envvar="LEDGER", help="Ledger export (folder) or CSV that a mapping fits.")
    ] = "",
    predict_from: Annotated[
        datetime | None,
        typer.Option("--predict-from", formats=["%Y-%m-%d"], help="First issue date to predict [--known-until]."),
    ] = None,
    predict_to: Annotated[
        datetime | None,
        typer.Option("--predict-to", formats=["%Y-%m-%d"], help="Last issue date to predict, inclusive [last issued]."),
    ] = None,
    snapshots: Annotated[
        str, typer.Option("--snapshots", help="Days to forecast cash at, with commas [every second Monday].")
    ] = "",
    seed: Annotated[int, typer.Option("--seed", help="Of the training and the simulated cash.")] = SEED_DEFAULT,
    state: StateOption = STATE,
) -> None:
    """Train on what was known before a day, replay the rest of the ledger, write what would have been predicted."""
    from duly_cli.backtest import BacktestChoice, run_backtest

    if not ledger:
        raise CommandFailed("Say which ledger to test on: --ledger FOLDER or --ledger FILE.csv.")
    first, last = (day.date() if day else None for day in (predict_from, predict_to))
    choice = BacktestChoice(Path(ledger), out, known_until.date(), first, last, snapshots, seed)
    run_backtest(choice, StateFolder(state), Terminal())


@app.command()
def judge(
    ledger: Annotated[str, typer.Option("--ledger", envvar="LEDGER", help="The ledger that knows what came of it.")],
    predictions: Annotated[Path, typer.Option("--predictions", help="Of `duly backtest`, with cash.csv beside it.")],
    weeks: Annotated[int, typer.Option("--weeks", min=1, max=13, help="First weeks that the WAPE adds up.")] = 8,
) -> None:
    """Hold the two files of a back-test against what the ledger knows in the end; the figures as JSON."""
    from duly_cli.judging import judge_backtest

    typer.echo(judge_backtest(Path(ledger), predictions, weeks))

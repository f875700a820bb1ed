"""The `duly` command: what a person types, and nothing more."""

from __future__ import annotations

import getpass
import os
import sys
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from duly_runtime.clock import SystemClock

from duly_cli import ports as port_table
from duly_cli.credentials import SCOPES, Credentials
from duly_cli.dlq.commands import app as dlq_app
from duly_cli.errors import CommandFailed, Interrupted, StackError
from duly_cli.folders import STATE_VARIABLE, StateFolder, running_stack, stop_running
from duly_cli.ledgers import SEED_DEFAULT, LedgerChoice
from duly_cli.ports import BASE_DEFAULT, BASE_VARIABLE, BasePortInvalid, Ports
from duly_cli.signals import interruptible
from duly_cli.terminal import Terminal

if TYPE_CHECKING:
    from duly_cli.promotions import Desk

EXIT_NOT_HELD, EXIT_FAULT, EXIT_INTERRUPTED = 1, 2, 130

app = typer.Typer(
    name="duly",
    help="Duly on this machine: start it, play a ledger through it, prove what came out.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

app.add_typer(dlq_app, name="dlq")

StateOption = Annotated[
    Path, typer.Option("--state", envvar=STATE_VARIABLE, help="Folder for everything that is kept.", file_okay=False)
]
BaseOption = Annotated[
    int, typer.Option("--base-port", envvar=BASE_VARIABLE, help="First port; `duly ports` shows the offsets.")
]
LedgerOption = Annotated[
    str,  # not a Path: `make demo LEDGER=` sets the variable to nothing, which as a Path would be the current folder
    typer.Option("--ledger", envvar="LEDGER", help="Ledger export (folder) or CSV; without it a simulated company."),
]
PlayFromOption = Annotated[
    datetime | None,
    typer.Option("--play-from", formats=["%Y-%m-%d"], help="First played day of your ledger [median issue date]."),
]
UntilOption = Annotated[
    datetime | None,
    typer.Option(
        "--until", "--known-until", formats=["%Y-%m-%d"], help="Only what was known before, of your ledger [all]."
    ),
]
DaysOption = Annotated[int, typer.Option("--days", min=0, max=3660, help="Play only so many days; 0 = all.")]
SeedOption = Annotated[int, typer.Option("--seed", help="Of the simulated company and of the training.")]
ReportOption = Annotated[Path | None, typer.Option("--report", help="Also write the report there, as Markdown.")]
ThreadsOption = Annotated[int, typer.Option("--threads", min=1, max=64, help="Of XGBoost; more pay off on idle cores.")]
DaskOption = Annotated[
    str, typer.Option("--dask", help="Grow the trees on the workers of this Dask scheduler, tcp://host:port.")
]
TenantOption = Annotated[str, typer.Option("--tenant", help="Whose models.")]
Promoted = Literal["champion", "challenger"]
_STATE = Path(".duly")


def _choice(ledger: str, play_from: datetime | None, days: int, seed: int) -> LedgerChoice:
    return LedgerChoice(Path(ledger) if ledger else None, play_from.date() if play_from else None, days, seed)


@app.command()
def up(state: StateOption = _STATE, base_port: BaseOption = BASE_DEFAULT) -> None:
    """Start servers and services with empty data, and stay until Ctrl-C."""
    from duly_cli.session import Session

    Session(StateFolder(state), Ports(base_port), Terminal()).up()


@app.command()
def demo(
    ledger: LedgerOption = "",
    play_from: PlayFromOption = None,
    days: DaysOption = 0,
    seed: SeedOption = SEED_DEFAULT,
    once: Annotated[bool, typer.Option("--once", help="Stop at the end; exit 0 only if every check holds.")] = False,
    chaos: Annotated[
        int | None, typer.Option("--chaos", metavar="SEED", help="Kill services while playing; implies --once.")
    ] = None,
    reference: Annotated[
        Path | None, typer.Option("--reference", help="Summary of the undisturbed run to compare with [--chaos].")
    ] = None,
    state: StateOption = _STATE,
    base_port: BaseOption = BASE_DEFAULT,
) -> None:
    """Import a ledger's history, train, play its days through the public edges, prove and tell what happened."""
    from duly_cli.session import Session

    session = Session(StateFolder(state), Ports(base_port), Terminal())
    choice = _choice(ledger, play_from, days, seed)
    holds = session.demo(choice, once=once) if chaos is None else session.chaos(choice, chaos, reference)
    if not holds:
        raise typer.Exit(EXIT_NOT_HELD)


@app.command("demo-once")
def demo_once(
    ledger: LedgerOption = "",
    play_from: PlayFromOption = None,
    days: DaysOption = 0,
    seed: SeedOption = SEED_DEFAULT,
    state: StateOption = _STATE,
    base_port: BaseOption = BASE_DEFAULT,
) -> None:
    """The same as `duly demo --once`."""
    demo(ledger, play_from, days, seed, once=True, chaos=None, reference=None, state=state, base_port=base_port)


@app.command()
def down(state: StateOption = _STATE) -> None:
    """Stop the running stack, in order."""
    typer.echo(stop_running(StateFolder(state)))


@app.command()
def purge(state: StateOption = _STATE) -> None:
    """Stop the running stack and remove the state folder: jars, models, runs, everything."""
    folder = StateFolder(state)
    stop_running(folder)
    folder.purge()
    typer.echo(f"{state} is removed.")


@app.command()
def status(state: StateOption = _STATE) -> None:
    """What runs, and how far each service has come."""
    from duly_cli.status import print_status

    if not print_status(StateFolder(state), Terminal()):
        raise typer.Exit(EXIT_NOT_HELD)


@app.command()
def token(
    scope: Annotated[list[str], typer.Option("--scope", help=f"One of {', '.join(SCOPES)}; may be repeated.")],
    tenant: Annotated[str, typer.Option("--tenant", help="Whom it is for.")] = "demo",
    hours: Annotated[int, typer.Option("--hours", min=1, max=720, help="How long it holds.")] = 8,
    state: StateOption = _STATE,
) -> None:
    """Print a token for the running stack's APIs: `curl -H "Authorization: Bearer $(duly token --scope ...)"`."""
    stack = running_stack(StateFolder(state))
    if stack is None:
        raise CommandFailed("Nothing runs, so there is no key to sign with: `duly up` or `duly demo` first.")
    credentials = Credentials(stack.run.credentials)
    typer.echo(credentials.sign("person", tenant, scope, SystemClock().now(), timedelta(hours=hours)))


@app.command("import")
def import_(
    ledger: LedgerOption = "", until: UntilOption = None, seed: SeedOption = SEED_DEFAULT, state: StateOption = _STATE
) -> None:
    """Bring a ledger's history into the running stack. Nobody is contacted because of it."""
    from duly_cli.with_running import attached, history_of, import_history

    stack = attached(StateFolder(state))
    import_history(stack, history_of(stack, _choice(ledger, until, 0, seed)), Terminal())


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
    state: StateOption = _STATE,
) -> None:
    """Fit the risk model on a ledger, judge it on its latest invoices, register it; `duly promote` lets it score.

    A model that the gate refuses is registered as refused, and the command says why; exit code 1.
    """
    from duly_cli.learning import Learning, train_ledger
    from duly_cli.with_running import attached

    where = tracking_uri or attached(StateFolder(state)).mlflow.tracking_uri
    learning = Learning(_choice(ledger, until, 0, seed), threads, report, dask, groups, tenant)
    if not train_ledger(learning, where, Terminal()).may_be_promoted:
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
    from duly_cli.learning import Learning, evaluate_ledger

    learning = Learning(_choice(ledger, until, 0, seed), threads, report, dask)
    if not evaluate_ledger(learning, months, Terminal()):
        raise typer.Exit(EXIT_NOT_HELD)


ByOption = Annotated[str, typer.Option("--by", help="Who does it; recorded [the user of this machine].")]


@app.command()
def promote(
    version: Annotated[str, typer.Argument(help="Of model risk in the registry.")],
    as_: Annotated[
        Promoted, typer.Option("--as", help="A challenger is scored beside, nobody acts on it.")
    ] = "champion",
    effective_date: Annotated[
        datetime | None,
        typer.Option("--effective-date", formats=["%Y-%m-%d"], help="First business date [the next one]."),
    ] = None,
    force_reason: Annotated[
        str, typer.Option("--force-reason", help="Why it is taken though its gate did not pass; recorded.")
    ] = "",
    tenant: TenantOption = "demo",
    by: ByOption = "",
    state: StateOption = _STATE,
) -> None:
    """Let a model version score, from a business date on. Its gate must have passed. May be repeated."""
    role = {"champion": "CHAMPION", "challenger": "SHADOW"}[as_]
    _desk(state, tenant, by).promote(version, role, effective_date.date() if effective_date else None, force_reason)


@app.command()
def rollback(
    to: Annotated[str, typer.Option("--to", help="A version, or `rules` [the version before].")] = "",
    challenger: Annotated[bool, typer.Option("--challenger", help="End the challenger's run instead.")] = False,
    reason: Annotated[str, typer.Option("--reason", help="Recorded.")] = "",
    tenant: TenantOption = "demo",
    by: ByOption = "",
    state: StateOption = _STATE,
) -> None:
    """Let the model before score again, at once and on every date. May be repeated."""
    desk = _desk(state, tenant, by)
    if challenger:
        desk.end_shadow(reason)
    else:
        desk.rollback(to, reason)


@app.command()
def models(tenant: TenantOption = "demo", state: StateOption = _STATE) -> None:
    """The registry's versions, what the stream was told, and what scores."""
    from duly_cli.model_list import print_models
    from duly_cli.places import place_of

    print_models(_desk(state, tenant, ""), place_of(StateFolder(state)), Terminal())


@app.command()
def monitor(
    ledger: LedgerOption = "",
    version: Annotated[str, typer.Option("--version", help="[what scores]")] = "",
    at: Annotated[
        datetime | None, typer.Option("--at", formats=["%Y-%m-%d"], help="By what was known before [all].")
    ] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="The report as JSON.")] = None,
    metrics_file: Annotated[
        Path | None, typer.Option("--metrics-file", help="Gauges for a Prometheus textfile collector.")
    ] = None,
    tenant: TenantOption = "demo",
    state: StateOption = _STATE,
) -> None:
    """Does the model still fit? Payments against expectation, calibration, drift. Exit code 1 on an alarm."""
    from duly_cli.monitoring import Look, look, publish
    from duly_cli.places import place_of

    what = Look(tenant, version, Path(ledger) if ledger else None, at.date() if at else None)
    terminal = Terminal()
    report = look(place_of(StateFolder(state)), what, terminal)
    if not publish(report, json_file, metrics_file, SystemClock(), terminal):
        raise typer.Exit(EXIT_NOT_HELD)


def _desk(state: Path, tenant: str, by: str) -> Desk:
    from duly_cli.places import place_of
    from duly_cli.promotions import desk_of

    return desk_of(place_of(StateFolder(state)), tenant, by or getpass.getuser(), SystemClock(), Terminal().plain)


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
    state: StateOption = _STATE,
) -> None:
    """Train on what was known before a day, replay the rest of the ledger, write what would have been predicted."""
    from duly_cli.backtest import BacktestChoice, run_backtest

    if not ledger:
        raise CommandFailed("Say which ledger to test on: --ledger FOLDER or --ledger FILE.csv.")
    first, last = (day.date() if day else None for day in (predict_from, predict_to))
    choice = BacktestChoice(Path(ledger), out, known_until.date(), first, last, snapshots, seed)
    run_backtest(choice, StateFolder(state), Terminal())


@app.command()
def preflight(state: StateOption = _STATE, base_port: BaseOption = BASE_DEFAULT) -> None:
    """Check Python, platform, disk and ports without starting anything."""
    from duly_localstack.ports import require_free_ports
    from duly_localstack.preflight import check_all

    check_all(state)
    require_free_ports(Ports(base_port).numbers())
    typer.echo("Python, platform, disk and ports are fine.")


@app.command()
def ports(
    base_port: BaseOption = BASE_DEFAULT,
    markdown: Annotated[bool, typer.Option("--markdown", help="As the table of the README.")] = False,
) -> None:
    """Which port is whose."""
    if markdown:
        typer.echo(port_table.markdown(base_port))
        return
    for name, number in Ports(base_port).numbers().items():
        typer.echo(f"{number}  {name}")


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit code. A foreseeable fault is one clear sentence on stderr."""
    try:
        with interruptible():
            code = app(args=arguments, standalone_mode=False)
    except (CommandFailed, StackError, BasePortInvalid) as error:
        print(f"duly: {error}", file=sys.stderr)
        return EXIT_FAULT
    except typer.Abort:
        return EXIT_INTERRUPTED
    except Interrupted as signal:
        print(f"\nduly: stopped by {signal}, nothing is left running.", file=sys.stderr)
        return EXIT_INTERRUPTED
    except Exception as error:
        return _usage_or_bug(error)
    return int(code or 0)


def main() -> None:
    """The command line."""
    code = run()
    sys.stdout.flush()
    sys.stderr.flush()
    # Steps that were abandoned may still hold threads; everything that matters has been stopped and written.
    os._exit(code)


def _usage_or_bug(error: Exception) -> int:
    show, exit_code = getattr(error, "show", None), getattr(error, "exit_code", None)
    if callable(show) and isinstance(exit_code, int):  # click's own usage errors
        show()
        return exit_code
    import traceback

    traceback.print_exception(error)
    return EXIT_FAULT


if __name__ == "__main__":
    main()

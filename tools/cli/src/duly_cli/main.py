"""The `duly` command: what a person types, and nothing more."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer
from duly_runtime.clock import SystemClock

from duly_cli import ports as port_table
from duly_cli.credentials import SCOPES, Credentials
from duly_cli.dlq.commands import app as dlq_app
from duly_cli.errors import EXIT_FAULT, EXIT_INTERRUPTED, EXIT_NOT_HELD, CommandFailed, Interrupted, StackError
from duly_cli.folders import StateFolder, running_stack, stop_running
from duly_cli.learning_commands import app as learning_app
from duly_cli.ledgers import SEED_DEFAULT
from duly_cli.model_commands import app as models_app
from duly_cli.options import (
    STATE,
    BaseOption,
    DaysOption,
    LedgerOption,
    PlayFromOption,
    SeedOption,
    StateOption,
    UntilOption,
    choice_of,
    history_choice_of,
)
from duly_cli.ports import BASE_DEFAULT, BasePortInvalid, Ports
from duly_cli.signals import interruptible
from duly_cli.terminal import Terminal

app = typer.Typer(
    name="duly",
    help="Duly on this machine: start it, play a ledger through it, prove what came out.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

app.add_typer(learning_app)
app.add_typer(models_app)
app.add_typer(dlq_app, name="dlq")


@app.command()
def up(state: StateOption = STATE, base_port: BaseOption = BASE_DEFAULT) -> None:
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
    state: StateOption = STATE,
    base_port: BaseOption = BASE_DEFAULT,
) -> None:
    """Import a ledger's history, train, play its days through the public edges, prove and tell what happened."""
    from duly_cli.session import Session

    session = Session(StateFolder(state), Ports(base_port), Terminal())
    choice = choice_of(ledger, play_from, days, seed)
    holds = session.demo(choice, once=once) if chaos is None else session.chaos(choice, chaos, reference)
    if not holds:
        raise typer.Exit(EXIT_NOT_HELD)


@app.command("demo-once")
def demo_once(
    ledger: LedgerOption = "",
    play_from: PlayFromOption = None,
    days: DaysOption = 0,
    seed: SeedOption = SEED_DEFAULT,
    state: StateOption = STATE,
    base_port: BaseOption = BASE_DEFAULT,
) -> None:
    """The same as `duly demo --once`."""
    demo(ledger, play_from, days, seed, once=True, chaos=None, reference=None, state=state, base_port=base_port)


@app.command()
def down(state: StateOption = STATE) -> None:
    """Stop the running stack, in order."""
    typer.echo(stop_running(StateFolder(state)))


@app.command()
def purge(state: StateOption = STATE) -> None:
    """Stop the running stack and remove the state folder: jars, models, runs, everything."""
    folder = StateFolder(state)
    stop_running(folder)
    folder.purge()
    typer.echo(f"{state} is removed.")


@app.command()
def status(state: StateOption = STATE) -> None:
    """What runs, and how far each service has come."""
    from duly_cli.status import print_status

    if not print_status(StateFolder(state), Terminal()):
        raise typer.Exit(EXIT_NOT_HELD)


@app.command()
def token(
    scope: Annotated[list[str], typer.Option("--scope", help=f"One of {', '.join(SCOPES)}; may be repeated.")],
    tenant: Annotated[str, typer.Option("--tenant", help="Whom it is for.")] = "demo",
    hours: Annotated[int, typer.Option("--hours", min=1, max=720, help="How long it holds.")] = 8,
    state: StateOption = STATE,
) -> None:
    """Print a token for the running stack's APIs: `curl -H "Authorization: Bearer $(duly token --scope ...)"`."""
    stack = running_stack(StateFolder(state))
    if stack is None:
        raise CommandFailed("Nothing runs, so there is no key to sign with: `duly up` or `duly demo` first.")
    credentials = Credentials(stack.run.credentials)
    typer.echo(credentials.sign("person", tenant, scope, SystemClock().now(), timedelta(hours=hours)))


@app.command("import")
def import_(
    ledger: LedgerOption = "", until: UntilOption = None, seed: SeedOption = SEED_DEFAULT, state: StateOption = STATE
) -> None:
    """Bring a ledger's history into the running stack. Nobody is contacted because of it."""
    from duly_cli.with_running import attached, import_history, prepared_history

    stack = attached(StateFolder(state))
    import_history(stack, prepared_history(stack, history_choice_of(ledger, until, seed)), Terminal())


@app.command()
def quarantine(
    limit: Annotated[int, typer.Option("--limit", min=1, max=500, help="The newest so many.")] = 50,
    tenant: Annotated[str, typer.Option("--tenant", help="Whose facts.")] = "demo",
    state: StateOption = STATE,
) -> None:
    """Facts that ledger-sync rejected or holds back, why, and what to do; newest last. Changes nothing."""
    from duly_cli.dlq.letters import printable
    from duly_cli.quarantine import lines, quarantined
    from duly_cli.with_running import attached

    events = quarantined(attached(StateFolder(state)), tenant, limit, SystemClock())
    for line in lines(events, limit):
        typer.echo(printable(line))


@app.command()
def preflight(state: StateOption = STATE, base_port: BaseOption = BASE_DEFAULT) -> None:
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

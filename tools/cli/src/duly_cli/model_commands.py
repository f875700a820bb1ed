"""`duly promote | rollback | models | monitor`: arguments in, the work elsewhere."""

from __future__ import annotations

import getpass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from duly_runtime.clock import SystemClock

from duly_cli.errors import EXIT_NOT_HELD
from duly_cli.folders import StateFolder
from duly_cli.options import STATE, LedgerOption, StateOption, TenantOption
from duly_cli.terminal import Terminal

if TYPE_CHECKING:
    from duly_cli.promotions import ModelPromotions

app = typer.Typer()

Promoted = Literal["champion", "challenger"]
ByOption = Annotated[str, typer.Option("--by", help="Who does it; recorded [the user of this machine].")]
ForceOption = Annotated[
    str, typer.Option("--force-reason", help="Why it is taken though its gate did not pass; recorded.")
]


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
    force_reason: ForceOption = "",
    tenant: TenantOption = "demo",
    by: ByOption = "",
    state: StateOption = STATE,
) -> None:
    """Let a model version score, from a business date on. Its gate must have passed. May be repeated."""
    from duly_training.registry import ROLES

    _promotions(state, tenant, by).promote(
        version, ROLES[as_], effective_date.date() if effective_date else None, force_reason
    )


@app.command()
def rollback(
    to: Annotated[str, typer.Option("--to", help="A version, or `rules` [the version before].")] = "",
    challenger: Annotated[bool, typer.Option("--challenger", help="End the challenger's run instead.")] = False,
    reason: Annotated[str, typer.Option("--reason", help="Recorded.")] = "",
    force_reason: ForceOption = "",
    tenant: TenantOption = "demo",
    by: ByOption = "",
    state: StateOption = STATE,
) -> None:
    """Let the model before score again, at once and on every date. May be repeated.

    `--to` a version that was not in force before needs a passed gate, as `duly promote` does.
    """
    promotions = _promotions(state, tenant, by)
    if challenger:
        promotions.end_shadow(reason)
    else:
        promotions.rollback(to, reason, force_reason)


@app.command()
def models(tenant: TenantOption = "demo", state: StateOption = STATE) -> None:
    """The registry's versions, what the stream was told, and what scores."""
    from duly_cli.model_list import print_models
    from duly_cli.servers import servers_of

    print_models(_promotions(state, tenant, ""), servers_of(StateFolder(state)), Terminal())


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
    state: StateOption = STATE,
) -> None:
    """Does the model still fit? Payments against expectation, calibration, drift. Exit code 1 on an alarm."""
    from duly_cli.monitoring import MonitorRequest, monitored, publish, require_files
    from duly_cli.servers import servers_of

    require_files(json_file, metrics_file)
    request = MonitorRequest(tenant, version, Path(ledger) if ledger else None, at.date() if at else None)
    terminal = Terminal()
    report = monitored(servers_of(StateFolder(state)), request, terminal)
    if not publish(report, json_file, metrics_file, SystemClock(), terminal):
        raise typer.Exit(EXIT_NOT_HELD)


def _promotions(state: Path, tenant: str, by: str) -> ModelPromotions:
    from duly_cli.promotions import promotions_of
    from duly_cli.servers import servers_of

    return promotions_of(
        servers_of(StateFolder(state)), tenant, by or getpass.getuser(), SystemClock(), Terminal().plain
    )

"""Options that several commands take."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from duly_cli.folders import STATE_VARIABLE
from duly_cli.ledgers import LedgerChoice
from duly_cli.ports import BASE_VARIABLE

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
    typer.Option("--until", "--known-until", formats=["%Y-%m-%d"], help="Only what was known before [all]."),
]
DaysOption = Annotated[int, typer.Option("--days", min=0, max=3660, help="Play only so many days; 0 = all.")]
SeedOption = Annotated[int, typer.Option("--seed", help="Of the simulated company and of the training.")]
ReportOption = Annotated[Path | None, typer.Option("--report", help="Also write the report there, as Markdown.")]
ThreadsOption = Annotated[int, typer.Option("--threads", min=1, max=64, help="Of XGBoost; more pay off on idle cores.")]
DaskOption = Annotated[
    str, typer.Option("--dask", help="Grow the trees on the workers of this Dask scheduler, tcp://host:port.")
]
TenantOption = Annotated[str, typer.Option("--tenant", help="Whose models.")]
STATE = Path(".duly")


def choice_of(ledger: str, play_from: datetime | None, days: int, seed: int) -> LedgerChoice:
    """What was said of the ledger, by a command that plays it."""
    return LedgerChoice(Path(ledger) if ledger else None, play_from.date() if play_from else None, days, seed)


def history_choice_of(ledger: str, until: datetime | None, seed: int) -> LedgerChoice:
    """What was said of the ledger, by a command that reads what was known and plays nothing."""
    return LedgerChoice(Path(ledger) if ledger else None, seed=seed, known_until=until.date() if until else None)

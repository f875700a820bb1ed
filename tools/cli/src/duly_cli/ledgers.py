"""Which ledger is played, and from when to when."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

from duly_ledger_export import Ledger, LedgerEmpty, LedgerInvalid, read_ledger

from duly_cli.errors import CommandFailed

PLAY_DAYS_DEFAULT = 90
SEED_DEFAULT = 1


@dataclass(frozen=True, slots=True)
class LedgerChoice:
    """What a person asked for. path None = the simulator's company. days 0 = all there is.

    play_from: first day that is played. known_until: nothing is played; of history only what was known before.
    """

    path: Path | None = None
    play_from: date | None = None
    days: int = 0
    seed: int = SEED_DEFAULT
    known_until: date | None = None


@dataclass(frozen=True, slots=True)
class PlayWindow:
    """Known before `play_from` is history and imported; `play_from`..`play_until` are played day by day."""

    play_from: date
    play_until: date

    @property
    def days(self) -> int:
        return (self.play_until - self.play_from).days + 1


def read_given(path: Path, tenant: str) -> Ledger:
    """A ledger export or a mapped CSV. Raises CommandFailed with the first findings."""
    try:
        return read_ledger(path, tenant=tenant)
    except LedgerInvalid as error:
        raise CommandFailed(f"The ledger {path} cannot be used:\n{error}") from error


def address_words(ledger: Ledger) -> str:
    """How many debtors nobody can write to, in half a sentence; "" where each has an e-mail address."""
    reached = {party.debtor_id for party in ledger.records.parties if party.email}
    missing = sum(debtor not in reached for debtor in ledger.debtors())
    return f"; {missing:,} debtors have no e-mail address, so nobody writes to them" if missing else ""


@contextmanager
def ledger_faults() -> Iterator[None]:
    """Around everything that asks a ledger for its days or folds its facts: what is wrong with it in one sentence."""
    from duly_risk.event_codec import EventUnusable  # NumPy: not for the commands that only name a ledger

    try:
        yield
    except (LedgerEmpty, EventUnusable) as error:
        raise CommandFailed(f"The ledger cannot be used: {error}.") from error


def window_of(ledger: Ledger, choice: LedgerChoice) -> PlayWindow:
    """By default from the median issue date to the ledger's end. Raises CommandFailed where nothing is left to play."""
    try:
        play_from = choice.play_from or ledger.median_issue_date()
        first, last = ledger.first_day, ledger.until
    except LedgerEmpty as error:
        raise CommandFailed(f"The ledger cannot be played: {error}.") from error
    if not first <= play_from <= last:
        raise CommandFailed(f"--play-from {play_from} must lie within the ledger, {first} to {last}.")
    play_until = min(last, play_from + timedelta(days=choice.days - 1)) if choice.days else last
    return PlayWindow(play_from, play_until)

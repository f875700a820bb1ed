"""`duly backtest`: train on what was known before a day, replay the rest, write what would have been said."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import xgboost as xgb
from duly_contracts.dates import FIRST_DATE, DateOutOfRange, in_range
from duly_contracts.events import encode
from duly_ledger_export import Ledger
from duly_risk.days import date_of, day_of
from duly_training.backtest.fit_cache import FitCache
from duly_training.backtest.run import BacktestResult, backtest
from duly_training.backtest.window import BacktestWindow, WindowInvalid, backtest_window
from duly_training.backtest.writing import CASH_FILE, write_result
from duly_training.closed_days import closed_words
from duly_training.fit import FitSettings
from duly_training.history import History, read_history
from duly_training.splits import end_of, left_out_words, without_strays
from duly_training.whole_file import require_replaceable

from duly.ledger.v1.events_pb2 import PartyUpserted
from duly_cli.aside import FIT_SECONDS, Aside
from duly_cli.errors import CommandFailed
from duly_cli.fingerprint import LEARNING, code_fingerprint
from duly_cli.folders import StateFolder
from duly_cli.ledgers import ledger_faults, read_given
from duly_cli.terminal import Line, Terminal, ending

# A year and a month after the last fact hardly anything that was open then is open still.
DAYS_BEYOND_MAX = 400
_TITLES = {
    "fit": "Fit on what was known before",
    "replay": "Replay what followed, debtor by debtor",
    "cash": "Forecast cash",
}


@dataclass(frozen=True, slots=True)
class BacktestChoice:
    """What a person asked for; None = not said. See `duly backtest --help`."""

    ledger: Path
    out: Path
    known_until: date
    predict_from: date | None
    predict_to: date | None
    snapshots: str
    seed: int


def run_backtest(choice: BacktestChoice, state: StateFolder, terminal: Terminal) -> None:
    """Raises CommandFailed; then no file was touched."""
    aside = Aside(terminal)
    aside.run(lambda: _run(choice, state, terminal, aside))


def _run(choice: BacktestChoice, state: StateFolder, terminal: Terminal, aside: Aside) -> None:
    if choice.out.is_dir() or choice.out.name == CASH_FILE:
        raise CommandFailed(f"--out {choice.out} must name a file, and not {CASH_FILE}, which is written beside it.")
    _require_files(choice)
    _spare_ledger(choice)
    first = choice.predict_from or choice.known_until
    _window(choice, choice.predict_to or first)  # what can be told before minutes of reading
    cash = choice.out.parent / CASH_FILE
    if cash.exists() and not choice.out.exists():
        _warn(f"{cash} is of another --out and will be replaced: give each back-test a folder of its own to keep both.")
    state.make()
    with terminal.steps():
        line = terminal.line(f"Read {choice.ledger}")
        with ending(line), ledger_faults():
            ledger = read_given(choice.ledger, "")
            window = _window(choice, choice.predict_to or _last_issued(ledger, first))
            history = _history(ledger, window)
            _require_near(window, date_of(history.cut_day))
            _require_answers(choice, window, ledger, date_of(history.cut_day))
        figures = f"{len(ledger.records.invoices):,} invoices, {len(history.by_debtor):,} debtors"
        line.done("; ".join(filter(None, (figures, left_out_words(history.left_out)))))
        settings = FitSettings(choice.seed)
        cache = FitCache(_folder(state, ledger, window, settings))
        aside.grace_seconds = FIT_SECONDS
        try:
            result = _replayed(history, window, settings, cache, terminal)
        except OSError as error:
            raise CommandFailed(f"The fit cannot be kept in {cache.folder}: {error.strerror or error}.") from error
    try:
        cash = write_result(result, choice.out)
    except OSError as error:
        raise CommandFailed(f"{choice.out} cannot be written: {error.strerror or error}.") from error
    _tell(result, window, choice, cash, terminal)


def _require_files(choice: BacktestChoice) -> None:
    """Raises CommandFailed for a device or a folder in the place of either file."""
    for file in (choice.out, choice.out.parent / CASH_FILE):
        try:
            require_replaceable(file)
        except OSError as error:
            raise CommandFailed(f"{file} cannot be written: {error.strerror or error}.") from error


def _spare_ledger(choice: BacktestChoice) -> None:
    """Neither file may take the place of one that is read. Raises CommandFailed."""
    ledger = choice.ledger.resolve()
    read = {ledger, *(file.resolve() for file in ledger.iterdir())} if ledger.is_dir() else {ledger}
    for file in (choice.out, choice.out.parent / CASH_FILE):
        written = file.resolve()
        if written in read or (ledger.is_dir() and ledger in written.parents):
            raise CommandFailed(f"{file} would be written into the ledger {choice.ledger}: name an --out elsewhere.")


def _window(choice: BacktestChoice, last: date) -> BacktestWindow:
    first = choice.predict_from or choice.known_until
    snapshots = _dates(choice.snapshots)
    try:
        for day in (choice.known_until, first, last, *(snapshots or ())):
            in_range(day)
        return backtest_window(choice.known_until, first, last, snapshots)
    except (WindowInvalid, DateOutOfRange) as error:
        raise CommandFailed(f"{error}.") from error


def _dates(text: str) -> tuple[date, ...] | None:
    if not text:
        return None
    days = []
    for part in filter(None, map(str.strip, text.split(","))):
        try:
            days.append(date.fromisoformat(part))
        except ValueError as error:
            raise CommandFailed(f"--snapshots: {part!r} is no date (2026-03-31); commas separate them.") from error
    return tuple(days)


def _require_near(window: BacktestWindow, end: date) -> None:
    """The work grows with the square of the days until the last snapshot. Raises CommandFailed.

    end: the day behind the last fact that is no stray; FIRST_DATE's next day where there is none, and then
    no work either.
    """
    latest = max([window.predict_to, *window.snapshots])
    if end > FIRST_DATE + timedelta(days=1) and latest >= end + timedelta(days=DAYS_BEYOND_MAX):
        raise CommandFailed(
            f"{latest} is asked for, and the ledger's last fact is of {end - timedelta(days=1)}: --predict-to and "
            f"--snapshots may lie at most {DAYS_BEYOND_MAX} days after it."
        )


def _require_answers(choice: BacktestChoice, window: BacktestWindow, ledger: Ledger, end: date) -> None:
    """Two files without a row answer nobody. Raises CommandFailed. end: the day after the last fact but for strays."""
    told = (fact for fact in ledger.facts() if not isinstance(fact.message, PartyUpserted))  # may be of any old day
    first = next(told, None)
    if first is None:
        raise CommandFailed(f"The ledger {choice.ledger} holds no invoice, so nothing can be learnt or predicted.")
    if first.known_on >= window.known_until:
        raise CommandFailed(
            f"Nothing was known before --known-until {window.known_until}: the ledger's first fact is of "
            f"{first.known_on}. Choose a later day."
        )
    if window.predict_from >= end and not choice.snapshots:
        raise CommandFailed(
            f"Nothing is there to predict from {window.predict_from} on: the ledger's last fact is of "
            f"{end - timedelta(days=1)}. Choose an earlier --predict-from or --known-until, or name --snapshots for a "
            "forecast of cash alone."
        )
    issued = any(window.predict_from <= one.issue_date <= window.predict_to for one in ledger.records.invoices)
    if not issued and not window.snapshots:
        raise CommandFailed(f"{_none_issued(window)}, and {_no_snapshot(window, choice)}: choose a wider window.")


def _none_issued(window: BacktestWindow) -> str:
    return f"No invoice was issued from {window.predict_from} to {window.predict_to}"


def _no_snapshot(window: BacktestWindow, choice: BacktestChoice) -> str:
    if choice.snapshots:
        return f"--snapshots {choice.snapshots} names no day"
    return f"no snapshot day (every second Monday) lies between {window.predict_from} and {window.predict_to}"


def _last_issued(ledger: Ledger, first: date) -> date:
    """The last issue date from `first` on, but for strays long after all others; `first` where there is none."""
    days = np.array([day_of(invoice.issue_date) for invoice in ledger.records.invoices], dtype=np.int64)
    latest = int(days.max(initial=day_of(first)))
    last = end_of(days, latest + 1) - 1
    return date_of(last if last >= day_of(first) else latest)


def _history(ledger: Ledger, window: BacktestWindow) -> History:
    """All of it but for strays long after all others, unless they are all there is behind what is learnt from."""
    end = max((fact.known_on for fact in ledger.facts()), default=FIRST_DATE) + timedelta(days=1)
    history = read_history(ledger, end)
    usual = without_strays(history)
    return usual if usual.cut_day > day_of(window.known_until) else history


def _folder(state: StateFolder, ledger: Ledger, window: BacktestWindow, settings: FitSettings) -> Path:
    """Where the fit is kept: equal facts before the cut, settings, seed and code share one."""
    digest = hashlib.sha256()
    for part in (str(window.known_until), str(settings.seed), settings.sha256(), xgb.__version__):
        digest.update(f"{part}\n".encode())
    digest.update(code_fingerprint(LEARNING).encode())
    for fact in ledger.facts(known_until=window.known_until):
        value = encode(fact.message)
        digest.update(f"{fact.known_on} {fact.event_id} {len(value)}\n".encode())
        digest.update(value)
    return state.backtests / digest.hexdigest()[:32]


def _replayed(
    history: History, window: BacktestWindow, settings: FitSettings, cache: FitCache, terminal: Terminal
) -> BacktestResult:
    stages = _Stages(terminal, window)
    with stages.told():
        return backtest(history, window, settings, cache, stages.progress)


class _Stages:
    """One line per stage, as they come."""

    def __init__(self, terminal: Terminal, window: BacktestWindow) -> None:
        self._terminal, self._window = terminal, window
        self._stage = ""
        self._line: Line | None = None

    def progress(self, stage: str, done: int, total: int) -> None:
        if stage != self._stage:
            self._finish()
            title = _TITLES[stage] + (f" {self._window.known_until}" if stage == "fit" else "")
            self._stage, self._line = stage, self._terminal.line(title)
        assert self._line is not None
        self._line.progress(done, total)

    @contextmanager
    def told(self) -> Iterator[None]:
        try:
            yield
        except BaseException:
            if self._line is not None:
                self._line.failed()
            raise
        self._finish()

    def _finish(self) -> None:
        if self._line is not None:
            self._line.done("")
            self._line = None


def _tell(
    result: BacktestResult, window: BacktestWindow, choice: BacktestChoice, cash: Path, terminal: Terminal
) -> None:
    terminal.plain(f"{choice.out}: {len(result.predictions):,} invoices by {result.model.version}")
    terminal.plain(f"{cash}: {len(window.snapshots):,} snapshots, {len(result.cash):,} rows")
    terminal.plain(f"closed besides weekends: {closed_words(result.model.frame.closed_rules)}")
    if result.fallback:
        _warn(f"the baseline {result.model.version} answers, not a fitted model: {result.fallback}.")
    if not result.predictions:
        _warn(f"{_none_issued(window)}.")
    if not window.snapshots:
        _warn(f"{_no_snapshot(window, choice)}, so there is no cash forecast.")


def _warn(text: str) -> None:
    print(f"duly: {text}", file=sys.stderr)

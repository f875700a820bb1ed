"""A back-test from a ledger to two files' rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from duly_risk.curves import WEEK
from duly_risk.days import day_of
from duly_risk.model import ModelInfo

from duly_training.backtest.answering import in_batches, survival_of
from duly_training.backtest.books import NewInvoiceHabits, OpenBooks, daily_totals
from duly_training.backtest.cash import CASH_DAYS
from duly_training.backtest.cash_rows import CashBands, Prospect, cash_rows, effects_of
from duly_training.backtest.fit_cache import FitCache
from duly_training.backtest.predictions import in_order, prediction_rows
from duly_training.backtest.questions import AskedDays, Purpose, Question, questions_of
from duly_training.backtest.serving import Served, served
from duly_training.backtest.window import FORTNIGHT, BacktestWindow, asked_days, measured_snapshots
from duly_training.fit import FitSettings
from duly_training.history import History
from duly_training.progress import OnProgress

# Weekly forecasts measure the band best; on a large ledger every second one does as well.
_WEEKLY_INVOICES_MAX = 200_000


@dataclass(frozen=True, slots=True)
class BacktestResult:
    """predictions, cash: rows of text in the order of `predictions.COLUMNS` and `cash_rows.COLUMNS`.

    fallback: "" if the fitted model answered, else why the baseline did.
    """

    predictions: Sequence[tuple[str, ...]]
    cash: Sequence[tuple[str, ...]]
    model: ModelInfo
    fallback: str


def backtest(
    history: History, window: BacktestWindow, settings: FitSettings, cache: FitCache, on_progress: OnProgress
) -> BacktestResult:
    """history: everything the ledger holds; what lies behind a question's day is never read for its answer.

    settings.seed: of the fit and of the simulated cash.
    """
    cut = day_of(window.known_until)
    models = served(history.before(cut), settings, cache, on_progress)
    step = WEEK if _invoices(history) <= _WEEKLY_INVOICES_MAX else FORTNIGHT
    days = measured_snapshots(window, models.earlier_day, step)
    replay = _Replay(models, cut, asked_days(window, days), frozenset(day_of(day) for day in window.snapshots))
    replay.run(history, on_progress)
    cash = list(replay.cash(history, settings.seed, on_progress))
    return BacktestResult(in_order(replay.predictions), cash, models.model.info, models.fallback)


@dataclass(slots=True)
class _Replay:
    """The stream's answers as they are gathered. asked: snapshots that are written; the others measure the band."""

    models: Served
    cut: int
    days: AskedDays
    asked: frozenset[int]
    predictions: list[tuple[str, ...]] = field(default_factory=list)
    books: OpenBooks = field(default_factory=OpenBooks)
    habits: dict[bool, NewInvoiceHabits] = field(default_factory=dict)

    def run(self, history: History, on_progress: OnProgress) -> None:
        snapshots = sorted(self.days.snapshots)
        last = snapshots[-1] if snapshots else self.days.fresh_from - 1
        # True: as the final model sees new invoices, False: as the earlier one does.
        self.habits = {
            True: NewInvoiceHabits(max(self.days.fresh_from, self.cut - CASH_DAYS), last),
            False: NewInvoiceHabits(self.days.fresh_from, min(last, self.cut - 1)),
        }
        for batch in in_batches(questions_of(history, self.days)):
            on_progress("replay", batch[-1].debtor, len(history.by_debtor))
            self._predict([one for one in batch if one.purpose is Purpose.ISSUED])
            for final in (True, False):
                self._gather(batch, final)

    def _final(self, snapshot_day: int) -> bool:
        return snapshot_day >= self.cut or snapshot_day in self.asked

    def _predict(self, questions: Sequence[Question]) -> None:
        if questions:
            info = self.models.model.info
            curves = survival_of(questions, self.models.model)
            self.predictions += prediction_rows(questions, curves, info)

    def _gather(self, batch: Sequence[Question], final: bool) -> None:
        model = self.models.model if final else self.models.earlier
        opened = [one for one in batch if one.purpose is Purpose.OPEN and self._final(one.as_of_day) == final]
        if opened:
            self.books.add(opened, survival_of(opened, model))
        fresh = [one for one in batch if one.purpose is Purpose.FRESH and self.habits[final].covers(one.as_of_day)]
        if fresh:
            self.habits[final].add(fresh, survival_of(fresh, model))

    def cash(self, history: History, seed: int, on_progress: OnProgress) -> Iterator[tuple[str, ...]]:
        totals = daily_totals(history)
        days = sorted(self.days.snapshots)
        medians = self.models.earlier.info.frame.amount_median_minor
        past = [
            (self.books.paid(day, currency, self.cut), medians.get(currency, 1.0))
            for day in days
            if not self._final(day)
            for currency in totals.known_currencies(day)
        ]
        bands = CashBands(effects_of([paid for paid, _ in past], [unit for _, unit in past]), seed)
        for done, day in enumerate(days):
            on_progress("cash", done, len(days))
            for currency in totals.known_currencies(day):
                model = self.models.model if self._final(day) else self.models.earlier
                rules = model.info.frame.closed_rules
                volume = totals.volume(currency, day, min(day, self.cut - 1))
                fresh = self.habits[self._final(day)].cash_after(day, currency, rules, volume)
                paid = self.books.paid(day, currency, history.cut_day)
                prospect = Prospect(day, currency, paid, fresh, totals.received_by_week(day, currency))
                both = bands.forecast(prospect, is_asked=day in self.asked)
                if day in self.asked:
                    yield from cash_rows(prospect, both)


def _invoices(history: History) -> int:
    return sum(event.name == "invoice.issued" for events in history.by_debtor.values() for event in events)

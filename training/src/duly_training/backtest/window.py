"""The window of a back-test: what may be learnt from, what is predicted, and the days that follow from it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from duly_risk.curves import WEEK
from duly_risk.days import date_of, day_of, weekday_of

from duly_training.backtest.cash import CASH_DAYS
from duly_training.backtest.questions import AskedDays

FORTNIGHT = 2 * WEEK


class WindowInvalid(ValueError):
    """Dates that contradict each other; the message says which and why."""

    code = "window_invalid"


@dataclass(frozen=True, slots=True)
class BacktestWindow:
    """known_until: what was known before it may be learnt from. predict_from, predict_to: issue dates, both inside.

    snapshots: days at whose end cash is forecast, rising.
    """

    known_until: date
    predict_from: date
    predict_to: date
    snapshots: tuple[date, ...]


def backtest_window(
    known_until: date, predict_from: date, predict_to: date, snapshots: tuple[date, ...] | None
) -> BacktestWindow:
    """snapshots None: every second Monday inside predict_from..predict_to. Raises WindowInvalid."""
    if predict_from < known_until:
        raise WindowInvalid(
            f"--predict-from {predict_from} lies before --known-until {known_until}: the model would have seen what it "
            "is to predict"
        )
    if predict_to < predict_from:
        raise WindowInvalid(f"--predict-to {predict_to} lies before --predict-from {predict_from}")
    chosen = tuple(sorted(set(snapshots))) if snapshots is not None else _mondays(predict_from, predict_to)
    # A snapshot is taken at the end of its day, so that of the day before known-until has seen what the model has.
    early = [day for day in chosen if day_of(day) < day_of(known_until) - 1]
    if early:
        raise WindowInvalid(f"snapshot {early[0]} lies before --known-until {known_until}, inside what was learnt from")
    return BacktestWindow(known_until, predict_from, predict_to, chosen)


def _mondays(first: date, last: date) -> tuple[date, ...]:
    monday = day_of(first) + -weekday_of(day_of(first)) % WEEK
    return tuple(date_of(day) for day in range(monday, day_of(last) + 1, FORTNIGHT))


def measured_snapshots(window: BacktestWindow, earlier_day: int, step_days: int) -> tuple[int, ...]:
    """The days on which cash is forecast: those asked for, and before and between them those that measure the band.

    They begin at `earlier_day` and lie whole weeks from the first asked one, for a week that begins on another day ends
    on another, and payments crowd around some of them.
    """
    asked = [day_of(day) for day in window.snapshots]
    if not asked:
        return ()
    begin = asked[0] - (asked[0] - earlier_day) // step_days * step_days
    return tuple(sorted({*asked, *range(begin, asked[-1], step_days)}))


def asked_days(window: BacktestWindow, snapshots: tuple[int, ...]) -> AskedDays:
    """What the stream is asked. New invoices count from 13 weeks before the first snapshot on."""
    fresh_from = snapshots[0] - CASH_DAYS + 1 if snapshots else day_of(window.predict_to) + 1
    return AskedDays(day_of(window.predict_from), day_of(window.predict_to), fresh_from, frozenset(snapshots))

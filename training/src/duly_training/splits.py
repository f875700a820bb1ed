"""Splits in time: what is fitted always lies before what judges it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from duly_risk.days import date_of, day_of

from duly_training.judged import RIPE_DAYS

_TEST_SHARE = 0.3
_TEST_DAYS_MAX = 182


def window_from(first_day: int, cut_day: int) -> int:
    """First day of the test window: the last 30 % of the history, at most 182 days."""
    return cut_day - min(_TEST_DAYS_MAX, int((cut_day - first_day) * _TEST_SHARE))


def monthly_origins(first_day: int, cut_day: int, months: int) -> tuple[date, ...]:
    """The latest first-of-months whose invoices, issued within the month, can be judged; oldest first.

    A month counts if 30 days have passed since its end. The first quarter of the history is never an origin.
    """
    earliest = first_day + (cut_day - first_day) // 4
    found = [origin for origin in _months(cut_day) if day_of(next_month(origin)) + RIPE_DAYS <= cut_day]
    return tuple(sorted(origin for origin in found[:months] if day_of(origin) >= earliest))


def _months(cut_day: int) -> Iterator[date]:
    """First of months before the cut, latest first."""
    origin = date_of(cut_day).replace(day=1)
    while origin.year > 1970:
        origin = date_of(day_of(origin) - 1).replace(day=1)
        yield origin


def next_month(origin: date) -> date:
    """The first of the month after."""
    return date_of(day_of(origin.replace(day=28)) + 4).replace(day=1)

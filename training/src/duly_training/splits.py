"""Splits in time: what is fitted always lies before what judges it.

Parts of the history count from `begin_of`, so that one invoice with a date of 1990 does not make a year's ledger one of
decades, whose test window would be all that there is.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

import numpy as np
from duly_risk.days import date_of, day_of
from numpy.typing import NDArray

from duly_training.judged import RIPE_DAYS
from duly_training.timeline import Timeline

_TEST_SHARE = 0.3
_TEST_DAYS_MAX = 182
# At most a twentieth of the invoices, and half a year without any behind them: leftovers or slips, no history.
_STRAY_SHARE, _STRAY_GAP_DAYS = 0.05, 182


def begin_of(known_on: NDArray[np.int64], cut_day: int) -> int:
    """The day on which the history begins: that of the first invoice, but for strays long before all others.

    known_on: (n,) the day on which each invoice became known. Without any: cut_day.
    """
    if not len(known_on):
        return cut_day
    days = np.sort(known_on)
    stray = np.flatnonzero(np.diff(days[: int(len(days) * _STRAY_SHARE) + 1]) > _STRAY_GAP_DAYS)
    return int(days[stray[-1] + 1] if len(stray) else days[0])


def begin_before(timeline: Timeline, day: int) -> int:
    """Where the history begins, by what was known before a day."""
    first = np.full(len(timeline.invoice_ids), day, dtype=np.int64)
    np.minimum.at(first, timeline.changes.invoice, timeline.changes.known_on)
    return begin_of(first[first < day], day)


def window_from(begin_day: int, cut_day: int) -> int:
    """First day of the test window: the last 30 % of the history, at most 182 days."""
    return cut_day - min(_TEST_DAYS_MAX, int((cut_day - begin_day) * _TEST_SHARE))


def monthly_origins(begin_day: int, cut_day: int, months: int) -> tuple[date, ...]:
    """The latest first-of-months whose invoices, issued within the month, can be judged; oldest first.

    A month counts if 30 days have passed since its end. The first quarter of the history is never an origin.
    """
    earliest = begin_day + (cut_day - begin_day) // 4
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

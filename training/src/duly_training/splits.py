"""Splits in time: what is fitted always lies before what judges it.

Parts of the history count from `begin_of` and up to `end_of`, so that one invoice with a date of 1990 or of 2150 does
not make a year's ledger one of decades, whose test window would be all that there is, or nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date

import numpy as np
from duly_risk.days import date_of, day_of
from numpy.typing import NDArray

from duly_training.history import History
from duly_training.judged import RIPE_DAYS
from duly_training.timeline import Timeline

_TEST_SHARE = 0.3
_TEST_DAYS_MAX = 182
# At most a twentieth, and half a year without any between them and all others: leftovers or slips, no history.
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


def end_of(known_on: NDArray[np.int64], cut_day: int) -> int:
    """The day behind the last that is no stray long after all others; cut_day where there are no strays.

    known_on: (n,) the days on which facts, or invoices, became known, before cut_day.
    """
    days = np.sort(known_on)
    tail = days[-int(len(days) * _STRAY_SHARE) - 1 :]
    stray = np.flatnonzero(np.diff(tail) > _STRAY_GAP_DAYS)
    return int(tail[stray[0]]) + 1 if len(stray) else cut_day


def without_strays(history: History) -> History:
    """What was known before the strays ahead; the history itself where there are none. Behind them nothing is known of
    any other invoice, and to go on to their day would say that nobody paid in between."""
    known_on = np.fromiter(
        (event.business_day for events in history.by_debtor.values() for event in events), dtype=np.int64
    )
    end = end_of(known_on, history.cut_day)
    if end == history.cut_day:
        return history
    return replace(history.before(end), left_out=int((known_on >= end).sum()))


def left_out_words(left_out: int) -> str:
    """Of facts that `without_strays` took away; "" for none."""
    return (
        f"left out as known more than {_STRAY_GAP_DAYS} days after all others: {left_out:,} of its facts"
        if left_out
        else ""
    )


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

"""Days on which nobody pays, learnt from the days on which nobody paid: public holidays without a list of countries.

A weekday without payments between weeks that had them is a closed day. Closed days that a rule explains (a day of the
year, days from Easter, the n-th weekday of a month) close the rule's days to come as well.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache

import numpy as np
from duly_risk.curves import HORIZON_DAYS
from duly_risk.days import date_of, day_of, weekday_of
from duly_risk.model import CurveDays, HazardModel, Hazards, ModelInfo, Rows
from numpy.typing import NDArray

# A day is judged by the same weekday of four weeks on either side; both sides must have been busy.
_WEEKS_BESIDE = 4
_BUSY = 4.0
_CLOSED_SHARE = 0.25
# All occurrences of a rule together must have been worth this many payments, or chance could have emptied them.
_EXPECTED_MIN = 8.0
_EASTER_OFFSETS = (-48, -47, -3, -2, 1, 39, 50, 60)
_HAZARD_LEFT = 0.03

Rule = tuple[str, int, int, int]


@dataclass(frozen=True, slots=True)
class ClosedDays:
    """days: sorted, days since 1970-01-01, weekdays only."""

    days: tuple[int, ...] = ()

    def after(self, due: NDArray[np.int64]) -> NDArray[np.int64]:
        """Each day, moved on to the next one that is neither closed nor on a weekend."""
        moved, closed = due.copy(), np.array(self.days, dtype=np.int64)
        while True:
            shut = ((moved + 3) % 7 >= 5) | np.isin(moved, closed)
            if not shut.any():
                return moved
            moved[shut] += 1


@dataclass(frozen=True, slots=True)
class ClosedDaysModel:
    """A hazard model on which closed days are laid: due moves past them, and on them hardly anything is paid."""

    model: HazardModel
    closed: ClosedDays

    @property
    def info(self) -> ModelInfo:
        return self.model.info

    def curves(self, static: Rows, days: CurveDays) -> Hazards:
        moved = CurveDays(days.as_of, days.issue, self.closed.after(days.due))
        hazards = self.model.curves(static, moved).copy()
        for day in self.closed.days:
            lag = day - days.as_of - 1
            rows = np.flatnonzero((lag >= 0) & (lag < HORIZON_DAYS))
            hazards[rows, lag[rows]] *= np.float32(_HAZARD_LEFT)
        return hazards


def closed_days(payment_days: Iterable[int], until_day: int) -> ClosedDays:
    """Closed days up to `until_day`. payment_days: one entry per payment, of what is known."""
    counts = Counter(payment_days)
    if not counts:
        return ClosedDays()
    seen = _judged(counts)
    empty = {day for day, (paid, usual) in seen.items() if paid <= _CLOSED_SHARE * usual}
    rules = _rules_for(empty, seen)
    first, last = min(counts), max(*counts, until_day)
    years = range(date_of(first).year, date_of(last).year + 1)
    coming = {day for rule in rules for year in years for day in _days_of(rule, year)}
    return ClosedDays(tuple(sorted(day for day in coming if weekday_of(day) < 5 and first <= day <= until_day)))


def _judged(counts: Mapping[int, int]) -> dict[int, tuple[int, float]]:
    """Weekday -> (payments, usual payments), where weeks before and after it were busy."""
    judged = {}
    for day in range(min(counts), max(counts) + 1):
        if weekday_of(day) >= 5:
            continue
        before, after = (
            float(np.median([counts.get(day + side * 7 * n, 0) for n in range(1, _WEEKS_BESIDE + 1)]))
            for side in (-1, 1)
        )
        if min(before, after) >= _BUSY:
            judged[day] = (counts.get(day, 0), (before + after) / 2)
    return judged


def _rules_for(empty: set[int], seen: Mapping[int, tuple[int, float]]) -> list[Rule]:
    """Few rules that explain the empty days: each time the one that explains most; a tie goes to the simplest."""
    years = sorted({date_of(day).year for day in seen})
    candidates = {}
    for rule in sorted({rule for day in empty for rule in _candidates(day)}):
        told = [day for year in years for day in _days_of(rule, year) if day in seen]
        usual = sum(seen[day][1] for day in told)
        if empty.issuperset(told) and usual >= _EXPECTED_MIN:
            candidates[rule] = set(told)
    rules, open_ = [], set(empty)
    while candidates:
        rule = max(candidates, key=lambda one: (len(candidates[one] & open_), [-part for part in _simplicity(one)]))
        if not candidates[rule] & open_:
            break
        rules.append(rule)
        open_ -= candidates.pop(rule)
    return rules


def _simplicity(rule: Rule) -> tuple[int, int, int, int]:
    return ("day", "easter", "nth").index(rule[0]), *rule[1:]


def _candidates(day: int) -> list[Rule]:
    when = date_of(day)
    rules: list[Rule] = [("day", when.month, when.day, 0)]
    offset = day - _easter(when.year)
    if offset in _EASTER_OFFSETS:
        rules.append(("easter", offset, 0, 0))
    rules.append(("nth", when.month, when.weekday(), (when.day - 1) // 7 + 1))
    if (when + timedelta(days=7)).month != when.month:
        rules.append(("nth", when.month, when.weekday(), -1))
    return rules


def _days_of(rule: Rule, year: int) -> tuple[int, ...]:
    kind, first, second, third = rule
    if kind == "easter":
        return (_easter(year) + first,)
    if kind == "day":
        return () if (first, second) == (2, 29) else (day_of(date(year, first, second)),)
    days = [day_of(date(year, first, 1)) + n for n in range(31)]
    fitting = [day for day in days if date_of(day).month == first and weekday_of(day) == second]
    place = third - 1 if third > 0 else third
    return (fitting[place],) if place < len(fitting) else ()


@lru_cache(maxsize=512)
def _easter(year: int) -> int:
    """Easter Sunday of the Gregorian calendar (Meeus, Astronomical Algorithms, chapter 8)."""
    a, (b, c) = year % 19, divmod(year, 100)
    d, e = divmod(b, 4)
    g = (8 * b + 13) // 25
    h = (19 * a + b - d - g + 15) % 30
    i, k = divmod(c, 4)
    rest = (32 + 2 * e + 2 * i - h - k) % 7
    m = (a + 11 * h + 19 * rest) // 433
    month = (h + rest - 7 * m + 90) // 25
    return day_of(date(year, month, (h + rest - 7 * m + 33 * month + 19) % 32))

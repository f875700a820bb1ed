"""Days on which nobody pays, beside weekends: public holidays as rules, frozen in a model's frame.

A rule, not a list of dates, so that a model knows the days of its whole horizon in whichever year it is asked.
`duly_training.closed_days` learns the rules from payments; this module says what they mean for a curve: a due date
moves past closed days as it does past a weekend, and on a closed day hardly anything is paid.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from duly_risk.curves import HORIZON_DAYS, Ints
from duly_risk.days import date_of, day_of, on_business_day, on_business_days, weekday_of

# Share of its hazard that a day keeps when it is closed.
HAZARD_LEFT = 0.03
YEARS = range(1970, 2170)
_DAYS = day_of(date(YEARS.stop, 1, 1))
_NEVER = np.iinfo(np.int64).max
_EASTER_NAMES = {
    -48: "Carnival Monday",
    -47: "Carnival Tuesday",
    -3: "Maundy Thursday",
    -2: "Good Friday",
    1: "Easter Monday",
    39: "Ascension Day",
    50: "Whit Monday",
    60: "Corpus Christi",
}
EASTER_OFFSETS = tuple(_EASTER_NAMES)
_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS = ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
           "December")  # fmt: skip
_PLACES = {1: "first", 2: "second", 3: "third", 4: "fourth", 5: "fifth", -1: "last"}


class ClosedRule(NamedTuple):
    """kind "day": day `day` of month `month`. "easter": `day` days after Easter Sunday, one of EASTER_OFFSETS. "nth":
    the `nth` weekday `day` (0 = Monday) of month `month`, -1 = its last. What a kind does not use is 0."""

    kind: str
    month: int
    day: int
    nth: int

    def in_year(self, year: int) -> int | None:
        """The rule's day in a year, days since 1970-01-01; None where the year has none."""
        if self.kind == "easter":
            return _easter(year) + self.day
        if self.kind == "day":
            return day_of(date(year, self.month, self.day))
        first = day_of(date(year, self.month, 1))
        if self.nth < 0:
            last = day_of(date(year + self.month // 12, self.month % 12 + 1, 1)) - 1
            return last - (weekday_of(last) - self.day) % 7
        found = first + (self.day - weekday_of(first)) % 7 + 7 * (self.nth - 1)
        return found if date_of(found).month == self.month else None

    @property
    def words(self) -> str:
        """As people name it: "Good Friday", "7 September", "last Monday of May"."""
        if self.kind == "easter":
            return _EASTER_NAMES[self.day]
        if self.kind == "day":
            return f"{self.day} {_MONTHS[self.month - 1]}"
        return f"{_PLACES[self.nth]} {_WEEKDAYS[self.day]} of {_MONTHS[self.month - 1]}"


def closed_rule(row: Sequence[object]) -> ClosedRule:
    """A rule read from JSON. Raises ValueError for one that no calendar has, 29 February among them."""
    rule = _possible_rules().get(tuple(row))
    if rule is not None and all(type(part) in (str, int) for part in row):
        return rule
    raise ValueError(f"{list(row)} is no rule for closed days")


def rules_of_day(day: int) -> tuple[ClosedRule, ...]:
    """The rules that close a day."""
    when = date_of(day)
    rules = [ClosedRule("easter", 0, day - _easter(when.year), 0), ClosedRule("day", when.month, when.day, 0)]
    rules += [ClosedRule("nth", when.month, when.weekday(), nth) for nth in _PLACES]
    return tuple(rule for rule in rules if tuple(rule) in _possible_rules() and rule.in_year(when.year) == day)


@dataclass(frozen=True, slots=True)
class ClosedDays:
    """Rules, worked out for 1970..2169.

    days: closed weekdays, rising, and an end mark; opens: the first open day after each. is_closed: (n,) by day since
    1970-01-01, weekends open. kept: (n, 182), the share of its hazard that each day of a curve from day i on keeps.
    """

    days: Ints
    opens: Ints
    is_closed: NDArray[np.bool_]
    kept: NDArray[np.float32]

    def open_day(self, days: Ints) -> Ints:
        """Each day itself, or the first one after it that is neither closed nor on a weekend."""
        moved = on_business_days(days)
        at = np.searchsorted(self.days, moved)
        return np.where(self.days[at] == moved, self.opens[at], moved)

    def laid_on(self, hazards: NDArray[np.float32], as_of: Ints) -> NDArray[np.float32]:
        """Curves of t0 + 1 .. t0 + 182, (n, 182), with closed days closed. as_of: (n,) t0, not after 2168."""
        return hazards if len(self.days) == 1 else hazards * self.kept[as_of + 1]


@lru_cache(maxsize=64)
def closed_days(rules: tuple[ClosedRule, ...]) -> ClosedDays:
    """The days that rules close. No rule: weekends alone move a due date, and curves stay as they are."""
    found = {rule.in_year(year) for rule in rules for year in YEARS}
    days = sorted(day for day in found if day is not None and weekday_of(day) < 5)
    opens: dict[int, int] = {}
    for day in reversed(days):  # the later ones are known: in a row of closed days all open with the last of them
        after = on_business_day(day + 1)
        opens[day] = opens.get(after, after)
    is_closed = np.zeros(_DAYS, dtype=bool)
    is_closed[days] = True
    kept = np.where(is_closed, np.float32(HAZARD_LEFT), np.float32(1.0))
    return ClosedDays(
        np.array([*days, _NEVER], dtype=np.int64),
        np.array([*(opens[day] for day in days), _NEVER], dtype=np.int64),
        is_closed,
        sliding_window_view(kept, HORIZON_DAYS),
    )


@lru_cache(maxsize=1)
def _possible_rules() -> dict[tuple[object, ...], ClosedRule]:
    """Every rule there is, about 800, by its parts."""
    rules = [ClosedRule("easter", 0, offset, 0) for offset in EASTER_OFFSETS]
    year = [date_of(day) for day in range(day_of(date(2023, 1, 1)), day_of(date(2024, 1, 1)))]
    rules += [ClosedRule("day", when.month, when.day, 0) for when in year]
    rules += [ClosedRule("nth", m, weekday, nth) for m in range(1, 13) for weekday in range(5) for nth in _PLACES]
    return {tuple(rule): rule for rule in rules}


@lru_cache(maxsize=512)
def _easter(year: int) -> int:
    """Easter Sunday of the Gregorian calendar: the rule in Nature of 1876, with the shorter steps of O'Beirne."""
    a, (b, c) = year % 19, divmod(year, 100)
    d, e = divmod(b, 4)
    g = (8 * b + 13) // 25
    h = (19 * a + b - d - g + 15) % 30
    i, k = divmod(c, 4)
    rest = (32 + 2 * e + 2 * i - h - k) % 7
    m = (a + 11 * h + 19 * rest) // 433
    month = (h + rest - 7 * m + 90) // 25
    return day_of(date(year, month, (h + rest - 7 * m + 33 * month + 19) % 32))

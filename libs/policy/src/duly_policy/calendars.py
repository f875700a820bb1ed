"""Public holidays as data: a calendar lists rules (fixed day, nth weekday, days from Easter), not computed dates."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache

SATURDAY = 5


@dataclass(frozen=True, slots=True)
class FixedDay:
    """A day of the year. observed: when it falls on a weekend, its substitute weekday is a holiday as well."""

    month: int
    day: int
    observed: bool

    def on(self, year: int) -> tuple[date, ...]:
        holiday = date(year, self.month, self.day)
        if not self.observed or holiday.weekday() < SATURDAY:
            return (holiday,)
        return (holiday, holiday + timedelta(days=-1 if holiday.weekday() == SATURDAY else 1))


@dataclass(frozen=True, slots=True)
class NthWeekday:
    """nth: 1 = first, -1 = last; weekday: 0 = Monday."""

    month: int
    weekday: int
    nth: int

    def on(self, year: int) -> tuple[date, ...]:
        if self.nth > 0:
            first = date(year, self.month, 1)
            return (first + timedelta(days=(self.weekday - first.weekday()) % 7 + 7 * (self.nth - 1)),)
        following = date(year + self.month // 12, self.month % 12 + 1, 1)
        last = following - timedelta(days=1)
        return (last - timedelta(days=(last.weekday() - self.weekday) % 7 + 7 * (-self.nth - 1)),)


@dataclass(frozen=True, slots=True)
class EasterOffset:
    days: int

    def on(self, year: int) -> tuple[date, ...]:
        return (easter_sunday(year) + timedelta(days=self.days),)


HolidayRule = FixedDay | NthWeekday | EasterOffset


@dataclass(frozen=True, slots=True)
class Holiday:
    name: str
    effective_from: date
    rule: HolidayRule


@dataclass(frozen=True, slots=True)
class Calendar:
    country: str
    version: str
    holidays: tuple[Holiday, ...]

    def holiday_on(self, day: date) -> str | None:
        """The holiday's name. A substitute day may fall into a neighbouring year, so its turn is looked at too."""
        near_turn = {1: (day.year, day.year - 1), 12: (day.year, day.year + 1)}
        for year in near_turn.get(day.month, (day.year,)):
            for holiday in self.holidays:
                if holiday.effective_from <= day and day in _days(holiday.rule, year):
                    return holiday.name
        return None


@lru_cache(maxsize=4096)
def _days(rule: HolidayRule, year: int) -> tuple[date, ...]:
    return rule.on(year)


def easter_sunday(year: int) -> date:
    """Western Easter by the anonymous Gregorian computus (Meeus, Astronomical Algorithms, ch. 8)."""
    a, b, c = year % 19, year // 100, year % 100
    d, e = b // 4, b % 4
    g = (8 * b + 13) // 25
    h = (19 * a + b - d - g + 15) % 30
    i, k = c // 4, c % 4
    m = (32 + 2 * e + 2 * i - h - k) % 7
    n = (a + 11 * h + 22 * m) // 451
    month, day = divmod(h + m - 7 * n + 114, 31)
    return date(year, month, day + 1)

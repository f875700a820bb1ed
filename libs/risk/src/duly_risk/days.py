"""Business dates as whole days since 1970-01-01: the fold and the features count with them."""

from __future__ import annotations

from datetime import date

import numpy as np
from numpy.typing import NDArray

_EPOCH = date(1970, 1, 1).toordinal()


def day_of(when: date) -> int:
    """Days from 1970-01-01 to `when`."""
    return when.toordinal() - _EPOCH


def date_of(day: int) -> date:
    """The date that many days after 1970-01-01."""
    return date.fromordinal(day + _EPOCH)


def weekday_of(day: int) -> int:
    """0 = Monday .. 6 = Sunday (1970-01-01 was a Thursday)."""
    return (day + 3) % 7


def weekdays_of(days: NDArray[np.int64]) -> NDArray[np.int64]:
    """`weekday_of` each."""
    return (days + 3) % 7


def on_business_day(day: int) -> int:
    """The day itself, or the Monday after a Saturday or Sunday. Public holidays are not known here."""
    return day + max(0, 7 - weekday_of(day)) * (weekday_of(day) >= 5)


def on_business_days(days: NDArray[np.int64]) -> NDArray[np.int64]:
    """`on_business_day` of each."""
    weekday = weekdays_of(days)
    return days + np.where(weekday >= 5, 7 - weekday, 0)

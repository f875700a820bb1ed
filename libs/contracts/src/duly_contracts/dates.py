"""The business dates that facts may name: what lies outside is refused where it comes in."""

from __future__ import annotations

from datetime import date

# Days are counted from the first. After the last one there is still room for the curve of an invoice (182 days), and
# for calendar tables that end in 2169.
FIRST_DATE, LAST_DATE = date(1970, 1, 1), date(2159, 12, 31)


class DateOutOfRange(ValueError):
    """A date before 1970 or after 2159: a typing error, or "never"."""

    code = "date_out_of_range"


def in_range(day: date) -> date:
    """The date itself. Raises DateOutOfRange."""
    if not FIRST_DATE <= day <= LAST_DATE:
        raise DateOutOfRange(f"{day} must lie between {FIRST_DATE} and {LAST_DATE}")
    return day

"""Debtor-local time: IANA zones, never offsets; what happens to a wall-clock time in a DST gap or overlap.

An opening in a gap is the first instant after it and an ambiguous opening the later one; a closing in a gap is that
same instant and an ambiguous closing the earlier one. Each choice makes a window smaller, never larger.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo


def local_date(zone: ZoneInfo, at: datetime) -> date:
    return at.astimezone(zone).date()


def opening(zone: ZoneInfo, day: date, wall: time) -> datetime:
    """The instant (UTC) at which a window that opens at `wall` on `day` is open in `zone`."""
    earlier, later = _both_readings(zone, day, wall)
    return _gap_end(zone, earlier, later) if _is_gap(zone, day, wall) else later


def closing(zone: ZoneInfo, day: date, wall: time) -> datetime:
    """The last instant (UTC, inclusive) of a window that closes at `wall` on `day` in `zone`."""
    earlier, later = _both_readings(zone, day, wall)
    return _gap_end(zone, earlier, later) if _is_gap(zone, day, wall) else earlier


def day_begins(zone: ZoneInfo, day: date) -> datetime:
    return opening(zone, day, time(0))


def _both_readings(zone: ZoneInfo, day: date, wall: time) -> tuple[datetime, datetime]:
    readings = [datetime.combine(day, wall.replace(fold=fold), zone).astimezone(UTC) for fold in (0, 1)]
    return min(readings), max(readings)


def _is_gap(zone: ZoneInfo, day: date, wall: time) -> bool:
    named = datetime.combine(day, wall)
    return datetime.combine(day, wall, zone).astimezone(UTC).astimezone(zone).replace(tzinfo=None) != named


def _gap_end(zone: ZoneInfo, before: datetime, after: datetime) -> datetime:
    """The transition inside (before, after]: the first instant with the new offset, to the second."""
    new_offset = after.astimezone(zone).utcoffset()
    low, high = 0, int((after - before).total_seconds())
    while high - low > 1:
        middle = (low + high) // 2
        if (before + timedelta(seconds=middle)).astimezone(zone).utcoffset() == new_offset:
            high = middle
        else:
            low = middle
    return before + timedelta(seconds=high)

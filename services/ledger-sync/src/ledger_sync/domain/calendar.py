"""The business calendar of a tenant: dates and instants that only rise."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

# A tenant that was switched off for longer starts again at today: a year and a bit covers any pause on purpose.
MISSED_DAYS_MAX = 400


@dataclass(frozen=True, slots=True)
class Tick:
    """One moment of a tenant's time. business_date: the day that begins or goes on; instant: aware UTC."""

    business_date: date
    instant: datetime


class TickBackwards(ValueError):
    """A later instant with an earlier business date: no clock moves like that."""

    code = "tick_backwards"


def is_new(last: Tick | None, tick: Tick) -> bool:
    """Whether a tick moves the calendar. A repeated or older instant does not (I8). Raises TickBackwards."""
    if last is None:
        return True
    if tick.instant <= last.instant:
        return False
    if tick.business_date < last.business_date:
        raise TickBackwards(f"business date {tick.business_date} after {last.business_date}")
    return True


def due_ticks(last: Tick | None, now: datetime, zone: ZoneInfo) -> list[Tick]:
    """Ticks to write at `now` (aware UTC) in order: local midnight of each missed day, then the hour that has begun."""
    today = now.astimezone(zone).date()
    first = today if last is None else max(last.business_date + timedelta(days=1), today - timedelta(MISSED_DAYS_MAX))
    missed = [first + timedelta(days=number) for number in range((today - first).days + 1)]
    midnights = [Tick(day, datetime.combine(day, time(), zone).astimezone(UTC)) for day in missed]
    hour = Tick(today, now.astimezone(UTC).replace(minute=0, second=0, microsecond=0))
    result: list[Tick] = []
    for tick in [*midnights, hour]:
        newest = result[-1] if result else last
        if newest is None or (tick.instant > newest.instant and tick.business_date >= newest.business_date):
            result.append(tick)
    return result

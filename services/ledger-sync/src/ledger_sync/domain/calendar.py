"""The business calendar of a tenant: dates and instants that only rise."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

# A tenant that was switched off for longer starts again at today: a year and a bit covers any pause on purpose.
MISSED_DAYS_MAX = 400
# Whoever sends ticks may skip a month on purpose; beyond it stands a slip of the pen, and no tick can be taken back.
JUMP_DAYS_MAX = 31


@dataclass(frozen=True, slots=True)
class Tick:
    """One moment of a tenant's time. business_date: the day that begins or goes on; instant: aware UTC."""

    business_date: date
    instant: datetime


class TickBackwards(ValueError):
    """Date and instant move opposite ways: no clock moves like that."""

    code = "tick_backwards"


class TickTooFar(ValueError):
    """More than `JUMP_DAYS_MAX` days after the newest business date, and nobody said that it is meant."""

    code = "tick_too_far"


def is_new(last: Tick, tick: Tick) -> bool:
    """Whether a tick moves the calendar. A repeated or older instant does not (I8). Raises TickBackwards."""
    later = tick.instant > last.instant
    opposite = tick.business_date < last.business_date if later else tick.business_date > last.business_date
    if opposite:
        raise TickBackwards(
            f"the calendar stands at {words(last)} and {words(tick)} was asked for: "
            "a later instant needs the same business date or a later one, a later date a later instant"
        )
    return later


def require_near(last: Tick, tick: Tick) -> None:
    """Raises TickTooFar."""
    days = (tick.business_date - last.business_date).days
    if days > JUMP_DAYS_MAX:
        raise TickTooFar(
            f"business date {tick.business_date} is {days} days after {last.business_date}, where the calendar stands, "
            f"and a tick cannot be taken back: mend the date (at most {JUMP_DAYS_MAX} days at once), "
            'or say that it is meant with "jump": true'
        )


def words(tick: Tick) -> str:
    """A tick as people are told of it: `2026-05-29 (2026-05-29T14:00:00Z)`."""
    return f"{tick.business_date} ({tick.instant.astimezone(UTC).isoformat().replace('+00:00', 'Z')})"


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

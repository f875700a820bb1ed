"""The policy clock of a service with a database: restored at start, moved in the transaction that reads a tick."""

from __future__ import annotations

from datetime import datetime

from duly_runtime.clock import Clock, PolicyClock, RealPolicyClock, TickPolicyClock
from duly_runtime.database import Connection, Database


def restore_policy_clock(database: Database, time_mode: str, clock: Clock) -> PolicyClock:
    """Real time, or the newest tick this service had read when it last committed."""
    if time_mode == "real":
        return RealPolicyClock(clock)
    with database.reading() as connection:
        row = connection.execute("select instant from policy_clock").fetchone()
    return TickPolicyClock(None if row is None else row["instant"])


def record_instant(connection: Connection, policy_clock: PolicyClock, instant: datetime) -> None:
    """Move the clock to a tick's instant, durably. Older instants change nothing."""
    connection.execute(
        "insert into policy_clock (instant) values (%s)"
        " on conflict (single) do update set instant = greatest(policy_clock.instant, excluded.instant)",
        (instant,),
    )
    policy_clock.advance(instant)

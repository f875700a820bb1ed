"""What was put aside, for the tenant to look at, and what keeps it from growing for ever."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from duly_runtime.database import Database

PAGE_MAX = 500
KEEP_DAYS = 90
_DELETE_MAX = 10_000


@dataclass(frozen=True, slots=True)
class QuarantinedEvent:
    """One event that is not in the mirror. state: rejected (to be sent anew, corrected) or held (tried again here)."""

    state: str
    delivery_id: str
    event_id: str
    event_type: str
    debtor_id: str
    code: str
    text: str
    received_at: datetime


class PostgresQuarantine:
    """Reads the quarantine of one tenant; forgets what is older than `KEEP_DAYS`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def newest(self, tenant: str, limit: int) -> list[QuarantinedEvent]:
        """Held facts and rejected events, newest first, at most `limit` of them."""
        with self._database.reading() as connection:
            rows = connection.execute(
                "(select 'held' as state, delivery_id, event_id, event_type, debtor_id, code, detail, held_at as at"
                " from held_fact where tenant = %(tenant)s order by held_at desc limit %(limit)s)"
                " union all"
                " (select 'rejected', delivery_id, event_id, event_type, debtor_id, code, detail, received_at"
                " from quarantine where tenant = %(tenant)s order by seq desc limit %(limit)s)"
                " order by at desc limit %(limit)s",
                {"tenant": tenant, "limit": min(limit, PAGE_MAX)},
            ).fetchall()
        return [
            QuarantinedEvent(
                row["state"], row["delivery_id"], row["event_id"], row["event_type"], row["debtor_id"], row["code"],
                row["detail"], row["at"],
            )
            for row in rows
        ]  # fmt: skip

    def forget_old(self, now: datetime) -> bool:
        """Delete a bounded number of old rows; True when there may be more. Versions still stop a late repetition."""
        more = False
        for table, column, key in (
            ("quarantine", "received_at", "tenant, cause_id, position, code"),
            ("seen_event", "seen_at", "tenant, source, event_id"),
        ):
            with self._database.unit_of_work() as uow:
                deleted = uow.connection.execute(
                    f"delete from {table} where ({key}) in (select {key} from {table}"  # noqa: S608
                    f" where {column} < %s::timestamptz - make_interval(days => %s) limit %s)",
                    (now, KEEP_DAYS, _DELETE_MAX),
                ).rowcount
            more = more or deleted == _DELETE_MAX
        return more

"""`CalendarStore`: the tenant's last tick, locked while it moves."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from duly_contracts.envelope import Envelope
from duly_runtime.database import Database, UnitOfWork
from google.protobuf.message import Message

from ledger_sync.application.ports import CalendarStore, TickLeft, WaitingDebtor
from ledger_sync.domain.calendar import Tick


class PostgresCalendar:
    """Opens units of the calendar."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @contextmanager
    def unit(self) -> Iterator[CalendarStore]:
        """One transaction: leaves by commit, or by rollback when the body raises."""
        with self._database.unit_of_work() as uow:
            yield PostgresCalendarStore(uow)

    def last_tick(self, tenant: str) -> Tick | None:
        """The newest tick of a tenant, as committed."""
        with self._database.reading() as connection:
            row = connection.execute(
                "select business_date, instant from calendar where tenant = %s", (tenant,)
            ).fetchone()
        return None if row is None else Tick(row["business_date"], row["instant"])


class PostgresCalendarStore:
    """See `application.ports.CalendarStore`."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow

    def last_tick(self, tenant: str) -> Tick | None:
        # The first tick has no row to lock: an advisory lock stands for it too, and is let go with the transaction.
        self._uow.connection.execute("select pg_advisory_xact_lock(hashtextextended(%s, 0))", (f"calendar|{tenant}",))
        row = self._uow.connection.execute(
            "select business_date, instant from calendar where tenant = %s for update", (tenant,)
        ).fetchone()
        return None if row is None else Tick(row["business_date"], row["instant"])

    def left(self, tenant: str) -> TickLeft:
        row = self._uow.connection.execute(
            "select slices, records_left from calendar where tenant = %s", (tenant,)
        ).fetchone()
        return TickLeft() if row is None else TickLeft(row["slices"], row["records_left"])

    def save_tick(self, tenant: str, tick: Tick, left: TickLeft) -> None:
        self._uow.connection.execute(
            "insert into calendar (tenant, business_date, instant, slices, records_left) values (%s, %s, %s, %s, %s)"
            " on conflict (tenant) do update set business_date = excluded.business_date, instant = excluded.instant,"
            " slices = excluded.slices, records_left = excluded.records_left",
            (tenant, tick.business_date, tick.instant, left.slices, left.records),
        )

    def debtors(self, tenant: str) -> int:
        row = self._uow.connection.execute(
            "select count(*) as debtors from debtor where tenant = %s and known", (tenant,)
        ).fetchone()
        assert row is not None
        return int(row["debtors"])

    def doubt_waiting(self, tenant: str, limit: int) -> list[WaitingDebtor]:
        # Debtors first and in key order, as the recorder does: locks taken the other way round would meet each other.
        debtors = self._uow.connection.execute(
            "select debtor_id from debtor where tenant = %s and known and debtor_id in"
            " (select distinct debtor_id from held_fact where tenant = %s and not doubted order by debtor_id limit %s)"
            " order by debtor_id for update",
            (tenant, tenant, limit),
        ).fetchall()
        ids = [row["debtor_id"] for row in debtors]
        if not ids:
            return []
        rows = self._uow.connection.execute(
            "update held_fact set doubted = true where tenant = %s and debtor_id = any(%s) and not doubted"
            " returning debtor_id, fact_id, code",
            (tenant, ids),
        ).fetchall()
        self._uow.connection.execute(
            "update debtor set degraded = true where tenant = %s and debtor_id = any(%s)", (tenant, ids)
        )
        waiting = (WaitingDebtor(row["debtor_id"], row["fact_id"], row["code"]) for row in rows)
        return sorted(waiting, key=lambda item: (item.debtor_id, item.fact_id))

    def emit(self, message: Message, key: bytes, envelope: Envelope, partition: int | None = None) -> None:
        self._uow.emit(message, key, envelope, partition)

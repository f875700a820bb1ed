"""`Unit` on one PostgreSQL transaction of `duly_runtime`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import date, datetime

from duly_contracts.envelope import Envelope
from duly_runtime.clock import PolicyClock
from duly_runtime.database import Connection, Database, UnitOfWork
from duly_runtime.metrics import GATE_DECISIONS, TREATMENTS, Metrics
from duly_runtime.policy_time import record_instant
from duly_runtime.tracing import current_traceparent
from google.protobuf.message import Message

from outreach.adapters.postgres.gateway_calls import PostgresRequestQueue
from outreach.adapters.postgres.ledger_view import PostgresLedgerView
from outreach.adapters.postgres.treatments import PostgresCaseBook, PostgresTreatmentBook
from outreach.domain.treatment import WorkItem


@dataclass(frozen=True, slots=True)
class PostgresTickBook:
    connection: Connection
    policy_clock: PolicyClock

    def advance(self, tenant: str, partition: int, tick_slice: int, business_date: date, instant: datetime) -> bool:
        moved = self.connection.execute(
            'insert into tick (tenant, "partition", slice, business_date, instant) values (%s, %s, %s, %s, %s)'
            ' on conflict (tenant, "partition", slice) do update'
            " set business_date = excluded.business_date, instant = excluded.instant"
            " where (tick.business_date, tick.instant) < (excluded.business_date, excluded.instant)"
            " returning 1 as moved",
            (tenant, partition, tick_slice, business_date, instant),
        ).fetchone()
        if moved is not None:
            record_instant(self.connection, self.policy_clock, instant)
        return moved is not None

    def set_kill_switch(self, scope: str, scope_id: str, on: bool) -> None:
        self.connection.execute(
            "insert into kill_switch (scope, scope_id, is_on) values (%s, %s, %s)"
            " on conflict (scope, scope_id) do update set is_on = excluded.is_on",
            (scope, scope_id, on),
        )

    def kill_switch_on(self, tenant: str) -> bool:
        row = self.connection.execute(
            "select exists (select 1 from kill_switch where is_on and (scope = 'all' or scope_id = %s)) as is_on",
            (tenant,),
        ).fetchone()
        assert row is not None
        return bool(row["is_on"])


class PostgresUnit:
    """All stores on the connection of one unit of work."""

    def __init__(self, uow: UnitOfWork, partitions: int, policy_clock: PolicyClock, metrics: Metrics) -> None:
        self._uow = uow
        self._metrics = metrics
        self.ledger = PostgresLedgerView(uow.connection, partitions)
        self.cases = PostgresCaseBook(uow.connection)
        self.treatments = PostgresTreatmentBook(uow.connection)
        self.requests = PostgresRequestQueue(uow.connection)
        self.ticks = PostgresTickBook(uow.connection, policy_clock)

    def batched(self) -> AbstractContextManager[object]:
        return self._uow.connection.pipeline()

    def known_work_items(self, tenant: str, work_item_ids: Sequence[str]) -> frozenset[str]:
        if not work_item_ids:
            return frozenset()
        rows = self._uow.connection.execute(
            "select work_item_id from work_item where tenant = %s and work_item_id = any(%s)",
            (tenant, list(work_item_ids)),
        ).fetchall()
        return frozenset(row["work_item_id"] for row in rows)

    def add_work_item(self, item: WorkItem) -> bool:
        added = self._uow.connection.execute(
            "insert into work_item (tenant, work_item_id, debtor_id, kind, treatment_id, reasons, due)"
            " values (%s, %s, %s, %s, %s, %s, %s) on conflict do nothing returning 1 as added",
            (
                item.tenant, item.work_item_id, item.debtor_id, item.kind, item.treatment_id, list(item.reasons),
                item.due,
            ),
        ).fetchone()  # fmt: skip
        return added is not None

    def emit(self, message: Message, key: bytes, envelope: Envelope) -> None:
        self._uow.emit(message, key, envelope.with_traceparent(current_traceparent()))

    def count_treatment(self, action: str) -> None:
        self._metrics.count(TREATMENTS, action=action)

    def count_gate_answer(self, answer: str) -> None:
        self._metrics.count(GATE_DECISIONS, phase="PLAN", answer=answer)


@dataclass(frozen=True, slots=True)
class Units:
    """Opens units: inside a consumer's transaction, or in one of their own."""

    database: Database
    partitions: int
    policy_clock: PolicyClock
    metrics: Metrics

    def within(self, uow: UnitOfWork) -> PostgresUnit:
        return PostgresUnit(uow, self.partitions, self.policy_clock, self.metrics)

    @contextmanager
    def open(self) -> Iterator[PostgresUnit]:
        with self.database.unit_of_work() as uow:
            yield self.within(uow)

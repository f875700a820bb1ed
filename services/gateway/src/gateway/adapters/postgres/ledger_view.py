"""`LedgerView` on PostgreSQL. Changes are collected and written in one pipeline before the commit: the debtors' locks
first, then one upsert per fact. Versions decide, never the order, so the order within a batch is free.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime

from duly_runtime.clock import PolicyClock
from duly_runtime.database import Connection, Database, UnitOfWork
from duly_runtime.loops import Wake
from duly_runtime.policy_time import record_instant
from psycopg.types.json import Jsonb

from duly.ledger.v1 import events_pb2 as ledger
from gateway.application.handlers import FactOrigin
from gateway.domain.contact import TenantId

# The row's lock serialises the fold with claims: a send is claimed before these facts, or sees them.
_TOUCH = """insert into debtor_guard (tenant, debtor_id, ledger_version)
values (%(tenant)s, %(debtor)s, %(offset)s) on conflict (tenant, debtor_id) do update
set ledger_version = greatest(debtor_guard.ledger_version, excluded.ledger_version)"""
_PARTY = """insert into party (tenant, debtor_id, kind, name, language, country, zones, contact_points, source_version)
values (%(tenant)s, %(debtor)s, %(kind)s, %(name)s, %(language)s, %(country)s, %(zones)s, %(points)s, %(version)s)
on conflict (tenant, debtor_id) do update set kind = excluded.kind, name = excluded.name,
    language = excluded.language, country = excluded.country, zones = excluded.zones,
    contact_points = excluded.contact_points, source_version = excluded.source_version
where not version_older(excluded.source_version, party.source_version)"""
_INVOICE = """insert into invoice (tenant, invoice_id, debtor_id, known, number, due_date, currency, total_minor,
    source_version)
values (%(tenant)s, %(id)s, %(debtor)s, true, %(number)s, %(due)s, %(currency)s, %(minor)s, %(version)s)
on conflict (tenant, invoice_id) do update set debtor_id = excluded.debtor_id, known = true,
    number = excluded.number, due_date = excluded.due_date, currency = excluded.currency,
    total_minor = excluded.total_minor, source_version = excluded.source_version
where not invoice.known or not version_older(excluded.source_version, invoice.source_version)"""
_VOID_INVOICE = """insert into invoice (tenant, invoice_id, debtor_id, voided)
values (%(tenant)s, %(id)s, %(debtor)s, true) on conflict (tenant, invoice_id) do update set voided = true"""
_DISPUTE = """insert into invoice (tenant, invoice_id, debtor_id, disputed_minor, dispute_version)
values (%(tenant)s, %(id)s, %(debtor)s, %(minor)s, %(version)s) on conflict (tenant, invoice_id) do update
set disputed_minor = excluded.disputed_minor, dispute_version = excluded.dispute_version
where not version_older(excluded.dispute_version, invoice.dispute_version)"""
_WRITE_OFF = """insert into write_off (tenant, write_off_id, invoice_id, amount_minor, source_version)
values (%(tenant)s, %(id)s, %(invoice)s, %(minor)s, %(version)s) on conflict (tenant, write_off_id) do update
set invoice_id = excluded.invoice_id, amount_minor = excluded.amount_minor, source_version = excluded.source_version
where not version_older(excluded.source_version, write_off.source_version)"""
_SOURCE = """insert into credit_source (tenant, debtor_id, source_id, known, currency, amount_minor)
values (%(tenant)s, %(debtor)s, %(id)s, true, %(currency)s, %(minor)s)
on conflict (tenant, debtor_id, source_id) do update
set known = true, currency = excluded.currency, amount_minor = excluded.amount_minor"""
_VOID_SOURCE = """insert into credit_source (tenant, debtor_id, source_id, voided)
values (%(tenant)s, %(debtor)s, %(id)s, true)
on conflict (tenant, debtor_id, source_id) do update set voided = true"""
_REVERSAL = """insert into reversal (tenant, reversal_id, debtor_id, payment_id, amount_minor, source_version)
values (%(tenant)s, %(id)s, %(debtor)s, %(payment)s, %(minor)s, %(version)s)
on conflict (tenant, reversal_id) do update set debtor_id = excluded.debtor_id, payment_id = excluded.payment_id,
    amount_minor = excluded.amount_minor, source_version = excluded.source_version
where not version_older(excluded.source_version, reversal.source_version)"""
_ALLOCATION = """insert into allocation (tenant, allocation_id, debtor_id, invoice_id, source_id, amount_minor,
    discount_minor, applied)
values (%(tenant)s, %(id)s, %(debtor)s, %(invoice)s, %(source)s, %(minor)s, %(discount)s, true)
on conflict (tenant, allocation_id) do update set source_id = excluded.source_id,
    amount_minor = excluded.amount_minor, discount_minor = excluded.discount_minor, applied = true"""
_REMOVE_ALLOCATION = """insert into allocation (tenant, allocation_id, debtor_id, invoice_id, removed)
values (%(tenant)s, %(id)s, %(debtor)s, %(invoice)s, true)
on conflict (tenant, allocation_id) do update set removed = true"""
_DRIFT = "update debtor_guard set drift = %(on)s where tenant = %(tenant)s and debtor_id = %(debtor)s"
_DEGRADED = "update debtor_guard set degraded = %(on)s where tenant = %(tenant)s and debtor_id = %(debtor)s"
_ALL_USABLE = "update debtor_guard set unusable = 0 where tenant = %(tenant)s and debtor_id = %(debtor)s"
_UNUSABLE = "update debtor_guard set unusable = unusable + 1 where tenant = %(tenant)s and debtor_id = %(debtor)s"
_DAY = """insert into tenant_calendar (tenant, business_date) values (%(tenant)s, %(day)s) on conflict (tenant)
do update set business_date = greatest(tenant_calendar.business_date, excluded.business_date)"""

_ORDER = (
    _PARTY, _INVOICE, _VOID_INVOICE, _DISPUTE, _WRITE_OFF, _SOURCE, _VOID_SOURCE, _REVERSAL, _ALLOCATION,
    _REMOVE_ALLOCATION, _DRIFT, _DEGRADED, _ALL_USABLE, _UNUSABLE, _DAY,
)  # fmt: skip


class LedgerBatch:
    """The changes of one transaction."""

    def __init__(self) -> None:
        self._touched: dict[tuple[str, str], int] = {}
        self._changes: dict[str, list[dict[str, object]]] = {}
        self._instant: datetime | None = None

    def write(self, connection: Connection, policy_clock: PolicyClock) -> None:
        """Locks in one order for every process, then the facts; the policy clock last."""
        touched = [
            {"tenant": tenant, "debtor": debtor, "offset": offset}
            for (tenant, debtor), offset in sorted(self._touched.items())
        ]
        with connection.pipeline(), connection.cursor() as cursor:
            if touched:
                cursor.executemany(_TOUCH, touched)
            for statement in _ORDER:
                if rows := self._changes.get(statement):
                    cursor.executemany(statement, rows)
        if self._instant is not None:
            record_instant(connection, policy_clock, self._instant)

    @property
    def has_tick(self) -> bool:
        return self._instant is not None

    def touch(self, origin: FactOrigin) -> None:
        key = (origin.tenant, origin.debtor_id)
        self._touched[key] = max(origin.offset, self._touched.get(key, -1))

    def put_party(self, origin: FactOrigin, party: ledger.PartyUpserted, kind: str) -> None:
        points = [
            {
                "id": point.contact_point_id,
                "channel": ledger.ContactPointChannel.Name(point.channel).removeprefix("CONTACT_POINT_CHANNEL_"),
                "address": point.address,
                "verified": point.verified,
            }
            for point in party.contact_points
        ]
        self._add(
            _PARTY,
            origin,
            kind=kind,
            name=party.name,
            language=party.language,
            country=party.country,
            zones=list(party.zones),
            points=Jsonb(points),
            version=origin.version,
        )

    def put_invoice(self, origin: FactOrigin, invoice: ledger.InvoiceIssued | ledger.InvoiceRevised) -> None:
        self._add(
            _INVOICE,
            origin,
            id=invoice.invoice_id,
            number=invoice.number,
            due=date.fromisoformat(invoice.due_date),
            currency=invoice.total.currency,
            minor=invoice.total.amount_minor,
            version=origin.version,
        )

    def void_invoice(self, origin: FactOrigin, invoice_id: str) -> None:
        self._add(_VOID_INVOICE, origin, id=invoice_id)

    def dispute_invoice(self, origin: FactOrigin, invoice_id: str, amount_minor: int) -> None:
        self._add(_DISPUTE, origin, id=invoice_id, minor=amount_minor, version=origin.version)

    def put_write_off(self, origin: FactOrigin, write_off_id: str, invoice_id: str, amount_minor: int) -> None:
        self._add(_WRITE_OFF, origin, id=write_off_id, invoice=invoice_id, minor=amount_minor, version=origin.version)

    def put_source(self, origin: FactOrigin, source_id: str, amount_minor: int, currency: str) -> None:
        self._add(_SOURCE, origin, id=source_id, minor=amount_minor, currency=currency)

    def void_source(self, origin: FactOrigin, source_id: str) -> None:
        self._add(_VOID_SOURCE, origin, id=source_id)

    def put_reversal(self, origin: FactOrigin, reversal_id: str, payment_id: str, amount_minor: int) -> None:
        self._add(_REVERSAL, origin, id=reversal_id, payment=payment_id, minor=amount_minor, version=origin.version)

    def put_allocation(self, origin: FactOrigin, allocation: ledger.AllocationApplied) -> None:
        """A removal that came first stands: an allocation id is never used again."""
        self._add(
            _ALLOCATION,
            origin,
            id=allocation.allocation_id,
            invoice=allocation.invoice_id,
            source=allocation.source_id,
            minor=allocation.amount.amount_minor,
            discount=allocation.discount.amount_minor,
        )

    def remove_allocation(self, origin: FactOrigin, allocation_id: str, invoice_id: str) -> None:
        self._add(_REMOVE_ALLOCATION, origin, id=allocation_id, invoice=invoice_id)

    def set_drift(self, origin: FactOrigin, drift: bool) -> None:
        self._add(_DRIFT, origin, on=drift)

    def set_degraded(self, origin: FactOrigin, degraded: bool) -> None:
        self._add(_DEGRADED, origin, on=degraded)

    def count_unusable(self, origin: FactOrigin) -> None:
        """A fact of this debtor could not be read: the view may be incomplete until it is replayed."""
        self.touch(origin)
        self._add(_UNUSABLE, origin)

    def forget_unusable(self, origin: FactOrigin) -> None:
        """Every fact of this debtor that could not be read has been read since, or was dismissed."""
        self._add(_ALL_USABLE, origin)

    def advance_day(self, tenant: TenantId, business_date: date, instant: datetime) -> None:
        self._changes.setdefault(_DAY, []).append({"tenant": tenant, "day": business_date})
        self._instant = instant if self._instant is None else max(instant, self._instant)

    def _add(self, statement: str, origin: FactOrigin, **values: object) -> None:
        row = {"tenant": origin.tenant, "debtor": origin.debtor_id, **values}
        self._changes.setdefault(statement, []).append(row)


class FoldingDatabase(Database):
    """A database whose units of work write the batch's changes right before they commit. For one consumer thread.

    If a change cannot be written the unit of work fails as a whole, and the consumer takes the records one by one.
    `tick_wake` is set after each commit of a batch with a tick in it: a contact may have become due.
    """

    batch: LedgerBatch

    def __init__(self, dsn: str, outbox_wake: Wake, policy_clock: PolicyClock, tick_wake: Wake) -> None:
        super().__init__(dsn, outbox_wake, max_connections=2)
        self._policy_clock = policy_clock
        self._tick_wake = tick_wake

    @contextmanager
    def unit_of_work(self) -> Iterator[UnitOfWork]:
        self.batch = LedgerBatch()
        with super().unit_of_work() as uow:
            yield uow
            self.batch.write(uow.connection, self._policy_clock)
        if self.batch.has_tick:
            self._tick_wake.set()

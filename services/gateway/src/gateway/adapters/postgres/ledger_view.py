"""`LedgerView` on PostgreSQL: one upsert per fact; the version decides, never the order of arrival."""

from __future__ import annotations

from datetime import date, datetime

from duly_runtime.clock import PolicyClock
from duly_runtime.database import UnitOfWork
from duly_runtime.policy_time import record_instant

from duly.ledger.v1 import events_pb2 as ledger
from gateway.application.handlers import FactOrigin
from gateway.domain.contact import TenantId


class PostgresLedgerView:
    """The fold within one transaction. `touch` first: it takes the debtor's lock."""

    def __init__(self, uow: UnitOfWork, policy_clock: PolicyClock) -> None:
        self._connection = uow.connection
        self._policy_clock = policy_clock

    def touch(self, origin: FactOrigin) -> None:
        self._connection.execute(
            "insert into debtor_guard (tenant, debtor_id, ledger_version) values (%s, %s, %s)"
            " on conflict (tenant, debtor_id) do update"
            " set ledger_version = greatest(debtor_guard.ledger_version, excluded.ledger_version)",
            (origin.tenant, origin.debtor_id, origin.offset),
        )

    def put_party(self, origin: FactOrigin, party: ledger.PartyUpserted, kind: str) -> None:
        taken = self._connection.execute(
            "insert into party (tenant, debtor_id, kind, name, language, country, zones, source_version)"
            " values (%s, %s, %s, %s, %s, %s, %s, %s)"
            " on conflict (tenant, debtor_id) do update set kind = excluded.kind, name = excluded.name,"
            " language = excluded.language, country = excluded.country, zones = excluded.zones,"
            " source_version = excluded.source_version"
            " where not version_older(excluded.source_version, party.source_version) returning 1 as taken",
            (
                origin.tenant,
                origin.debtor_id,
                kind,
                party.name,
                party.language,
                party.country,
                list(party.zones),
                origin.version,
            ),
        ).fetchone()
        if taken is not None:
            self._replace_points(origin, party)

    def put_invoice(self, origin: FactOrigin, invoice: ledger.InvoiceIssued | ledger.InvoiceRevised) -> None:
        self._connection.execute(
            "insert into invoice (tenant, invoice_id, debtor_id, known, number, due_date, currency, total_minor,"
            " source_version) values (%s, %s, %s, true, %s, %s, %s, %s, %s)"
            " on conflict (tenant, invoice_id) do update set debtor_id = excluded.debtor_id, known = true,"
            " number = excluded.number, due_date = excluded.due_date, currency = excluded.currency,"
            " total_minor = excluded.total_minor, source_version = excluded.source_version"
            " where not invoice.known or not version_older(excluded.source_version, invoice.source_version)",
            (
                origin.tenant,
                invoice.invoice_id,
                origin.debtor_id,
                invoice.number,
                date.fromisoformat(invoice.due_date),
                invoice.total.currency,
                invoice.total.amount_minor,
                origin.version,
            ),
        )

    def void_invoice(self, origin: FactOrigin, invoice_id: str) -> None:
        self._connection.execute(
            "insert into invoice (tenant, invoice_id, debtor_id, voided) values (%s, %s, %s, true)"
            " on conflict (tenant, invoice_id) do update set voided = true",
            (origin.tenant, invoice_id, origin.debtor_id),
        )

    def dispute_invoice(self, origin: FactOrigin, invoice_id: str, amount_minor: int) -> None:
        self._connection.execute(
            "insert into invoice (tenant, invoice_id, debtor_id, disputed_minor, dispute_version)"
            " values (%s, %s, %s, %s, %s) on conflict (tenant, invoice_id) do update"
            " set disputed_minor = excluded.disputed_minor, dispute_version = excluded.dispute_version"
            " where not version_older(excluded.dispute_version, invoice.dispute_version)",
            (origin.tenant, invoice_id, origin.debtor_id, amount_minor, origin.version),
        )

    def put_write_off(self, origin: FactOrigin, write_off_id: str, invoice_id: str, amount_minor: int) -> None:
        self._connection.execute(
            "insert into write_off (tenant, write_off_id, invoice_id, amount_minor) values (%s, %s, %s, %s)"
            " on conflict do nothing",
            (origin.tenant, write_off_id, invoice_id, amount_minor),
        )

    def put_source(self, origin: FactOrigin, source_id: str, amount_minor: int, currency: str) -> None:
        self._connection.execute(
            "insert into credit_source (tenant, debtor_id, source_id, known, currency, amount_minor)"
            " values (%s, %s, %s, true, %s, %s) on conflict (tenant, debtor_id, source_id) do update"
            " set known = true, currency = excluded.currency, amount_minor = excluded.amount_minor",
            (origin.tenant, origin.debtor_id, source_id, currency, amount_minor),
        )

    def void_source(self, origin: FactOrigin, source_id: str) -> None:
        self._connection.execute(
            "insert into credit_source (tenant, debtor_id, source_id, voided) values (%s, %s, %s, true)"
            " on conflict (tenant, debtor_id, source_id) do update set voided = true",
            (origin.tenant, origin.debtor_id, source_id),
        )

    def put_reversal(self, origin: FactOrigin, reversal_id: str, payment_id: str, amount_minor: int) -> None:
        self._connection.execute(
            "insert into reversal (tenant, reversal_id, debtor_id, payment_id, amount_minor)"
            " values (%s, %s, %s, %s, %s) on conflict do nothing",
            (origin.tenant, reversal_id, origin.debtor_id, payment_id, amount_minor),
        )

    def put_allocation(self, origin: FactOrigin, allocation: ledger.AllocationApplied) -> None:
        """A removal that came first stands: an allocation id is never used again."""
        self._connection.execute(
            "insert into allocation (tenant, allocation_id, debtor_id, invoice_id, source_id, amount_minor,"
            " discount_minor, applied) values (%s, %s, %s, %s, %s, %s, %s, true)"
            " on conflict (tenant, allocation_id) do update set source_id = excluded.source_id,"
            " amount_minor = excluded.amount_minor, discount_minor = excluded.discount_minor, applied = true",
            (
                origin.tenant,
                allocation.allocation_id,
                origin.debtor_id,
                allocation.invoice_id,
                allocation.source_id,
                allocation.amount.amount_minor,
                allocation.discount.amount_minor,
            ),
        )

    def remove_allocation(self, origin: FactOrigin, allocation_id: str, invoice_id: str) -> None:
        self._connection.execute(
            "insert into allocation (tenant, allocation_id, debtor_id, invoice_id, removed)"
            " values (%s, %s, %s, %s, true) on conflict (tenant, allocation_id) do update set removed = true",
            (origin.tenant, allocation_id, origin.debtor_id, invoice_id),
        )

    def set_drift(self, origin: FactOrigin, drift: bool) -> None:
        self._connection.execute(
            "update debtor_guard set drift = %s where tenant = %s and debtor_id = %s",
            (drift, origin.tenant, origin.debtor_id),
        )

    def set_degraded(self, origin: FactOrigin, degraded: bool) -> None:
        self._connection.execute(
            "update debtor_guard set degraded = %s where tenant = %s and debtor_id = %s",
            (degraded, origin.tenant, origin.debtor_id),
        )

    def count_unusable(self, origin: FactOrigin) -> None:
        """A fact of this debtor could not be read: the view may be incomplete until it is replayed."""
        self._connection.execute(
            "insert into debtor_guard (tenant, debtor_id, unusable) values (%s, %s, 1)"
            " on conflict (tenant, debtor_id) do update set unusable = debtor_guard.unusable + 1",
            (origin.tenant, origin.debtor_id),
        )

    def advance_day(self, tenant: TenantId, business_date: date, instant: datetime) -> None:
        self._connection.execute(
            "insert into tenant_calendar (tenant, business_date) values (%s, %s) on conflict (tenant) do update"
            " set business_date = greatest(tenant_calendar.business_date, excluded.business_date)",
            (tenant, business_date),
        )
        record_instant(self._connection, self._policy_clock, instant)

    def _replace_points(self, origin: FactOrigin, party: ledger.PartyUpserted) -> None:
        self._connection.execute(
            "delete from contact_point where tenant = %s and debtor_id = %s", (origin.tenant, origin.debtor_id)
        )
        for point in party.contact_points:
            channel = ledger.ContactPointChannel.Name(point.channel).removeprefix("CONTACT_POINT_CHANNEL_")
            self._connection.execute(
                "insert into contact_point (tenant, debtor_id, contact_point_id, channel, address, verified)"
                " values (%s, %s, %s, %s, %s, %s) on conflict do nothing",
                (origin.tenant, origin.debtor_id, point.contact_point_id, channel, point.address, point.verified),
            )

"""`LedgerView` on PostgreSQL."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from duly_contracts.keys import debtor_key, murmur2
from duly_runtime.database import Connection, Row
from psycopg.types.json import Jsonb

from outreach.adapters.postgres.rows import (
    debtor_of,
    invoice_of,
    invoice_row,
    open_invoice_of,
    score_row,
    source_of,
)
from outreach.domain.debtor import Debtor, OpenInvoice
from outreach.domain.ledger import Invoice, Source

_LOCK = """
insert into debtor (tenant, debtor_id, key_hash, "partition", ledger_version) values (%s, %s, %s, %s, %s)
on conflict (tenant, debtor_id) do update
    set ledger_version = greatest(debtor.ledger_version, excluded.ledger_version)
returning debtor.*, exists (
    select 1 from treatment t where t.tenant = debtor.tenant and t.debtor_id = debtor.debtor_id
    and t.state in ('PLANNED', 'REQUESTED', 'WAITING', 'HELD')) as open_treatments
"""

_SAVE_DEBTOR = """
update debtor set kind = %s, country = %s, zones = %s, party_version = %s, contact_points = %s, address_refused = %s,
    stopped = %s, drift = %s, degraded = %s, unusable_here = %s, score_id = %s, score_date = %s, score_role = %s,
    score_band = %s, score_ledger_version = %s, score_reasons = %s
where tenant = %s and debtor_id = %s
"""

_SAVE_INVOICE = """
insert into invoice (tenant, debtor_id, invoice_id, known, due_date, currency, total_minor, source_version, voided,
    disputed_minor, dispute_on, dispute_version, dispute_resolved, allocations, write_offs, open_minor,
    disputed_open_minor, step_sent, step_handed, overdue_since)
values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
on conflict (tenant, debtor_id, invoice_id) do update set known = excluded.known, due_date = excluded.due_date,
    currency = excluded.currency, total_minor = excluded.total_minor, source_version = excluded.source_version,
    voided = excluded.voided, disputed_minor = excluded.disputed_minor, dispute_on = excluded.dispute_on,
    dispute_version = excluded.dispute_version, dispute_resolved = excluded.dispute_resolved,
    allocations = excluded.allocations, write_offs = excluded.write_offs, open_minor = excluded.open_minor,
    disputed_open_minor = excluded.disputed_open_minor, step_sent = excluded.step_sent,
    step_handed = excluded.step_handed, overdue_since = excluded.overdue_since
"""

_SAVE_SOURCE = """
insert into source (tenant, debtor_id, source_id, known, currency, amount_minor, voided, reversals, used_minor,
    unapplied_minor)
values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
on conflict (tenant, debtor_id, source_id) do update set known = excluded.known, currency = excluded.currency,
    amount_minor = excluded.amount_minor, voided = excluded.voided, reversals = excluded.reversals,
    used_minor = excluded.used_minor, unapplied_minor = excluded.unapplied_minor
"""

_LOCK_DUE = """
select d.*, false as open_treatments from debtor d
where d.tenant = %(tenant)s and d."partition" = %(partition)s
  and (d.key_hash / %(partitions)s) %% %(slices)s = %(slice)s
  and (exists (select 1 from invoice i where i.tenant = d.tenant and i.debtor_id = d.debtor_id
               and i.open_minor > 0 and i.due_date < %(on)s)
       or exists (select 1 from debt_case c where c.tenant = d.tenant and c.debtor_id = d.debtor_id
                  and c.closed_on is null))
order by d.debtor_id for update of d
"""


@dataclass(frozen=True, slots=True)
class PostgresLedgerView:
    """partitions: of `ledger-events`, for the partition and slice a debtor's ticks come in."""

    connection: Connection
    partitions: int

    def lock_debtor(self, tenant: str, debtor_id: str, ledger_version: int | None = None) -> Debtor:
        key_hash = murmur2(debtor_key(tenant, debtor_id))
        version = -1 if ledger_version is None else ledger_version
        row = self.connection.execute(
            _LOCK, (tenant, debtor_id, key_hash, key_hash % self.partitions, version)
        ).fetchone()
        assert row is not None
        return debtor_of(row)

    def save_debtor(self, debtor: Debtor) -> None:
        points = [[p.contact_point_id, p.channel, p.verified] for p in debtor.contact_points]
        self.connection.execute(
            _SAVE_DEBTOR,
            (
                debtor.kind, debtor.country, list(debtor.zones), debtor.party_version, Jsonb(points),
                debtor.address_refused, debtor.stopped, debtor.drift, debtor.degraded, debtor.unusable_here,
                *score_row(debtor.score), debtor.tenant, debtor.debtor_id,
            ),
        )  # fmt: skip

    def invoice(self, tenant: str, debtor_id: str, invoice_id: str) -> Invoice:
        row = self.connection.execute(
            "select * from invoice where tenant = %s and debtor_id = %s and invoice_id = %s",
            (tenant, debtor_id, invoice_id),
        ).fetchone()
        return Invoice(invoice_id) if row is None else invoice_of(row)

    def save_invoice(self, tenant: str, debtor_id: str, invoice: Invoice) -> None:
        self.connection.execute(_SAVE_INVOICE, (tenant, debtor_id, *invoice_row(invoice)))

    def source(self, tenant: str, debtor_id: str, source_id: str) -> Source:
        row = self.connection.execute(
            "select * from source where tenant = %s and debtor_id = %s and source_id = %s",
            (tenant, debtor_id, source_id),
        ).fetchone()
        return Source(source_id) if row is None else source_of(row)

    def save_source(self, tenant: str, debtor_id: str, source: Source) -> None:
        self.connection.execute(
            _SAVE_SOURCE,
            (
                tenant, debtor_id, source.source_id, source.known, source.currency, source.amount_minor, source.voided,
                Jsonb(dict(source.reversals)), source.used_minor, source.unapplied_minor,
            ),
        )  # fmt: skip

    def invoices_paid_from(self, tenant: str, debtor_id: str, source_id: str) -> Sequence[Invoice]:
        rows = self.connection.execute(
            "select * from invoice where tenant = %s and debtor_id = %s and exists (select 1"
            " from jsonb_each(allocations) a where a.value ->> 0 = %s) order by invoice_id",
            (tenant, debtor_id, source_id),
        ).fetchall()
        return [invoice_of(row) for row in rows]

    def lock_due(
        self, tenant: str, partition: int, tick_slice: int, slices: int, business_date: date
    ) -> Sequence[Debtor]:
        names = {"tenant": tenant, "partition": partition, "partitions": self.partitions}
        rows = self.connection.execute(
            _LOCK_DUE, {**names, "slices": slices, "slice": tick_slice, "on": business_date}
        ).fetchall()
        return [debtor_of(row) for row in rows]

    def open_invoices(self, tenant: str, debtor_ids: Sequence[str]) -> Mapping[str, Sequence[OpenInvoice]]:
        rows = self.connection.execute(
            "select debtor_id, invoice_id, due_date, currency, open_minor, disputed_open_minor, step_sent, step_handed,"
            " overdue_since, case_id from invoice where tenant = %s and debtor_id = any(%s) and open_minor > 0"
            " order by debtor_id, due_date, invoice_id",
            (tenant, list(debtor_ids)),
        ).fetchall()
        found: defaultdict[str, list[OpenInvoice]] = defaultdict(list)
        for row in rows:
            found[row["debtor_id"]].append(open_invoice_of(row))
        return found

    def unapplied(self, tenant: str, debtor_ids: Sequence[str]) -> Mapping[str, Mapping[str, int]]:
        rows: list[Row] = self.connection.execute(
            "select debtor_id, currency, sum(unapplied_minor)::bigint as minor from source"
            " where tenant = %s and debtor_id = any(%s) and unapplied_minor > 0 group by debtor_id, currency",
            (tenant, list(debtor_ids)),
        ).fetchall()
        found: defaultdict[str, dict[str, int]] = defaultdict(dict)
        for row in rows:
            found[row["debtor_id"]][row["currency"]] = row["minor"]
        return found

    def mark_overdue(self, tenant: str, rows: Sequence[tuple[str, str, str]], business_date: date) -> None:
        debtor_ids, invoice_ids, case_ids = (list(column) for column in zip(*rows, strict=True))
        self.connection.execute(
            "update invoice i set overdue_since = %s, case_id = n.case_id"
            " from unnest(%s::text[], %s::text[], %s::text[]) as n (debtor_id, invoice_id, case_id)"
            " where i.tenant = %s and i.debtor_id = n.debtor_id and i.invoice_id = n.invoice_id",
            (business_date, debtor_ids, invoice_ids, case_ids, tenant),
        )

    def raise_steps(self, tenant: str, debtor_id: str, steps: Mapping[str, int], handed: bool) -> None:
        if not steps:
            return
        column = "step_handed" if handed else "step_sent"
        self.connection.execute(
            f"update invoice i set {column} = greatest(i.{column}, n.step)"  # noqa: S608 - one of two names above
            " from unnest(%s::text[], %s::int[]) as n (invoice_id, step)"
            " where i.tenant = %s and i.debtor_id = %s and i.invoice_id = n.invoice_id",
            (list(steps), list(steps.values()), tenant, debtor_id),
        )

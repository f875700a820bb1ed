"""`Queries` on PostgreSQL: balances are computed from the facts when they are asked for."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from duly_runtime.database import Database

from insights.application.ports import DebtorRecord, StoryLine
from insights.domain.aging import OpenInvoice

_OPEN = """
select i.invoice_id, i.due_date, i.currency,
       i.total_minor - coalesce(a.minor, 0) - coalesce(w.minor, 0) as open_minor
from invoice i
left join lateral (
    select sum(a.amount_minor + a.discount_minor)::bigint as minor
    from allocation a
    left join standing_source s on s.tenant = a.tenant and s.debtor_id = a.debtor_id and s.source_id = a.source_id
    where a.tenant = i.tenant and a.invoice_id = i.invoice_id and a.applied and not a.removed
      and coalesce(s.stands, true)
) a on true
left join lateral (
    select sum(w.amount_minor)::bigint as minor from write_off w
    where w.tenant = i.tenant and w.invoice_id = i.invoice_id
) w on true
where i.tenant = %s and i.debtor_id = %s and i.known and not i.voided
order by i.due_date, i.invoice_id
"""

_UNAPPLIED = """
select currency, sum(rest)::bigint as minor from (
    select s.currency, greatest(0, s.left_minor - coalesce((
        select sum(a.amount_minor) from allocation a
        where a.tenant = s.tenant and a.debtor_id = s.debtor_id and a.source_id = s.source_id
          and a.applied and not a.removed
    ), 0)) as rest
    from standing_source s
    where s.tenant = %s and s.debtor_id = %s and s.known and s.stands
) unapplied group by currency having sum(rest) > 0
"""


class PostgresQueries:
    def __init__(self, database: Database) -> None:
        self._database = database

    def debtor(self, tenant: str, debtor_id: str) -> DebtorRecord | None:
        key = (tenant, debtor_id)
        with self._database.reading() as connection:
            row = connection.execute(
                "select d.*, c.business_date from debtor d left join tenant_calendar c on c.tenant = d.tenant"
                " where d.tenant = %s and d.debtor_id = %s",
                key,
            ).fetchone()
            if row is None:
                return None
            open_rows = connection.execute(_OPEN, key).fetchall()
            unapplied = connection.execute(_UNAPPLIED, key).fetchall()
        return DebtorRecord(
            debtor_id=debtor_id,
            business_date=row["business_date"],
            risk_band=row["risk_band"],
            risk=row["risk"],
            model_version=row["model_version"],
            model_role=row["model_role"],
            score_id=row["score_id"],
            open_case_id=row["open_case_id"],
            contacts_sent=row["contacts_sent"],
            invoices=[OpenInvoice(**found) for found in open_rows if found["open_minor"] > 0],
            unapplied={found["currency"]: found["minor"] for found in unapplied},
        )

    def story(self, tenant: str, debtor_id: str, after: tuple[date, int] | None, limit: int) -> Sequence[StoryLine]:
        day, seq = after or (date.min, 0)
        with self._database.reading() as connection:
            rows = connection.execute(
                "select event_id, event, business_date, at, text, causation_id, correlation_id, because, seq"
                " from timeline where tenant = %s and debtor_id = %s and (business_date, seq) > (%s, %s)"
                " order by business_date, seq limit %s",
                (tenant, debtor_id, day, seq, limit),
            ).fetchall()
        return [StoryLine(**{**row, "because": tuple(row["because"])}) for row in rows]

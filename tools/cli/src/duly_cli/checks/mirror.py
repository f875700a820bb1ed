"""The sub-ledger as ledger-sync's database holds it, in neutral words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import psycopg

# From the base facts, not from the service's balances: amounts and what stands, added up here.
_INVOICES = """
select i.invoice_id, i.debtor_id, i.currency, i.total_minor, i.open_minor,
       least(greatest(i.open_minor, 0), coalesce(d.amount_minor, 0))::bigint,
       coalesce((select sum(a.amount_minor + a.discount_minor) from allocation a where a.tenant = i.tenant
                 and a.debtor_id = i.debtor_id and a.invoice_id = i.invoice_id and a.standing), 0)::bigint,
       coalesce((select sum(w.amount_minor) from ledger_fact w where w.tenant = i.tenant
                 and w.debtor_id = i.debtor_id and w.aspect = 'write_off'
                 and w.invoice_id = i.invoice_id), 0)::bigint,
       i.due_date::text, i.voided
from invoice i
left join ledger_fact d on d.tenant = i.tenant and d.debtor_id = i.debtor_id and d.aspect = 'dispute'
     and d.thing_id = i.invoice_id
where i.tenant = %s
"""
_USED = """
coalesce((select sum(a.amount_minor) from allocation a where a.tenant = s.tenant and a.debtor_id = s.debtor_id
          and a.source_aspect = '{aspect}' and a.source_id = s.{id} and a.standing), 0)::bigint
"""
_PAYMENTS = f"""
select s.payment_id, s.debtor_id, s.currency, s.amount_minor, s.reversed_minor,
       {_USED.format(aspect="payment", id="payment_id")}, false
from payment s where s.tenant = %s
"""  # noqa: S608 - constants of this file
_CREDIT_NOTES = f"""
select s.credit_note_id, s.debtor_id, s.currency, s.amount_minor,
       case when s.voided then s.amount_minor else 0 end,
       {_USED.format(aspect="credit_note", id="credit_note_id")}, true
from credit_note s where s.tenant = %s
"""  # noqa: S608 - constants of this file
_PUT_ASIDE = """
select (select count(*) from quarantine where tenant = %s) + (select count(*) from held_fact where tenant = %s)
"""


@dataclass(frozen=True, slots=True)
class MirrorInvoice:
    """One invoice of the mirror; amounts in minor units. allocated_minor: with discounts."""

    invoice_id: str
    debtor_id: str
    currency: str
    total_minor: int
    open_minor: int
    disputed_minor: int
    allocated_minor: int
    written_off_minor: int
    due_date: str
    voided: bool


@dataclass(frozen=True, slots=True)
class MirrorSource:
    """A payment or credit note of the mirror."""

    source_id: str
    debtor_id: str
    currency: str
    amount_minor: int
    reversed_minor: int
    allocated_minor: int
    credit_note: bool

    @property
    def unapplied_minor(self) -> int:
        return self.amount_minor - self.reversed_minor - self.allocated_minor


@dataclass(frozen=True)
class Mirror:
    """The whole of it, by id. quarantined: events that were put aside or are held back."""

    invoices: Mapping[str, MirrorInvoice] = field(default_factory=dict)
    sources: Mapping[str, MirrorSource] = field(default_factory=dict)
    quarantined: int = 0


def read_mirror(dsn: str, tenant: str) -> Mirror:
    """Everything of one tenant, in one snapshot. Raises psycopg.Error."""
    with psycopg.connect(dsn) as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connection.read_only = True
        invoices = [MirrorInvoice(*row) for row in connection.execute(_INVOICES, (tenant,))]
        sources = [MirrorSource(*row) for row in connection.execute(_PAYMENTS, (tenant,))]
        sources += [MirrorSource(*row) for row in connection.execute(_CREDIT_NOTES, (tenant,))]
        row = connection.execute(_PUT_ASIDE, (tenant, tenant)).fetchone()
    return Mirror(
        {invoice.invoice_id: invoice for invoice in invoices},
        {source.source_id: source for source in sources},
        int(row[0]) if row else 0,
    )

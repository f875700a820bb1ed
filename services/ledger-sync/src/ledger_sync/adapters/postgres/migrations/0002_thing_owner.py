"""Whose each thing is: readers of the facts key invoices, allocations and write-offs by their ids alone."""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

THING_OWNER = """
-- The debtor that stated a thing first. aspect: the one that states it, e.g. 'invoice' for a dispute too.
create table thing_owner (
    tenant text not null,
    aspect text not null,
    thing_id text not null,
    debtor_id text not null,
    primary key (tenant, aspect, thing_id)
);

insert into thing_owner (tenant, aspect, thing_id, debtor_id)
select tenant, aspect, thing_id, debtor_id from ledger_fact
where aspect not in ('dispute', 'invoice_void', 'credit_note_void', 'allocation_removal')
order by tenant, aspect, thing_id, fact_id
on conflict do nothing;
"""


def upgrade() -> None:
    op.execute(THING_OWNER)

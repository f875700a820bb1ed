"""Runtime tables, the mirror, held facts, quarantine, seen events, calendar."""

from __future__ import annotations

from alembic import op
from duly_runtime.schema import RUNTIME_SCHEMA

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

MIRROR = """
-- One row per debtor; recorders lock it before they read the ledger. holds: has rows in held_fact. It is a column,
-- for a subquery would still see the time before the lock was given.
create table debtor (
    tenant text not null,
    debtor_id text not null,
    known boolean not null default false,
    degraded boolean not null default false,
    holds boolean not null default false,
    primary key (tenant, debtor_id)
);

-- The facts that stand: per aspect of a thing the one with the greatest version. content: protobuf bytes.
create table ledger_fact (
    tenant text not null,
    debtor_id text not null,
    aspect text not null,
    thing_id text not null,
    version text not null,
    rank smallint not null,
    digest bytea not null,
    invoice_id text not null,
    source_aspect text,
    source_id text,
    amount_minor bigint not null,
    discount_minor bigint not null,
    currency text not null,
    on_date date,
    due_date date,
    fact_id text not null,
    event_type text not null,
    content bytea not null,
    primary key (tenant, debtor_id, aspect, thing_id)
);

-- Facts that do not fit yet. doubted: drift was announced for it.
create table held_fact (
    tenant text not null,
    fact_id text not null,
    debtor_id text not null,
    delivery_id text not null,
    position int not null,
    event_id text not null,
    source text not null,
    event_type text not null,
    content bytea not null,
    version text not null,
    business_time timestamptz not null,
    backfill boolean not null,
    ingested_at text not null,
    traceparent text not null,
    code text not null,
    detail text not null,
    doubted boolean not null,
    held_at timestamptz not null default now(),
    primary key (tenant, fact_id)
);
create index held_fact_debtor on held_fact (tenant, debtor_id);
create index held_fact_undoubted on held_fact (tenant) where not doubted;

-- Events that are no facts, with the reason. body: the event as it was sent, cut to 16 KiB.
create table quarantine (
    seq bigint generated always as identity,
    tenant text not null,
    cause_id text not null,
    position int not null,
    delivery_id text not null,
    event_id text not null,
    event_type text not null,
    debtor_id text not null,
    code text not null,
    detail text not null,
    body bytea not null,
    received_at timestamptz not null,
    primary key (tenant, cause_id, position, code)
);
create index quarantine_newest on quarantine (tenant, seq);
create index quarantine_received_at on quarantine (received_at);

create table seen_event (
    tenant text not null,
    source text not null,
    event_id text not null,
    digest bytea not null,
    seen_at timestamptz not null default now(),
    primary key (tenant, source, event_id)
);
create index seen_event_seen_at on seen_event (seen_at);

create table calendar (
    tenant text primary key,
    business_date date not null,
    instant timestamptz not null
);
"""

# For people and checks: the same balances as domain/ledger.py, computed a second way.
VIEWS = """
create view payment as
select p.tenant, p.debtor_id, p.thing_id as payment_id, p.on_date as booking_date, p.currency, p.amount_minor,
       coalesce((select sum(r.amount_minor) from ledger_fact r
                 where r.tenant = p.tenant and r.debtor_id = p.debtor_id and r.aspect = 'payment_reversal'
                   and r.source_id = p.thing_id), 0)::bigint as reversed_minor
from ledger_fact p where p.aspect = 'payment';

create view credit_note as
select c.tenant, c.debtor_id, c.thing_id as credit_note_id, c.on_date as issue_date, c.currency, c.amount_minor,
       exists (select 1 from ledger_fact v where v.tenant = c.tenant and v.debtor_id = c.debtor_id
               and v.aspect = 'credit_note_void' and v.thing_id = c.thing_id) as voided
from ledger_fact c where c.aspect = 'credit_note';

create view allocation as
select a.tenant, a.debtor_id, a.thing_id as allocation_id, a.source_aspect, a.source_id, a.invoice_id, a.on_date,
       a.currency, a.amount_minor, a.discount_minor,
       not exists (select 1 from ledger_fact r where r.tenant = a.tenant and r.debtor_id = a.debtor_id
                   and r.aspect = 'allocation_removal' and r.thing_id = a.thing_id)
       and (exists (select 1 from payment p where p.tenant = a.tenant and p.debtor_id = a.debtor_id
                    and a.source_aspect = 'payment' and p.payment_id = a.source_id
                    and p.reversed_minor < p.amount_minor)
            or exists (select 1 from credit_note c where c.tenant = a.tenant and c.debtor_id = a.debtor_id
                       and a.source_aspect = 'credit_note' and c.credit_note_id = a.source_id and not c.voided))
       as standing
from ledger_fact a where a.aspect = 'allocation';

create view invoice as
select i.tenant, i.debtor_id, i.thing_id as invoice_id, i.on_date as issue_date, i.due_date, i.currency,
       i.amount_minor as total_minor, void.voided,
       case when void.voided then 0 else i.amount_minor - given.minor - lost.minor end as open_minor
from ledger_fact i
cross join lateral (
    select exists (select 1 from ledger_fact v where v.tenant = i.tenant and v.debtor_id = i.debtor_id
                   and v.aspect = 'invoice_void' and v.thing_id = i.thing_id) as voided) void
cross join lateral (
    select coalesce(sum(a.amount_minor + a.discount_minor), 0)::bigint as minor from allocation a
    where a.tenant = i.tenant and a.debtor_id = i.debtor_id and a.invoice_id = i.thing_id and a.standing) given
cross join lateral (
    select coalesce(sum(w.amount_minor), 0)::bigint as minor from ledger_fact w
    where w.tenant = i.tenant and w.debtor_id = i.debtor_id and w.aspect = 'write_off'
      and w.invoice_id = i.thing_id) lost
where i.aspect = 'invoice';
"""


def upgrade() -> None:
    op.execute(RUNTIME_SCHEMA)
    op.execute(MIRROR)
    op.execute(VIEWS)

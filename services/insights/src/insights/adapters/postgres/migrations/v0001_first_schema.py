"""First schema: runtime tables and the read models. All of it can be dropped and rebuilt from the topics."""

from __future__ import annotations

from alembic import op
from duly_runtime.schema import RUNTIME_SCHEMA

revision = "0001"
down_revision = None

_READ_MODELS = """
create table debtor (
    tenant text not null,
    debtor_id text not null,
    risk_band text not null default '',
    risk double precision not null default 0,
    model_version text not null default '',
    model_role text not null default '',
    score_id text not null default '',
    score_date text not null default '',
    score_ledger_version bigint not null default -1,
    open_case_id text not null default '',
    contacts_sent int not null default 0,
    primary key (tenant, debtor_id)
);

create table tenant_calendar (
    tenant text primary key,
    business_date date not null
);

-- One line of a debtor's story. seq: the order in which events became known here.
create table timeline (
    tenant text not null,
    debtor_id text not null,
    event_id text not null,
    seq bigint generated always as identity,
    event text not null,
    business_date date not null,
    at timestamptz not null,
    text text not null,
    causation_id text not null,
    correlation_id text not null,
    because text[] not null,
    primary key (tenant, debtor_id, event_id)
);
create index timeline_story on timeline (tenant, debtor_id, business_date, seq);

-- known = false while only allocations, write-offs or disputes of it have come.
create table invoice (
    tenant text not null,
    invoice_id text not null,
    debtor_id text not null,
    known boolean not null default false,
    due_date date,
    currency text not null default '',
    total_minor bigint not null default 0,
    voided boolean not null default false,
    source_version text not null default '',
    primary key (tenant, invoice_id)
);
create index invoice_debtor on invoice (tenant, debtor_id) where known and not voided;

create table allocation (
    tenant text not null,
    allocation_id text not null,
    debtor_id text not null,
    invoice_id text not null,
    source_id text not null default '',
    amount_minor bigint not null default 0,
    discount_minor bigint not null default 0,
    applied boolean not null default false,
    removed boolean not null default false,
    primary key (tenant, allocation_id)
);
create index allocation_debtor on allocation (tenant, debtor_id);
create index allocation_invoice on allocation (tenant, invoice_id);

-- A payment or a credit note.
create table credit_source (
    tenant text not null,
    debtor_id text not null,
    source_id text not null,
    known boolean not null default false,
    currency text not null default '',
    amount_minor bigint not null default 0,
    voided boolean not null default false,
    primary key (tenant, debtor_id, source_id)
);

create table reversal (
    tenant text not null,
    reversal_id text not null,
    debtor_id text not null,
    payment_id text not null,
    amount_minor bigint not null,
    primary key (tenant, reversal_id)
);
create index reversal_payment on reversal (tenant, debtor_id, payment_id);

create table write_off (
    tenant text not null,
    write_off_id text not null,
    invoice_id text not null,
    amount_minor bigint not null,
    primary key (tenant, write_off_id)
);
create index write_off_invoice on write_off (tenant, invoice_id);

-- Only counters and ISO 8601 stamps have an order; where there is none, the log's order decides.
create function version_older(version text, than text) returns boolean language sql immutable as $$
    select case
        when version ~ '^[0-9]+$' and than ~ '^[0-9]+$' then version::numeric < than::numeric
        when version ~ '^[0-9]{4}-[0-9]{2}-[0-9]{2}' and than ~ '^[0-9]{4}-[0-9]{2}-[0-9]{2}'
            then version collate "C" < than collate "C"
        else false
    end
$$;

-- A source stands until it is voided or reversed in full.
create view standing_source as
    select s.*, s.amount_minor - coalesce(r.reversed_minor, 0) as left_minor,
           not s.voided and (not s.known or s.amount_minor > coalesce(r.reversed_minor, 0)) as stands
    from credit_source s
    left join lateral (
        select sum(r.amount_minor)::bigint as reversed_minor from reversal r
        where r.tenant = s.tenant and r.debtor_id = s.debtor_id and r.payment_id = s.source_id
    ) r on true;
"""


def upgrade() -> None:
    """Everything the first version needs."""
    for part in (RUNTIME_SCHEMA, _READ_MODELS):
        op.execute(part)

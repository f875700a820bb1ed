"""First schema: runtime tables, the ledger view, contacts and their evidence."""

from __future__ import annotations

from alembic import op
from duly_runtime.schema import RUNTIME_SCHEMA

revision = "0001"
down_revision = None

_LEDGER_VIEW = """
-- One row per debtor; its lock serialises caps, balances and sends of that debtor.
create table debtor_guard (
    tenant text not null,
    debtor_id text not null,
    ledger_version bigint not null default -1,
    drift boolean not null default false,
    degraded boolean not null default false,
    unusable int not null default 0,
    primary key (tenant, debtor_id)
);

create table party (
    tenant text not null,
    debtor_id text not null,
    kind text not null,
    name text not null,
    language text not null,
    country text not null,
    zones text[] not null,
    -- [{id, channel, address, verified}]
    contact_points jsonb not null,
    source_version text not null,
    primary key (tenant, debtor_id)
);

-- known = false while only allocations, write-offs or disputes of it have come.
create table invoice (
    tenant text not null,
    invoice_id text not null,
    debtor_id text not null,
    known boolean not null default false,
    number text not null default '',
    due_date date,
    currency text not null default '',
    total_minor bigint not null default 0,
    voided boolean not null default false,
    source_version text not null default '',
    disputed_minor bigint not null default 0,
    dispute_version text not null default '',
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
        when version ~ '^\\d{4}-\\d{2}-\\d{2}' and than ~ '^\\d{4}-\\d{2}-\\d{2}'
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

create table tenant_calendar (
    tenant text primary key,
    business_date date not null
);
"""

_CONTACTS = """
create table contact (
    tenant text not null,
    contact_id text not null,
    seq bigint generated always as identity,
    treatment_id text,
    case_id text not null,
    debtor_id text not null,
    invoice_ids text[] not null,
    channel text not null,
    contact_point_id text not null,
    purpose text not null,
    action text not null,
    step_no int not null,
    template_id text not null,
    template_version text not null,
    not_before timestamptz,
    not_after timestamptz,
    causation_id text not null,
    correlation_id text not null,
    traceparent text not null,
    state text not null,
    decision_id text not null,
    until timestamptz,
    retry_at timestamptz,
    sent_at timestamptz,
    amount_claimed jsonb not null,
    attempts int not null,
    created_at timestamptz not null default now(),
    primary key (tenant, contact_id),
    unique (tenant, treatment_id)
);
create unique index contact_seq on contact (tenant, seq);
create index contact_debtor on contact (tenant, debtor_id, seq);
create index contact_to_do on contact (state, until) where state in ('WAITING', 'RESERVED', 'IN_FLIGHT');

create table attempt (
    tenant text not null,
    contact_id text not null,
    ordinal int not null,
    attempt_id text not null,
    debtor_id text not null,
    state text not null,
    channel text not null,
    at timestamptz not null,
    fence int not null,
    tries int not null,
    lease_until timestamptz,
    decision_id text not null,
    ledger_version bigint not null,
    amount_claimed jsonb not null,
    content_sha256 text not null,
    provider text not null,
    provider_code text not null,
    late_outcome text not null default '',
    primary key (tenant, contact_id, ordinal),
    unique (tenant, attempt_id)
);
create index attempt_counted on attempt (tenant, debtor_id, at) where state not in ('REFUSED', 'CANCELLED');
create index attempt_in_flight on attempt (lease_until) where state = 'IN_FLIGHT';
create index attempt_unknown on attempt (tenant) where state = 'UNKNOWN';

-- Evidence: no update and no delete path.
create table gate_decision (
    tenant text not null,
    decision_id text not null,
    contact_id text not null,
    phase text not null,
    answer text not null,
    rule_ids text[] not null,
    pack_versions text[] not null,
    input_sha256 text not null,
    input text not null,
    decision text not null,
    evaluated_at timestamptz not null,
    recorded_at timestamptz not null default now(),
    primary key (tenant, decision_id)
);
create index gate_decision_contact on gate_decision (tenant, contact_id);
create function refuse_change() returns trigger language plpgsql as $$
begin
    raise exception '% is append-only', tg_table_name;
end
$$;
create trigger gate_decision_append_only before update or delete on gate_decision
    for each row execute function refuse_change();

create table idempotency (
    tenant text not null,
    key text not null,
    request_hash bytea not null,
    response bytea,
    created_at timestamptz not null default now(),
    primary key (tenant, key)
);

-- address '' = the debtor altogether (a stop).
create table suppression (
    tenant text not null,
    debtor_id text not null,
    address text not null,
    reason text not null,
    evidence_ref text not null,
    since timestamptz not null default now(),
    primary key (tenant, debtor_id, address, reason)
);

create table message (
    tenant text not null,
    message_id text not null,
    contact_id text not null,
    debtor_id text not null,
    channel text not null,
    body text not null,
    stopped boolean not null,
    received_at timestamptz not null,
    primary key (tenant, message_id)
);

-- scope_id '' with scope 'all'. The newest row of a scope is what holds; older ones are the history.
create table kill_switch (
    seq bigint generated always as identity primary key,
    scope text not null check (scope in ('all', 'tenant')),
    scope_id text not null,
    is_on boolean not null,
    set_by text not null,
    reason text not null,
    at timestamptz not null
);
create index kill_switch_scope on kill_switch (scope, scope_id, seq desc);
"""


def upgrade() -> None:
    """Everything the first version needs."""
    for part in (RUNTIME_SCHEMA, _LEDGER_VIEW, _CONTACTS):
        op.execute(part)

"""The first schema: debtor view, cases, treatments, decisions, work items, calls to the gateway."""

from __future__ import annotations

from alembic import op
from duly_runtime.schema import RUNTIME_SCHEMA

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_VIEW = """
create table debtor (
    tenant text not null,
    debtor_id text not null,
    key_hash bigint not null,               -- murmur2 of the message key; partition and slice follow from it
    "partition" int not null,
    ledger_version bigint not null default -1,
    kind text not null default 'UNKNOWN',
    country text not null default '',
    zones text[] not null default '{}',
    party_version text not null default '',
    contact_points jsonb not null default '[]',   -- [id, channel, verified]: never an address
    address_refused text not null default '',
    stopped boolean not null default false,
    drift boolean not null default false,
    degraded boolean not null default false,
    unusable_here boolean not null default false,
    score_id text,
    score_date date,
    score_role text not null default '',
    score_band text not null default '',
    score_ledger_version bigint not null default -1,
    score_reasons text[] not null default '{}',
    primary key (tenant, debtor_id)
);
create index debtor_partition on debtor (tenant, "partition", debtor_id);

create table invoice (
    tenant text not null,
    debtor_id text not null,
    invoice_id text not null,
    known boolean not null,
    due_date date,
    currency text not null,
    total_minor bigint not null,
    source_version text not null,
    voided boolean not null,
    disputed_minor bigint not null,
    dispute_on text not null,
    dispute_version text not null,
    dispute_resolved boolean not null,
    allocations jsonb not null,
    write_offs jsonb not null,
    open_minor bigint not null check (open_minor >= 0),
    disputed_open_minor bigint not null,
    step_sent int not null default 0,
    step_handed int not null default 0,
    overdue_since date,
    case_id text not null default '',
    primary key (tenant, debtor_id, invoice_id)
);
create index invoice_open on invoice (tenant, debtor_id, due_date) where open_minor > 0;

create table source (
    tenant text not null,
    debtor_id text not null,
    source_id text not null,
    known boolean not null,
    currency text not null,
    amount_minor bigint not null,
    voided boolean not null,
    reversals jsonb not null,
    used_minor bigint not null,
    unapplied_minor bigint not null,
    primary key (tenant, debtor_id, source_id)
);
create index source_unapplied on source (tenant, debtor_id) where unapplied_minor > 0;

create table tick (
    tenant text not null,
    "partition" int not null,
    slice int not null,
    business_date date not null,
    instant timestamptz not null,
    primary key (tenant, "partition", slice)
);

create table kill_switch (
    scope text not null,
    scope_id text not null,
    is_on boolean not null,
    primary key (scope, scope_id)
);
"""

_DECISIONS = """
create table debt_case (
    tenant text not null,
    case_id text not null,
    debtor_id text not null,
    episode int not null,
    opened_on date not null,
    closed_on date,
    primary key (tenant, case_id),
    unique (tenant, debtor_id, episode)
);
create index debt_case_open on debt_case (tenant, debtor_id) where closed_on is null;

create table treatment (
    tenant text not null,
    treatment_id text not null,
    contact_id text not null,
    case_id text not null,
    debtor_id text not null,
    business_date date not null,
    step_no int not null,
    action text not null,
    channel text not null,
    contact_point_id text not null,
    template_id text not null,
    invoice_ids text[] not null,
    steps_reached jsonb not null,
    autonomy text not null,
    stage text not null,
    score_id text not null,
    risk_band text not null,
    strategy_version text not null,
    rule_ids text[] not null,
    pack_versions text[] not null,
    reasons text[] not null,
    decision_id text not null,
    planned_at timestamptz not null,
    not_after timestamptz not null,
    ledger_version bigint not null,
    state text not null,
    until timestamptz,
    cancel_reason text,
    cause_event_id text,
    primary key (tenant, treatment_id),
    unique (tenant, contact_id)
);
create index treatment_waiting on treatment (tenant, debtor_id)
    where state in ('PLANNED', 'REQUESTED', 'WAITING', 'HELD');

-- Evidence: inserted, never changed. `input` is the canonical JSON that `input_sha256` was taken of.
create table decision (
    tenant text not null,
    decision_id text not null,
    treatment_id text not null,
    debtor_id text not null,
    case_id text not null,
    step_no int not null,
    business_date date not null,
    answer text not null,
    rule_ids text[] not null,
    reasons text[] not null,
    pack_versions text[] not null,
    strategy_version text not null,
    evaluator_version text not null,
    tzdata_version text not null,
    score_id text not null,
    input text not null,
    input_sha256 text not null,
    evaluated_at timestamptz not null,
    primary key (tenant, decision_id),
    unique (tenant, treatment_id, answer)
);

create table contact_attempt (
    tenant text not null,
    attempt_id text not null,
    debtor_id text not null,
    contact_id text not null,
    at timestamptz not null,
    channel text not null,
    outcome text not null,
    primary key (tenant, attempt_id)
);
create index contact_attempt_recent on contact_attempt (tenant, debtor_id, at);

create table work_item (
    tenant text not null,
    work_item_id text not null,
    debtor_id text not null,
    kind text not null,
    treatment_id text not null,
    reasons text[] not null,
    due date,
    primary key (tenant, work_item_id)
);

create table gateway_call (
    seq bigint generated always as identity primary key,
    tenant text not null,
    idempotency_key text not null,
    kind text not null,
    debtor_id text not null,
    contact_id text not null,
    payload bytea not null,
    traceparent text not null,
    state text not null default 'DUE',      -- DUE, DONE, DROPPED
    attempts int not null default 0,
    next_attempt_at timestamptz not null default '-infinity',
    lease_owner text,
    lease_until timestamptz,
    answer text not null default '',
    unique (tenant, idempotency_key)
);
create index gateway_call_due on gateway_call (seq) where state = 'DUE';
create index gateway_call_under_way on gateway_call (tenant, debtor_id) where state = 'DUE' or lease_until is not null;
create index gateway_call_contact on gateway_call (tenant, contact_id);
"""


def upgrade() -> None:
    for part in (RUNTIME_SCHEMA, _VIEW, _DECISIONS):
        op.execute(part)

"""Tables of every service with a database: inbox, outbox, consumer positions, policy clock."""

from __future__ import annotations

RUNTIME_SCHEMA = """
create table inbox (
    consumer text not null,
    event_id text not null,
    topic text not null,
    "partition" int not null,
    "offset" bigint not null,
    received_at timestamptz not null default now(),
    primary key (consumer, event_id)
);
create index inbox_received_at on inbox (received_at);

create table consumer_position (
    consumer text not null,
    topic text not null,
    "partition" int not null,
    next_offset bigint not null,
    primary key (consumer, topic, "partition")
);

-- Column names of the Debezium outbox router, which can replace the relay.
create table outbox (
    id text not null,
    aggregatetype text not null,
    aggregateid bytea not null,
    type text not null,
    payload bytea not null,
    headers jsonb not null,
    "partition" int,
    shard smallint not null,
    seq bigint generated always as identity,
    created_at timestamptz not null default now(),
    sent_at timestamptz,
    primary key (id, aggregatetype)
);
create index outbox_unsent on outbox (shard, seq) where sent_at is null;
create index outbox_sent_at on outbox (sent_at) where sent_at is not null;

create table outbox_shard (shard smallint primary key);
insert into outbox_shard select generate_series(0, 15);

create table policy_clock (
    single boolean primary key default true check (single),
    instant timestamptz not null
);
"""

# Events that were put aside and have not been used since: a debtor is marked while there are any of its key.
WAITING_EVENTS_SCHEMA = """
create table waiting_event (
    consumer text not null,
    event_id text not null,
    key bytea not null,
    since timestamptz not null default now(),
    primary key (consumer, event_id, key)
);
create index waiting_event_key on waiting_event (consumer, key);
"""

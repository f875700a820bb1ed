"""Gathers the evidence of a run that has settled: topics, states, the mirror, the e-mails."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date

import httpx
from duly_contracts.keys import split_key
from duly_contracts.topics import topics
from duly_ledger_export import DatedFact

from duly_cli.checks.evidence import Evidence
from duly_cli.checks.mails import read_maildir
from duly_cli.checks.mirror import read_mirror
from duly_cli.checks.topics import Event, read_events, read_topic
from duly_cli.stack.local import LocalStack
from duly_cli.stack.services import SERVICE_NAMES, SERVICES

EVENT_TOPICS = (
    "ingress-raw",
    "ledger-events",
    "risk-scores",
    "outreach-events",
    "contact-events",
    "inbound-messages",
    "model-control",
)
CHANGELOG = "scoring-debtors-changelog"


def collect(stack: LocalStack, facts: Sequence[DatedFact], time_zone: str, until: date) -> Evidence:
    """Everything the checks look at. Raises what the readers raise."""
    broker = stack.kafka.bootstrap_servers
    events: dict[str, list[Event]] = {topic: read_events(broker, topic) for topic in EVENT_TOPICS}
    ledger_sync = next(service for service in SERVICES if service.name == "ledger-sync")
    dsn = stack.postgres.dsn(ledger_sync.role, stack.credentials.password(ledger_sync.name))
    return Evidence(
        tenant=stack.tenant,
        time_zone=time_zone,
        facts=facts,
        until=until,
        events=events,
        states=newest_states(broker, stack.tenant),
        mirror=read_mirror(dsn, stack.tenant),
        mails=read_maildir(stack.run.maildir),
        dead_letters={name: _count(broker, name) for name in topics() if name.endswith("-dlq")},
        leftovers=_leftovers(stack),
    )


def newest_states(bootstrap_servers: str, tenant: str) -> dict[str, bytes]:
    """Debtor -> its last blob in the changelog."""
    states: dict[str, bytes] = {}
    for record in read_topic(bootstrap_servers, CHANGELOG):
        owner, debtor = split_key(record.key)
        if owner == tenant:
            states[debtor] = record.value
    return {debtor: blob for debtor, blob in states.items() if blob}


def _count(bootstrap_servers: str, topic: str) -> int:
    return sum(1 for _ in read_topic(bootstrap_servers, topic))


def _leftovers(stack: LocalStack) -> Mapping[str, int]:
    """Unsent outbox rows and due work by service."""
    left = {}
    for name in SERVICE_NAMES:
        status = httpx.get(f"{stack.url(name, 'admin')}/status", timeout=5.0, trust_env=False).json()
        left[name] = int(status["outbox"]) + int(status["work"])
    return left

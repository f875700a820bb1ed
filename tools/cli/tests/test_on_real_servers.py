"""The readers of the checks against a real broker and a real mirror."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime

import psycopg
import pytest
from duly_cli.checks.mirror import MirrorInvoice, MirrorSource, read_mirror
from duly_cli.checks.topics import read_events, read_topic
from duly_cli.stack.topics import ensure_topics
from duly_contracts.envelope import Envelope
from duly_contracts.events import encode
from duly_contracts.keys import debtor_key
from duly_contracts.topics import topics
from duly_runtime.kafka_log import KafkaLog

from duly.risk.v1 import events_pb2 as risk

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)
FACT = """
insert into ledger_fact (tenant, debtor_id, aspect, thing_id, version, rank, digest, invoice_id, source_aspect,
    source_id, amount_minor, discount_minor, currency, on_date, due_date, fact_id, event_type, content)
values ('demo', 'D-1', %s, %s, '1', 0, '', %s, %s, %s, %s, %s, 'USD', '2026-01-10', '2026-02-10', %s, '', '')
"""


@pytest.mark.kafka
def test_a_topic_is_read_whole_and_an_empty_one_ends_at_once(kafka_bootstrap):
    producer = KafkaLog(kafka_bootstrap).producer("test")
    for number in range(50):
        debtor = f"D-{number}"
        message = risk.RiskScoreUpdated(score_id=str(number), debtor_id=debtor, business_date="2026-03-04")
        envelope = Envelope(str(number), "duly.risk.score_updated.v1", "test", debtor, NOON, "demo", causation_id="c")
        key = debtor_key("demo", debtor)
        producer.send("risk-scores", key, encode(message), envelope.to_headers()).result(30)
    producer.close()
    events = read_events(kafka_bootstrap, "risk-scores")
    assert {(event.id, event.debtor_id, event.name) for event in events} == {
        (str(number), f"D-{number}", "risk.score_updated") for number in range(50)
    }
    assert list(read_topic(kafka_bootstrap, "contact-events")) == []


@pytest.mark.kafka
def test_making_the_topics_again_changes_nothing(kafka_bootstrap):
    assert ensure_topics(kafka_bootstrap) == len(topics())


@pytest.fixture
def mirror_dsn(pg_dsn):
    """A database with the schema of ledger-sync."""
    env = {
        **os.environ,
        "DATABASE_URL": pg_dsn,
        "KAFKA_BOOTSTRAP_SERVERS": "unused:1",
        "DULY_LEDGER_SYNC_JWKS_FILE": "unused",
    }
    subprocess.run([sys.executable, "-m", "ledger_sync.bootstrap", "migrate"], env=env, check=True, timeout=60)
    return pg_dsn


@pytest.mark.postgres
def test_the_mirror_is_read_with_allocations_reversals_disputes_and_write_offs(mirror_dsn):
    rows = [
        ("invoice", "I-1", "I-1", None, None, 10_000, 0),
        ("dispute", "I-1", "I-1", None, None, 10_000, 0),
        ("payment", "P-1", "", None, None, 6_000, 0),
        ("allocation", "A-1", "I-1", "payment", "P-1", 5_000, 100),
        ("write_off", "W-1", "I-1", None, None, 900, 0),
        ("payment", "P-2", "", None, None, 4_000, 0),
        ("payment_reversal", "R-2", "", "payment", "P-2", 4_000, 0),
        ("allocation", "A-2", "I-1", "payment", "P-2", 4_000, 0),
        ("credit_note", "C-1", "", None, None, 700, 0),
    ]
    with psycopg.connect(mirror_dsn) as connection:
        for row in rows:
            connection.execute(FACT, (*row, f"fact of {row[0]} {row[1]}"))
    mirror = read_mirror(mirror_dsn, "demo")
    assert mirror.invoices == {
        "I-1": MirrorInvoice("I-1", "D-1", "USD", 10_000, 4_000, 4_000, 5_100, 900, "2026-02-10", False)
    }
    assert mirror.sources == {
        "P-1": MirrorSource("P-1", "D-1", "USD", 6_000, 0, 5_000, False),
        "P-2": MirrorSource("P-2", "D-1", "USD", 4_000, 4_000, 0, False),
        "C-1": MirrorSource("C-1", "D-1", "USD", 700, 0, 0, True),
    }
    assert mirror.quarantined == 0
    assert read_mirror(mirror_dsn, "other").invoices == {}

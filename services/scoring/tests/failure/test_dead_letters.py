"""`duly dlq` against a real worker: put aside by an older version, replayed to the newer one, restored."""

from __future__ import annotations

import subprocess
import sys
from datetime import date, timedelta
from typing import Any

import pytest
from duly_chaos.broker import CHANGELOG, DLQ, LEDGER, SCORES
from duly_chaos.campaign import PARTITIONS
from duly_chaos.checker import table_of
from duly_chaos.ledger_log import TENANT, Ledger
from duly_chaos.worker import Kind, kinds
from duly_contracts.keys import debtor_key, partition_of
from duly_risk.codec import decode_state

from duly.ledger.v1 import events_pb2 as ledger

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(900)]
DAY = date(2031, 3, 3)
KEY = debtor_key(TENANT, "D-1")
FEE = ledger.WRITE_OFF_REASON_FEE


@pytest.fixture
def kind() -> Kind:
    """What is done with poison is the step's; the shells only carry it."""
    return kinds()[0]


def duly(broker: Any, *arguments: str) -> str:
    command = [sys.executable, "-m", "duly_cli.main", "dlq", *arguments, "--kafka", broker.bootstrap]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def types(broker: Any) -> list[str]:
    return [dict(record.headers)["ce_type"].decode().split(".")[2] for record in broker.read(SCORES)]


def test_an_enum_of_a_newer_version_degrades_replayed_to_that_version_it_restores_and_the_rest_is_dismissed(
    broker: Any, worker: Any
) -> None:
    book = Ledger(PARTITIONS)
    book.invoice("D-1", "I-1", DAY)
    newer = book.write_off("D-1", "I-1", DAY, reason=FEE)
    broken = book.write_off("D-1", "I-1", DAY + timedelta(days=1), reason=99)
    broker.send(book.records)
    worker.start([f"unknown-enum:{FEE}"])
    worker.until_applied(book.ends)
    assert worker.stop() == 0
    assert types(broker) == ["score_updated", "debtor_degraded", "debtor_degraded"]
    first, second = broker.read(DLQ)
    listed = duly(broker, "list")
    assert "2 dead letters." in listed
    assert listed.count("event_undecodable") == 2

    partition, home = first.partition, partition_of(KEY, PARTITIONS)
    worker.start()
    ids = [f"{DLQ}/{partition}/{letter.offset}" for letter in (first, second)]
    assert "would go to ledger-events partition" in duly(broker, "replay", ids[0], "--dry-run")
    assert broker.read(LEDGER)[-1].offset + 1 == len(book.records)
    assert "1 records sent for 1 dead letters" in duly(broker, "replay", ids[0])
    worker.until_applied({home: 4})
    again = broker.read(LEDGER)[-1]
    assert (again.key, again.value, again.headers) == (newer.key, newer.value, newer.headers)
    assert types(broker)[3:] == ["score_updated"]  # one event is still waited for

    duly(broker, "dismiss", dict(broken.headers)["ce_id"].decode(), "--because", "sent by a test system")
    worker.until_applied({home: 5})
    assert types(broker)[4:] == ["debtor_restored", "score_updated"]
    assert "2 dead letters." in duly(broker, "list")
    assert "Nothing to send" in duly(broker, "replay", "--reason", "event_undecodable")
    assert duly(broker, "list", "--topic", "ledger-events").count("yes") == 2

    duly(broker, "replay", ids[0])  # again and again is harmless
    worker.until_applied({home: 6})
    assert worker.stop() == 0
    assert types(broker)[6:] == []
    state = decode_state(table_of(broker.read(CHANGELOG))[KEY].value)
    assert state.degraded_event_ids == ()
    assert [write_off.amount_minor for write_off in state.invoices["I-1"].write_offs] == [1]

"""F1, F7: what nobody can use costs its debtor a mark, and nothing else."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest
from duly_chaos.broker import CHANGELOG, DLQ, SCORES
from duly_chaos.campaign import PARTITIONS
from duly_chaos.checker import table_of
from duly_chaos.ledger_log import TENANT, Ledger, play
from duly_chaos.worker import Kind, kinds
from duly_contracts.keys import debtor_key
from duly_risk.codec import decode_state
from duly_risk.fallback import RulesModel
from duly_runtime.log import Record
from scoring.adapters.memory import OneModel
from scoring.application.pure_fold import pure_fold
from scoring.application.score_batch import BLOB_BYTES_MAX

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(900)]
DAY = date(2031, 3, 3)


@pytest.fixture
def kind() -> Kind:
    """What is done with poison is the step's; the shells only carry it."""
    return kinds()[0]


def states(broker: Any) -> dict[bytes, Any]:
    return {key: decode_state(record.value) for key, record in table_of(broker.read(CHANGELOG)).items()}


def types(broker: Any, key: bytes) -> list[str]:
    return [dict(record.headers)["ce_type"].decode() for record in broker.read(SCORES) if record.key == key]


def test_f1_an_event_that_the_fold_cannot_bear_is_put_aside_kept_over_a_restart_and_comes_right_when_it_comes_again(
    broker: Any, worker: Any
) -> None:
    book = play(41, 20, 20, live_days=10, disturbed=False, partitions=PARTITIONS)
    key = debtor_key(TENANT, "D-X")
    facts = [book.invoice("D-X", f"X-{number}", DAY + timedelta(days=30)) for number in range(3)]
    event_id = dict(facts[1].headers)["ce_id"].decode()
    broker.send(book.records)
    worker.start([f"fold-raises:{event_id}"])
    worker.until_applied(book.ends)
    assert worker.stop() == 0
    assert types(broker, key) == [
        "duly.risk.score_updated.v1",
        "duly.risk.debtor_degraded.v1",
        "duly.risk.score_updated.v1",
    ]

    worker.start()
    worker.until_applied(book.ends)
    assert states(broker)[key].degraded_event_ids == (event_id,)
    (letter,) = broker.read(DLQ)
    assert (letter.value, dict(letter.headers)["dlq_reason"]) == (facts[1].value, b"fold_failed")

    broker.send([book.again(facts[1])])
    worker.until_applied(book.ends)
    assert worker.stop() == 0
    assert types(broker, key)[3:] == ["duly.risk.debtor_restored.v1", "duly.risk.score_updated.v1"]
    assert states(broker)[key].degraded_event_ids == ()
    assert states(broker)[key].invoices.keys() == {"X-0", "X-1", "X-2"}
    expected = pure_fold(book.records, OneModel(RulesModel()), book.partitions).states
    found = states(broker)
    assert {name: found[name] for name in expected if name != key} == {
        name: state for name, state in expected.items() if name != key
    }


def test_f7_a_debtor_that_grows_too_large_is_degraded_and_every_event_of_it_is_accounted_for(
    broker: Any, worker: Any
) -> None:
    book = Ledger(PARTITIONS)
    key, count = debtor_key(TENANT, "D-BIG"), BLOB_BYTES_MAX // 20_000 + 10
    for number in range(count):
        book.invoice("D-BIG", f"{number}-" + "9" * 20_000, DAY)
        book.invoice("D-SMALL", f"S-{number}", DAY)
    book.tick(DAY + timedelta(days=1))
    broker.send(book.records)
    worker.start()
    worker.until_applied(book.ends)
    assert worker.stop() == 0

    table, letters = table_of(broker.read(CHANGELOG)), broker.read(DLQ)
    assert len(table[key].value) <= BLOB_BYTES_MAX
    big, small = (decode_state(table[debtor_key(TENANT, name)].value) for name in ("D-BIG", "D-SMALL"))
    assert len(big.invoices) + len(letters) == count
    assert {dict(letter.headers)["dlq_reason"] for letter in letters} == {b"oversize"}
    assert {dict(letter.headers)["ce_id"].decode() for letter in letters} == set(big.degraded_event_ids)
    assert len(small.invoices) == count
    assert broker.committed(PARTITIONS) == book.ends

    worker.start()  # no crash loop over what was put aside
    worker.until_applied(book.ends)
    assert len(broker.read(DLQ)) == len(letters)


def test_f7_a_state_nobody_can_read_degrades_its_debtor_keeps_its_bytes_and_stops_nobody(
    broker: Any, worker: Any
) -> None:
    book = Ledger(PARTITIONS)
    first = [book.invoice(name, f"{name}-1", DAY) for name in ("D-BAD", "D-GOOD")]
    broker.send(book.records)
    worker.start()
    worker.until_applied(book.ends)
    assert worker.stop() == 0
    key, good = debtor_key(TENANT, "D-BAD"), debtor_key(TENANT, "D-GOOD")
    garbage, home = b"\xff\xff\xff", first[0].partition
    written = sum(record.partition == home for record in broker.read(CHANGELOG))
    broker.send([Record(CHANGELOG, home, written, key, garbage, ())])

    later = book.tick(DAY + timedelta(days=1))
    later += [book.invoice(name, f"{name}-2", DAY) for name in ("D-BAD", "D-GOOD")]
    broker.send(later)
    worker.start()
    worker.until_applied(book.ends)
    letters = broker.read(DLQ)
    assert [dict(letter.headers)["dlq_reason"] for letter in letters] == [b"state_unreadable"] * 2  # the tick, the fact
    assert types(broker, key)[-2:] == ["duly.risk.debtor_degraded.v1"] * 2
    assert types(broker, good) == ["duly.risk.score_updated.v1"] * 3
    newest = {record.key: record.value for record in broker.read(CHANGELOG)}
    assert decode_state(newest[key]).unreadable == garbage

    worker.kill()
    worker.start()  # no crash loop, and nothing is told twice
    worker.until_applied(book.ends)
    assert len(broker.read(DLQ)) == 2


def test_f7_garbage_unknown_enums_and_broken_ticks_stop_nobody(broker: Any, worker: Any, nothing_lost: Any) -> None:
    book = play(43, 30, 60, live_days=40, partitions=PARTITIONS)
    broker.send(book.records)
    worker.start()
    worker.until_applied(book.ends)
    assert worker.stop() == 0
    nothing_lost(book)
    assert {dict(letter.headers)["dlq_reason"] for letter in broker.read(DLQ)} == {
        b"event_undecodable",
        b"envelope_invalid",
    }

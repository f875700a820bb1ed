"""The loop of the scenario tests does what the worker does."""

from __future__ import annotations

from datetime import date
from typing import Any

from duly_contracts.topics import topics
from scoring.bootstrap import build_memory


def test_it_scores_what_the_log_holds_and_reports_how_far_it_is(memory_log: Any, book: Any, rules: Any) -> None:
    book.invoice("D-1", "INV-1", date(2031, 3, 3))
    producer = memory_log.producer("test")
    for record in book.records:
        producer.send(record.topic, record.key, record.value, record.headers, record.partition)
    stream = build_memory(memory_log, rules)
    assert stream.name == "stream"
    assert stream.step(0.0) is True
    assert stream.step(0.0) is False
    (score,) = memory_log.records("risk-scores")
    assert dict(score.headers)["ce_type"] == b"duly.risk.score_updated.v1"
    positions, in_work = stream.positions.snapshot()
    assert positions == {p: book.ends.get(p, 0) for p in range(topics()["ledger-events"].partitions)}
    assert in_work == 0

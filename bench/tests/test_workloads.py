"""What the benches measure with: the ledgers, the segments, the steps of a stage."""

from __future__ import annotations

import pytest
from duly_cli.steps import Step
from duly_risk.fallback import RulesModel
from scoring.adapters.memory import OneModel
from scoring.application.outputs import SCORE_UPDATED
from scoring.application.pure_fold import pure_fold

from bench.__main__ import CASES, EXIT_USAGE, parse
from bench.cases.scoring import rates_of
from bench.company import (
    CONTACT_TIME,
    TODAY,
    OneInvoiceEach,
    instant_of,
    ledger_records,
    overdue_invoice,
    tick_records,
)
from bench.stage import needed

PARTITIONS = 12


def test_each_live_fact_of_each_tenant_gives_one_score() -> None:
    records = ledger_records(OneInvoiceEach("t", debtors=3).history(), ["a", "b"], backfill=False)
    folded = pure_fold(records, OneModel(RulesModel()), PARTITIONS)
    assert len(records) == 12
    assert len(folded.states) == 6
    assert [output.topic for output in folded.outputs] == ["risk-scores"] * 12
    assert {dict(output.headers)["ce_type"].decode() for output in folded.outputs} == {SCORE_UPDATED.type}


def test_offsets_count_from_zero_in_every_partition() -> None:
    records = ledger_records(OneInvoiceEach("t", debtors=20).history(), ["a"], backfill=True)
    for partition in range(PARTITIONS):
        offsets = [record.offset for record in records if record.partition == partition]
        assert offsets == list(range(len(offsets)))


def test_a_payment_settles_exactly_the_overdue_invoice() -> None:
    company = OneInvoiceEach("t", debtors=1)
    money, part = company.payment("D00000")
    assert (money.event, part.event) == ("payment.received", "allocation.applied")
    assert part.message.invoice_id == overdue_invoice("D00000")  # type: ignore[attr-defined]
    assert part.message.amount == money.message.amount  # type: ignore[attr-defined]


def test_a_tick_goes_to_every_partition_under_its_own_id() -> None:
    records = tick_records("t", instant_of(TODAY, CONTACT_TIME), backfill=False)
    assert [record.partition for record in records] == list(range(PARTITIONS))
    assert len({dict(record.headers)["ce_id"] for record in records}) == PARTITIONS


def test_segments_leave_the_warm_up_out_and_hold_equal_counts() -> None:
    slow_start = [(float(second), second) for second in range(11)]  # 1 event/s up to the warm-up's end
    steady = [(10.0 + step / 10, 10 + step) for step in range(1, 91)]  # 10 events/s after it
    assert rates_of([*slow_start, *steady], 100) == pytest.approx([10.0] * 8, rel=0.1)


def test_a_stage_starts_what_is_wanted_and_what_that_needs() -> None:
    steps = [Step("check", "", str), Step("kafka", "", str, ("check",)), Step("mlflow", "", str, ("check",))]
    steps.append(Step("topics", "", str, ("kafka",)))
    assert [step.name for step in needed(steps, {"topics"})] == ["check", "kafka", "topics"]


def test_an_unknown_bench_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(["nonsense"])
    assert ended.value.code == EXIT_USAGE
    told = capsys.readouterr().err
    assert all(name in told for name in CASES)


def test_a_base_port_without_room_is_a_usage_error() -> None:
    with pytest.raises(SystemExit) as ended:
        parse(["--base-port", "80"])
    assert ended.value.code == EXIT_USAGE

"""Each check of ledger and states: it holds on a good run and fails on one planted fault."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime

import pytest
from duly_cli.checks import ledger_checks, state_checks
from duly_cli.checks.run_checks import CHECKS, run_checks

from duly.ledger.v1 import events_pb2 as ledger


def test_a_good_run_passes_every_check(evidence):
    assert {check.name: check.shown for check in run_checks(evidence) if not check.passed} == {}


def test_every_check_has_a_name_of_its_own(evidence):
    assert len({check.name for check in run_checks(evidence)}) == len(CHECKS)


def test_a_fact_that_is_not_in_the_log_is_found(evidence):
    events = {**evidence.events, "ledger-events": evidence.events["ledger-events"][1:]}
    check = ledger_checks.every_fact_in_the_log(replace(evidence, events=events))
    assert (check.violations, check.passed) == (1, False)
    assert "is missing" in check.shown[0]


def test_a_fact_that_nobody_sent_is_found(world):
    world.add(ledger.InvoiceVoided(invoice_id="INV-1", debtor_id="D-1", on="2026-03-04"), "strange", "D-1")
    check = ledger_checks.every_fact_in_the_log(world.evidence())
    assert check.shown == ("invoice.voided of D-1 was never sent",)


def test_a_fact_under_another_debtors_key_is_found(world):
    moved = world.events["ledger-events"][0]
    record = replace(moved.record, key=b"demo|D-9")
    world.events["ledger-events"][0] = replace(moved, record=record)
    assert not ledger_checks.every_fact_in_the_log(world.evidence()).passed


def test_an_invoice_missing_in_the_mirror_is_found(evidence):
    rows = {id_: row for id_, row in evidence.mirror.invoices.items() if id_ != "INV-1"}
    changed = replace(evidence, mirror=replace(evidence.mirror, invoices=rows))
    assert ledger_checks.every_invoice_in_the_mirror(changed).shown == ("invoice INV-1 is missing",)
    assert not ledger_checks.balances_agree(changed).passed


@pytest.mark.parametrize(
    "changes", [{"total_minor": 9_999}, {"debtor_id": "D-2"}, {"currency": "EUR"}, {"due_date": "2026-02-21"}]
)
def test_an_invoice_that_differs_in_the_mirror_is_found(evidence, made, changes):
    assert not ledger_checks.every_invoice_in_the_mirror(made.with_invoice(evidence, "INV-1", **changes)).passed


def test_a_payment_missing_in_the_mirror_is_found(evidence):
    changed = replace(evidence, mirror=replace(evidence.mirror, sources={}))
    assert ledger_checks.every_payment_in_the_mirror(changed).shown == ("payment PAY-2 is missing",)


def test_a_wrong_balance_is_named_with_both_amounts(evidence, made):
    check = ledger_checks.balances_agree(made.with_invoice(evidence, "INV-1", open_minor=9_000))
    assert check.shown == ("D-1 owes 10000 minor units of USD, the mirror says 9000",)


def test_i1_an_invoice_that_does_not_add_up_is_found(evidence, made):
    assert not ledger_checks.invoices_add_up(made.with_invoice(evidence, "INV-1", open_minor=9_000)).passed
    assert not ledger_checks.invoices_add_up(made.with_invoice(evidence, "INV-1", voided=True)).passed


def test_i12_more_disputed_than_open_is_found(evidence, made):
    assert not ledger_checks.invoices_add_up(made.with_invoice(evidence, "INV-3", disputed_minor=7_001)).passed


def test_i2_a_payment_that_is_put_twice_is_found(evidence):
    source = replace(evidence.mirror.sources["PAY-2"], allocated_minor=6_000)
    changed = replace(evidence, mirror=replace(evidence.mirror, sources={"PAY-2": source}))
    assert not ledger_checks.payments_add_up(changed).passed


def test_i2_a_rest_that_the_input_does_not_know_is_found(evidence):
    source = replace(evidence.mirror.sources["PAY-2"], allocated_minor=4_000)
    changed = replace(evidence, mirror=replace(evidence.mirror, sources={"PAY-2": source}))
    assert not ledger_checks.payments_add_up(changed).passed


def test_i8_a_tick_that_goes_back_is_found(world):
    world.tick(date(2026, 3, 3), datetime(2026, 3, 3, 5, tzinfo=UTC))
    assert not ledger_checks.ticks_only_rise(world.evidence()).passed


def test_i8_a_partition_without_a_tick_is_found(world):
    events = world.events["ledger-events"]
    world.events["ledger-events"] = [event for event in events if event.id != "tick-030415-3"]
    assert ledger_checks.ticks_only_rise(world.evidence()).shown == ("partition 3 lacks 1 ticks",)


@pytest.mark.parametrize("changes", [{"dead_letters": {"risk-scores-dlq": 1}}, {"leftovers": {"outreach": 2}}])
def test_what_was_put_aside_or_left_is_found(evidence, changes):
    assert not ledger_checks.nothing_put_aside(replace(evidence, **changes)).passed


def test_a_quarantined_event_is_found(evidence):
    changed = replace(evidence, mirror=replace(evidence.mirror, quarantined=1))
    assert not ledger_checks.nothing_put_aside(changed).passed


def test_drift_that_stays_is_found_and_drift_that_was_cleared_is_not(world):
    world.add(ledger.LedgerDriftDetected(debtor_id="D-1"), "drift", "D-1")
    assert not ledger_checks.nothing_put_aside(world.evidence()).passed
    world.add(ledger.LedgerDriftCleared(debtor_id="D-1"), "clear", "D-1")
    assert ledger_checks.nothing_put_aside(world.evidence()).passed


def test_one_id_with_two_contents_is_found_and_a_plain_repetition_is_not(world, made):
    world.add(made.score(), "score-1", "D-1")
    assert ledger_checks.equal_ids_equal_bytes(world.evidence()).passed
    world.add(made.score(version=8), "score-1", "D-1")
    assert not ledger_checks.equal_ids_equal_bytes(world.evidence()).passed


def test_a_fact_counted_twice_or_not_at_all_is_found(evidence, made):
    for facts in (4, 6):
        changed = made.with_state(evidence, "D-1", made.state("D-1", facts))
        assert state_checks.each_fact_counted_once(changed).shown == (f"D-1: 5 facts in the log, {facts} applied",)


def test_a_fact_that_was_written_twice_counts_once(world):
    first = world.events["ledger-events"][0]
    world.events["ledger-events"].append(replace(first, record=replace(first.record, offset=99)))
    assert state_checks.each_fact_counted_once(world.evidence()).passed


def test_an_open_amount_that_differs_in_the_state_is_found(evidence, made):
    message = made.state("D-1", 5)
    message.invoices[0].write_offs.add(write_off_id="WO", amount_minor=1)
    assert not state_checks.states_hold_open_invoices(made.with_state(evidence, "D-1", message)).passed


def test_a_state_behind_the_last_day_is_found(evidence, made):
    message = made.state("D-1", 5)
    message.tick_day -= 1
    assert not state_checks.states_reached_the_last_day(made.with_state(evidence, "D-1", message)).passed


def test_a_degraded_debtor_is_found(evidence, made):
    message = made.state("D-1", 5)
    message.degraded_event_ids.append("x")
    assert not state_checks.states_reached_the_last_day(made.with_state(evidence, "D-1", message)).passed

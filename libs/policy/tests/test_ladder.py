"""The reminder ladder by acceptance test (AT-nn) and by law."""

from datetime import date, timedelta
from itertools import permutations

import pytest
from duly_policy import (
    Autonomy,
    Band,
    Channel,
    LadderDebt,
    LadderInput,
    LadderStep,
    Stage,
    Strategy,
    load_strategy,
    next_step,
)
from hypothesis import given
from hypothesis import strategies as st

TODAY = date(2026, 6, 1)
STRATEGY = load_strategy("reminder-ladder")


def debt(invoice_id="INV-1", dpd=0, sent=0, claimable=10_000, currency="EUR"):
    return LadderDebt(invoice_id, currency, TODAY - timedelta(days=dpd), claimable, sent)


def decide(*debts, band=Band.MEDIUM, strategy=STRATEGY):
    return next_step(LadderInput(TODAY, band, debts), strategy)


@pytest.mark.parametrize(
    ("band", "dpds"),
    [("LOW", (5, 14, 30, 45)), ("MEDIUM", (3, 10, 21, 35)), ("HIGH", (1, 7, 14, 28)), ("CRITICAL", (1, 5, 10, 20))],
)
def test_each_band_has_its_own_timing(band, dpds):
    for no, dpd in enumerate(dpds, start=1):
        due = decide(debt(dpd=dpd, sent=no - 1), band=Band(band))
        assert (due.step.no, due.step.dpd, due.rule_ids) == (no, dpd, (f"LADDER-{no}",))
        assert decide(debt(dpd=dpd - 1, sent=no - 1), band=Band(band)).step is None


def test_in_stage_reminders_the_band_is_not_looked_at():
    plain = STRATEGY.in_stage(Stage.REMINDERS)

    assert {decide(debt(dpd=3), band=band, strategy=plain).step.no for band in Band} == {1}
    assert {decide(debt(dpd=2), band=band, strategy=plain).step for band in Band} == {None}


def test_tones_rise_and_only_reminders_go_out_without_a_person():
    steps = STRATEGY.timing(Band.HIGH)

    assert [step.tone for step in steps] == ["friendly", "neutral", "firm", "personal"]
    assert [step.template for step in steps[:3]] == ["reminder-friendly", "reminder-neutral", "reminder-firm"]
    assert [STRATEGY.autonomy_of(step.action) for step in steps] == [Autonomy.AUTO] * 3 + [Autonomy.APPROVE]
    assert STRATEGY.autonomy_of("write_off") is Autonomy.APPROVE


def test_at_01_a_missed_run_sends_only_the_latest_step():
    due = decide(debt(dpd=13))

    assert (due.step.no, due.steps_reached) == (2, {"INV-1": 2})


def test_at_09_reminding_one_invoice_leaves_the_other_on_its_own_step():
    due = decide(debt("A", dpd=21, sent=2), debt("B", dpd=4), debt("C", dpd=12, sent=2), debt("D", dpd=1))

    assert due.step.no == 3
    assert due.steps_reached == {"A": 3, "B": 1}
    assert due.invoice_ids == ("A", "C", "B", "D")


def test_at_09_a_part_payment_keeps_the_step():
    assert decide(debt(dpd=12, sent=2, claimable=1)).step is None
    assert decide(debt(dpd=21, sent=2, claimable=1)).step.no == 3


def test_at_12_five_invoices_in_two_currencies_are_one_contact():
    due = decide(*(debt(f"INV-{n}", dpd=3 + n, currency=("EUR", "USD")[n % 2]) for n in range(5)))

    assert due.step.no == 1
    assert due.invoice_ids == ("INV-4", "INV-3", "INV-2", "INV-1", "INV-0")


def test_at_13_after_the_old_invoice_is_paid_the_younger_one_is_on_its_own_step():
    due = decide(debt("OLD", dpd=70, sent=4, claimable=0), debt("NEW", dpd=10, sent=1))

    assert (due.step.no, due.invoice_ids) == (2, ("NEW",))


def test_at_14_the_ladder_ends_in_work_for_a_person():
    due = decide(debt(dpd=35, sent=3))

    assert (due.step.action, due.step.channel) == ("call_task", Channel.VOICE)
    assert decide(debt(dpd=300, sent=4)).step is None


def test_at_20_with_two_of_three_paid_every_order_of_rows_gives_the_same_notice():
    rows = (debt("A", dpd=10, claimable=0), debt("B", dpd=12, sent=1), debt("C", dpd=30, claimable=0))

    assert {repr(decide(*order)) for order in permutations(rows)} == {repr(decide(*rows))}
    assert decide(*rows).invoice_ids == ("B",)


def test_at_22_debts_in_two_currencies_keep_their_own_clocks():
    due = decide(debt("E", dpd=10, sent=2, currency="EUR"), debt("U", dpd=10, sent=1, currency="USD"))

    assert due.steps_reached == {"U": 2}


def test_at_23_an_import_at_61_days_enters_at_its_age():
    assert decide(debt(dpd=61)).step.no == 4


def test_at_24_cash_that_covers_the_debt_silences_the_ladder():
    silent = decide(debt(dpd=40, claimable=0), debt("B", dpd=40, claimable=-5))

    assert (silent.step, silent.invoice_ids, silent.steps_reached, silent.rule_ids) == (None, (), {}, ())
    assert silent.reasons == ("no overdue invoice has a claimable amount",)


def test_at_07_a_ladder_of_twelve_steps_works():
    steps = tuple(LadderStep(n, n * 5, "neutral", "t", Channel.EMAIL, "reminder") for n in range(1, 13))
    ids = {n: f"LONG-{n}" for n in range(1, 13)}
    day = date(2026, 1, 1)
    long = Strategy("long", "1", day, Stage.PREDICTIVE, dict.fromkeys(Band, steps), {}, Autonomy.APPROVE, ids)

    assert [decide(debt(dpd=n * 5, sent=n - 1), strategy=long).step.no for n in range(1, 13)] == list(range(1, 13))


def test_the_reason_names_invoice_age_and_step():
    assert decide(debt(dpd=11)).reasons == ("INV-1 is 11 days past due; step 2 (neutral) is due from 10",)


debts = st.builds(
    lambda n, dpd, sent, claimable: debt(f"INV-{n}", dpd, sent, claimable),
    st.integers(0, 99), st.integers(-30, 120), st.integers(0, 4), st.integers(-5, 5),
)  # fmt: skip


@given(st.lists(debts, max_size=6, unique_by=lambda one: one.invoice_id), st.sampled_from(Band))
def test_once_recorded_the_same_day_asks_for_nothing_more(rows, band):
    due = decide(*rows, band=band)
    reached = due.steps_reached
    after = [
        LadderDebt(d.invoice_id, d.currency, d.due_date, d.claimable_minor, reached.get(d.invoice_id, d.step_sent))
        for d in rows
    ]

    assert decide(*after, band=band).step is None


@given(st.lists(debts, max_size=6, unique_by=lambda one: one.invoice_id), st.sampled_from(Band))
def test_only_overdue_claimable_invoices_are_listed_and_the_step_is_the_highest_reached(rows, band):
    due = decide(*rows, band=band)
    if due.step is None:
        assert due.invoice_ids == ()
        return
    assert set(due.invoice_ids) == {d.invoice_id for d in rows if d.due_date < TODAY and d.claimable_minor > 0}
    assert due.step.no == max(due.steps_reached.values())
    assert set(due.steps_reached) <= set(due.invoice_ids)


@given(st.integers(1, 120), st.integers(0, 4))
def test_a_riskier_band_is_never_reminded_later(dpd, sent):
    due = [decide(debt(dpd=dpd, sent=sent), band=band).step for band in Band]
    numbers = [step.no if step else 0 for step in due]

    assert numbers == sorted(numbers)

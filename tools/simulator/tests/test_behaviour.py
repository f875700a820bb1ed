"""What debtors do on a day depends on who, what and when, never on the order of asking."""

from __future__ import annotations

import math
from datetime import date, timedelta

import pytest
from duly_simulator import behaviour
from duly_simulator.behaviour import OpenInvoice, Promise
from duly_simulator.books import Books
from duly_simulator.parameters import DebtorType, SimulationSettings
from duly_simulator.population import Debtor, draw_debtors

DUE = date(2026, 3, 2)  # a Monday
DEBTORS = {debtor.type: debtor for debtor in draw_debtors(SimulationSettings(debtors=100))}
INVOICE = OpenInvoice("INV-000001", DUE - timedelta(days=20), DUE, 10_000, 10_000)
WEDNESDAY = date(2026, 3, 11)


def debtor(kind: DebtorType) -> Debtor:
    return DEBTORS[kind]


def logit(chance: float) -> float:
    return math.log(chance / (1 - chance))


@pytest.mark.parametrize(
    "ages, effect",
    [
        ([1], 1.2),
        ([2], 0.8),
        ([3], 0.4),
        ([4], 0.0),
        ([0], 0.0),
        ([1, 10], 1.2 * 0.6),
        ([1, 2], 0.8 + 1.2 * 0.6),
        ([1, 20], 1.2),
    ],
)
def test_a_contact_raises_the_forgetful_debtors_logit_and_fades(ages: list[int], effect: float) -> None:
    contacts = [WEDNESDAY - timedelta(days=age) for age in ages]
    forgetful = debtor(DebtorType.FORGETFUL)
    without = behaviour.hazard(forgetful, INVOICE, WEDNESDAY, [])
    given = behaviour.hazard(forgetful, INVOICE, WEDNESDAY, contacts)
    assert logit(given) - logit(without) == pytest.approx(effect)


def test_contacts_are_wasted_on_some_and_turn_others_away() -> None:
    yesterday = WEDNESDAY - timedelta(days=1)
    for kind in (DebtorType.AUTOPILOT, DebtorType.INSOLVENT, DebtorType.DISPUTING):
        assert behaviour.contact_effect(kind, [yesterday], WEDNESDAY) == 0
    thrice = [WEDNESDAY - timedelta(days=age) for age in (9, 5, 1)]
    assert behaviour.contact_effect(DebtorType.REACTANT, thrice[2:], WEDNESDAY) == pytest.approx(0.4)
    assert behaviour.contact_effect(DebtorType.REACTANT, thrice, WEDNESDAY) == pytest.approx(-0.4 * 0.36)


def test_a_contact_moves_nothing_before_the_due_date() -> None:
    early = DUE - timedelta(days=3)
    forgetful = debtor(DebtorType.FORGETFUL)
    assert behaviour.hazard(forgetful, INVOICE, early, [early - timedelta(days=1)]) == behaviour.hazard(
        forgetful, INVOICE, early, []
    )


def test_a_disputed_invoice_is_never_paid() -> None:
    disputed = OpenInvoice("INV-000001", INVOICE.issue_date, DUE, 10_000, 10_000, disputed=True)
    for kind in DebtorType:
        assert behaviour.hazard(debtor(kind), disputed, WEDNESDAY, [WEDNESDAY - timedelta(days=1)]) == 0


def test_a_promise_is_kept_on_its_day_or_not_at_all() -> None:
    strategic, friday = debtor(DebtorType.STRATEGIC), date(2026, 3, 13)
    assert behaviour.hazard(strategic, INVOICE, friday, [], Promise(friday, kept=True)) > 0.9
    assert behaviour.hazard(strategic, INVOICE, friday, [], Promise(friday, kept=False)) < 0.1
    assert behaviour.hazard(strategic, INVOICE, WEDNESDAY, [], Promise(friday, kept=True)) < 0.1


@pytest.mark.parametrize(
    "day, friday", [("2026-03-11", "2026-03-13"), ("2026-03-13", "2026-03-20"), ("2026-03-14", "2026-03-20")]
)
def test_friday_is_the_next_one(day: str, friday: str) -> None:
    promise = behaviour.promise_in(1, debtor(DebtorType.STRATEGIC), "I will pay on Friday.", date.fromisoformat(day))
    assert promise is not None
    assert promise.on == date.fromisoformat(friday)
    assert behaviour.promise_in(1, debtor(DebtorType.STRATEGIC), "STOP", WEDNESDAY) is None


def test_a_strained_debtor_pays_in_parts_that_end() -> None:
    strained, open_minor, parts = debtor(DebtorType.STRAINED), 10_000, []
    for n in range(4000):
        day = DUE + timedelta(days=n)
        seen = OpenInvoice("INV-000001", INVOICE.issue_date, DUE, 10_000, open_minor)
        if open_minor and (paid := behaviour.payment_minor(1, strained, seen, day, [])):
            parts.append(paid)
            open_minor -= paid
    assert parts == [4_000, 6_000] or parts == [4_000, 4_000, 2_000]


def test_the_reactant_debtor_says_stop_from_the_second_message_on() -> None:
    reactant = debtor(DebtorType.REACTANT)
    days = [WEDNESDAY + timedelta(days=n) for n in range(60)]
    assert {behaviour.reply_to(1, reactant, day, [day]) for day in days} == {""}
    assert {behaviour.reply_to(1, reactant, day, [day - timedelta(days=7), day]) for day in days} == {"", "STOP"}


def test_decisions_do_not_depend_on_the_order_of_asking() -> None:
    forgetful = debtor(DebtorType.FORGETFUL)
    contacts = [WEDNESDAY - timedelta(days=2), WEDNESDAY - timedelta(days=9)]
    days = [DUE + timedelta(days=n) for n in range(40)]

    def decide(day: date, known: list[date]) -> tuple[int, str]:
        return behaviour.payment_minor(3, forgetful, INVOICE, day, known), behaviour.reply_to(3, forgetful, day, known)

    forward = {day: decide(day, contacts) for day in days}
    backward = {day: decide(day, contacts[::-1]) for day in reversed(days)}
    assert forward == backward


def test_contacts_bring_money_earlier_only_to_those_contacted() -> None:
    settings = SimulationSettings(debtors=40, history_from=date(2025, 9, 1), play_days=60)
    left_alone, reminded = Books(settings), Books(settings)
    forgetful = {d.id for d in left_alone.debtors.values() if d.type is DebtorType.FORGETFUL}
    alone, with_contacts = [], []
    day = settings.history_from
    while day <= settings.play_until:
        # Every week, and only the forgetful.
        contacts = {debtor_id: [day - timedelta(days=day.weekday() + 1)] for debtor_id in forgetful}
        alone += left_alone.facts_of_day(day, {})
        with_contacts += reminded.facts_of_day(day, contacts)
        day += timedelta(days=1)
    others = [fact for fact in alone if fact.debtor_id not in forgetful]
    assert others == [fact for fact in with_contacts if fact.debtor_id not in forgetful]

    def days_to_cash(facts: list[object]) -> int:
        return sum(
            (settings.play_until - fact.known_on).days  # type: ignore[attr-defined]
            for fact in facts
            if fact.event == "payment.received"  # type: ignore[attr-defined]
        )

    assert days_to_cash(with_contacts) > days_to_cash(alone)

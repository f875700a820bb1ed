"""The simulated company: the same for the same seed, and like its documented parameters."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import replace
from datetime import date
from functools import cache
from pathlib import Path
from statistics import fmean

import pytest
from duly_ledger_export import Ledger, read_ledger, write_ledger
from duly_ledger_export.records import PartyKind
from duly_simulator.books import Books
from duly_simulator.generate import days, generate, ledger_of, play_history
from duly_simulator.parameters import AMOUNT_SIGMA_DEBTOR, AMOUNT_SIGMA_INVOICE, DebtorType, SimulationSettings
from duly_simulator.population import draw_debtors, next_business_day

SMALL = SimulationSettings(debtors=20, history_from=date(2025, 9, 1), play_from=date(2026, 3, 1), play_days=30)


@cache
def default_ledger() -> Ledger:
    return generate(SimulationSettings())


def days_late(ledger: Ledger) -> dict[str, list[int]]:
    """Debtor -> days past due at which its settled invoices were settled by cash."""
    invoices = {invoice.invoice_id: invoice for invoice in ledger.records.invoices}
    settled: dict[str, date] = {}
    paid: Counter[str] = Counter()
    for part in ledger.records.allocations:
        if part.removed_on is None:
            paid[part.invoice_id] += part.amount.amount_minor
            settled[part.invoice_id] = max(part.on, settled.get(part.invoice_id, part.on))
    late = defaultdict(list)
    for invoice_id, on in settled.items():
        invoice = invoices[invoice_id]
        if paid[invoice_id] == invoice.total.amount_minor:
            late[invoice.debtor_id].append((on - invoice.due_date).days)
    return late


def test_equal_seeds_give_equal_ledgers_and_other_seeds_others() -> None:
    again = generate(SMALL)
    assert generate(SMALL).fingerprint == again.fingerprint
    assert generate(replace(SMALL, seed=2)).fingerprint != again.fingerprint


def test_the_default_ledger_has_the_documented_size() -> None:
    ledger = default_ledger()
    history = [invoice for invoice in ledger.records.invoices if invoice.issue_date < date(2026, 3, 1)]
    assert len(ledger.debtors()) == 150
    assert 3_500 <= len(ledger.records.invoices) <= 4_500
    assert 3_000 <= len(history) <= 3_600
    assert ledger.first_day == date(2024, 12, 1)
    assert ledger.until == date(2026, 5, 29)


def test_types_are_dealt_by_their_shares() -> None:
    types = Counter(debtor.type for debtor in draw_debtors(SimulationSettings(debtors=200)))
    assert types == {
        DebtorType.AUTOPILOT: 100,
        DebtorType.FORGETFUL: 40,
        DebtorType.STRATEGIC: 20,
        DebtorType.STRAINED: 20,
        DebtorType.DISPUTING: 8,
        DebtorType.REACTANT: 6,
        DebtorType.INSOLVENT: 6,
    }
    kinds = Counter(party.kind for party in default_ledger().records.parties)
    assert 0.7 <= kinds[PartyKind.BUSINESS] / 150 <= 0.9
    assert kinds[PartyKind.SOLE_TRADER]
    assert kinds[PartyKind.CONSUMER]


def test_amounts_follow_the_log_normal_law() -> None:
    settings = SimulationSettings(debtors=400, history_from=date(2025, 12, 1))
    amounts = sorted(invoice.total.amount_minor for invoice in generate(settings).records.invoices)
    median, p95 = amounts[len(amounts) // 2], amounts[int(len(amounts) * 0.95)]
    assert median == pytest.approx(330_000, rel=0.15)
    assert p95 / median == pytest.approx(120 / 33, rel=0.2)
    assert pytest.approx(0.785, abs=0.001) == (AMOUNT_SIGMA_DEBTOR**2 + AMOUNT_SIGMA_INVOICE**2) ** 0.5


def test_terms_are_short_with_a_tail() -> None:
    terms = sorted((invoice.due_date - invoice.issue_date).days for invoice in default_ledger().records.invoices)
    assert terms[0] >= 16
    assert terms[-1] <= 90
    assert 18 <= terms[len(terms) // 2] <= 24


def test_weekends_hardly_see_a_payment_and_mondays_most() -> None:
    weekdays = Counter(payment.booking_date.weekday() for payment in default_ledger().records.payments)
    total = sum(weekdays.values())
    assert (weekdays[5] + weekdays[6]) / total < 0.01
    assert weekdays[0] == max(weekdays.values())
    assert 0.22 <= weekdays[0] / total <= 0.40


def test_lateness_belongs_to_the_debtor_more_than_to_the_invoice() -> None:
    """Intra-class correlation by one-way analysis of variance; trade ledgers show about 0.47."""
    groups = [late for late in days_late(default_ledger()).values() if len(late) > 1]
    n = sum(map(len, groups))
    mean = sum(map(sum, groups)) / n
    between = sum(len(late) * (fmean(late) - mean) ** 2 for late in groups) / (len(groups) - 1)
    within = sum((x - fmean(late)) ** 2 for late in groups for x in late) / (n - len(groups))
    size = n / len(groups)
    assert 0.35 <= (between - within) / (between + (size - 1) * within) <= 0.65


def test_each_type_pays_in_its_own_time() -> None:
    late = days_late(default_ledger())
    by_type = defaultdict(list)
    for debtor in draw_debtors(SimulationSettings()):
        by_type[debtor.type] += late.get(debtor.id, [])
    means = {kind: fmean(found) for kind, found in by_type.items() if found}
    assert means[DebtorType.AUTOPILOT] < 4
    assert 5 <= means[DebtorType.FORGETFUL] <= 20
    assert 25 <= means[DebtorType.STRATEGIC] <= 45
    assert 15 <= means[DebtorType.STRAINED] <= 50


def test_debtor_by_debtor_the_facts_are_the_same() -> None:
    ledger = default_ledger()
    for until in (None, date(2026, 1, 15)):
        debtors = dict(ledger.facts_by_debtor(until))
        assert list(debtors) == sorted(debtors)
        for debtor_id, facts in debtors.items():
            assert {fact.debtor_id for fact in facts} == {debtor_id}
        one_after_another = [fact for facts in debtors.values() for fact in facts]
        assert one_after_another == sorted(ledger.facts(until), key=lambda fact: fact.debtor_id)
    assert ledger.debtors() == tuple(debtor_id for debtor_id, _ in ledger.facts_by_debtor())


def test_every_kind_of_fact_occurs() -> None:
    assert {fact.event for fact in default_ledger().facts()} == {
        "party.upserted",
        "invoice.issued",
        "credit_note.issued",
        "payment.received",
        "payment.reversed",
        "allocation.applied",
        "allocation.removed",
        "invoice.disputed",
        "invoice.dispute_resolved",
        "invoice.written_off",
    }


def test_no_invoice_is_settled_beyond_its_total_and_every_payment_is_put_to_use() -> None:
    records = default_ledger().records
    settled: Counter[str] = Counter()
    used: Counter[str] = Counter()
    for part in records.allocations:
        if part.removed_on is None:
            settled[part.invoice_id] += part.amount.amount_minor
            used[part.source_id] += part.amount.amount_minor
    for loss in records.write_offs:
        settled[loss.invoice_id] += loss.amount.amount_minor
    assert all(settled[invoice.invoice_id] <= invoice.total.amount_minor for invoice in records.invoices)
    for payment in records.payments:
        assert used[payment.payment_id] == (0 if payment.reversed_on else payment.amount.amount_minor)


def test_facts_handed_out_day_by_day_are_those_of_the_finished_export(tmp_path: Path) -> None:
    books = Books(SMALL)
    daily = [fact for day in days(SMALL.history_from, SMALL.play_until) for fact in books.facts_of_day(day, {})]
    write_ledger(tmp_path, books.ledger_settings(), books.records())
    assert list(read_ledger(tmp_path).facts()) == daily == list(ledger_of(books).facts())


def test_days_can_neither_be_skipped_nor_repeated() -> None:
    books = play_history(SMALL)
    with pytest.raises(ValueError, match="2026-03-02 does not follow 2026-02-28"):
        books.facts_of_day(date(2026, 3, 2), {})
    books.facts_of_day(date(2026, 3, 1), {})
    with pytest.raises(ValueError, match="2026-03-01 does not follow 2026-03-01"):
        books.facts_of_day(date(2026, 3, 1), {})


def test_one_debtor_more_changes_no_other_debtors_invoices() -> None:
    def amounts(debtors: int) -> set[tuple[str, date, int]]:
        ledger = generate(replace(SMALL, debtors=debtors))
        return {(i.debtor_id, i.issue_date, i.total.amount_minor) for i in ledger.records.invoices}

    # The types are dealt anew, and only the insolvent stop getting invoices.
    assert len(amounts(20) - amounts(21)) <= 20


@pytest.mark.parametrize(
    "day, then", [("2026-03-06", "2026-03-06"), ("2026-03-07", "2026-03-09"), ("2026-03-08", "2026-03-09")]
)
def test_weekends_roll_to_monday(day: str, then: str) -> None:
    assert next_business_day(date.fromisoformat(day)) == date.fromisoformat(then)


@pytest.mark.parametrize(
    "wrong", [{"debtors": 0}, {"play_days": -1}, {"median_minor": 0}, {"play_from": date(2020, 1, 1)}]
)
def test_settings_that_make_no_company_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError):
        SimulationSettings(**wrong)  # type: ignore[arg-type]


def test_an_invoice_whose_payment_was_taken_back_is_settled_again() -> None:
    records = default_ledger().records
    total = {invoice.invoice_id: invoice.total.amount_minor for invoice in records.invoices}
    settled: Counter[str] = Counter()
    for part in records.allocations:
        settled[part.invoice_id] += 0 if part.removed_on else part.amount.amount_minor
    for loss in records.write_offs:
        settled[loss.invoice_id] += loss.amount.amount_minor
    taken_back = {
        part.invoice_id for part in records.allocations if part.removed_on and part.removed_on < date(2026, 1, 1)
    }
    assert taken_back
    assert {invoice_id for invoice_id in taken_back if settled[invoice_id] != total[invoice_id]} == set()

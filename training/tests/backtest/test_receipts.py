"""What came in, by invoice and by day, as the ledger knew of it."""

from __future__ import annotations

import math
from datetime import date

import pytest
from duly_risk.days import day_of
from duly_risk.facts import AllocationApplied, AllocationRemoved, Fact, InvoiceStated, RiskEvent, SourceReceived
from duly_training.backtest.books import daily_totals
from duly_training.backtest.receipts import Receipt, receipts_of
from duly_training.history import History

MONDAY = day_of(date(2024, 1, 1))


def event(day: int, body: Fact, name: str = "") -> RiskEvent:
    return RiskEvent(f"{day} {body}", name, MONDAY + day, backfill=True, body=body)


def issued(day: int, invoice: str = "I", total: int = 100, currency: str = "EUR") -> RiskEvent:
    return event(day, InvoiceStated(invoice, MONDAY + day, MONDAY + 30, total, currency, "1"), "invoice.issued")


def payment(day: int, source: str = "P") -> RiskEvent:
    return event(day, SourceReceived(source, False, 100, "EUR", MONDAY + day))


def put(
    day: int, amount: int, *, name: str = "A", invoice: str = "I", source: str = "P", credit: bool = False
) -> RiskEvent:
    return event(day, AllocationApplied(name, invoice, source, credit, amount, 0, MONDAY + day))


class TestReceipts:
    def test_each_part_counts_on_the_day_it_was_known_with_the_invoices_currency(self):
        found = receipts_of([issued(0, currency="USD"), payment(5), put(5, 60), put(9, 40, name="B")])
        assert found.by_invoice == {
            "I": [Receipt(MONDAY + 5, MONDAY + 5, 60, "USD"), Receipt(MONDAY + 9, MONDAY + 5, 40, "USD")]
        }

    def test_credit_notes_are_no_cash(self):
        assert receipts_of([issued(0), put(5, 100, source="C", credit=True)]).by_invoice == {}

    def test_cash_that_was_taken_off_again_did_come_in(self):
        events = [issued(0), payment(5), put(5, 100), event(8, AllocationRemoved("A", "I"))]
        assert [one.amount_minor for one in receipts_of(events).by_invoice["I"]] == [100]

    def test_a_fact_that_comes_twice_counts_once(self):
        assert len(receipts_of([issued(0), payment(5), put(5, 100), put(6, 100)]).by_invoice["I"]) == 1

    def test_what_lay_unapplied_on_a_day_is_not_received_after_it(self):
        found = receipts_of([issued(0), payment(5), put(9, 60), payment(7, "Q"), put(9, 40, name="B", source="Q")])
        after = {day: [one.amount_minor for one in found.of("I", MONDAY + day)] for day in (4, 5, 7, 9)}
        assert after == {4: [60, 40], 5: [40], 7: [], 9: []}

    def test_a_payment_nobody_heard_of_came_with_its_allocation(self):
        (one,) = receipts_of([issued(0), put(9, 60)]).by_invoice["I"]
        assert one.source_known_day == MONDAY + 9


def history(*events: RiskEvent, debtors: int = 1) -> History:
    """The events, each by the debtor whose turn it is."""
    by_debtor = {f"D{number}": tuple(events[number::debtors]) for number in range(debtors)}
    return History(MONDAY + 500, by_debtor, "")


class TestDailyTotals:
    def test_invoices_and_cash_are_summed_by_day_and_currency_over_debtors(self):
        totals = daily_totals(
            history(issued(0), issued(0, "J", 50, "USD"), issued(2, "K", 7), issued(2, "L", 5), debtors=2)
        )
        assert totals.first_day == MONDAY
        assert totals.issued["EUR"].tolist() == [100, 0, 12]
        assert totals.issued["USD"].tolist() == [50, 0, 0]
        assert totals.known_currencies(MONDAY - 1) == []
        assert totals.known_currencies(MONDAY) == ["EUR", "USD"]

    def test_cash_of_a_week_begins_on_the_day_after(self):
        events = [issued(0), payment(0), *(put(day, day, name=f"A{day}") for day in (3, 4, 10, 11, 94, 95))]
        by_week = daily_totals(history(*events)).received_by_week(MONDAY + 3, "EUR")
        assert by_week.tolist() == [4 + 10, 11, *[0] * 10, 94]

    def test_a_currency_nobody_was_billed_in_has_neither(self):
        totals = daily_totals(history(issued(0)))
        assert not totals.received_by_week(MONDAY, "USD").any()
        assert totals.volume("USD", MONDAY, MONDAY).growth == 1.0


class TestVolumeSpread:
    """By how much four weeks strayed from what the 13 before them let expect; on the logarithm, root mean square."""

    def spread(self, weekly: list[float]) -> float:
        """weekly: what was billed each Monday."""
        events = [issued(7 * week, f"I{week}", round(amount)) for week, amount in enumerate(weekly) if amount]
        last = MONDAY + 7 * len(weekly)
        return daily_totals(history(*events)).volume("EUR", last, last).spread

    def test_it_is_a_quarter_until_eight_forecasts_can_be_looked_at(self):
        # Four weeks after the first 13 there is one forecast, and one more with every week.
        assert self.spread([100.0] * (13 + 4 + 7)) == 0.25
        assert self.spread([100.0] * (13 + 4 + 8)) == 0.02

    def test_a_steady_volume_has_the_least_there_is(self):
        assert self.spread([100.0] * 60) == 0.02

    def test_one_run_a_quarter_that_is_twice_what_was_expected_of_it(self):
        # 4 of 13 weeks of the run before are expected, and 8 of 13 come. Six weeks without any let growth be 1.
        runs = [28_561.0, 17_576.0, 10_816.0, 6_656.0, 4_096.0]
        weekly = [amount for run in runs for amount in (run, *[0.0] * 12)]
        assert self.spread(weekly) == pytest.approx(math.log(2))

    def test_it_is_never_more_than_all_of_it(self):
        assert self.spread([1_000_000.0, *[1.0] * 12] * 5) == 1.0


def test_an_empty_history_has_no_totals():
    totals = daily_totals(History(MONDAY, {}, ""))
    assert totals.currencies == ()
    assert totals.received_by_week(MONDAY, "EUR").tolist() == pytest.approx([0.0] * 13)

"""What came of a back-test: outcomes off the records, figures by hand, files that people may have cut and joined."""

from __future__ import annotations

import csv
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pytest
from duly_contracts.dates import LAST_DATE
from duly_contracts.money import Money
from duly_ledger_export import Ledger
from duly_ledger_export.records import (
    Allocation,
    AllocationSource,
    CreditNote,
    Invoice,
    LedgerRecords,
    LedgerSettings,
    Payment,
    WriteOff,
    WriteOffReason,
)
from duly_risk.curves import HORIZON_DAYS
from duly_risk.days import day_of
from duly_training.backtest import cash_rows, predictions
from duly_training.backtest.judging import judge_cash, judge_predictions
from duly_training.backtest.outcomes import InvoiceOutcome, outcomes_of
from duly_training.backtest.reading import CashForecast, Prediction, ResultInvalid, read_cash, read_predictions
from duly_training.folding import timeline_of
from duly_training.history import read_history
from duly_training.timeline import NEVER
from hypothesis import given, settings
from hypothesis import strategies as st

PAYMENT, CREDIT = AllocationSource.PAYMENT, AllocationSource.CREDIT_NOTE
ISSUED, DUE, LATER = date(2024, 1, 1), date(2024, 1, 31), date(2024, 3, 1)


def eur(minor: int) -> Money:
    return Money(minor, "EUR")


INVOICE = Invoice("I", "D", ISSUED, DUE, eur(100))


def put(minor: int, on: date, source: str = "P", **more: object) -> Allocation:
    return replace(Allocation(f"{source} {on}", PAYMENT, source, "I", eur(minor), on), **more)


def payment(payment_id: str = "P", **more: date) -> Payment:
    return Payment(payment_id, "D", ISSUED, eur(100), **more)


def maybe(days: st.SearchStrategy[date]) -> st.SearchStrategy[date | None]:
    return st.one_of(st.none(), days)


_DAYS = st.dates(ISSUED, date(2024, 4, 1))
_AMOUNTS = st.sampled_from([1, 40, 60, 99, 100]).map(eur)


@st.composite
def ledgers(draw: st.DrawFn) -> LedgerRecords:
    """One invoice, a payment and a credit note that may have been taken back, and what of them was put against it."""
    payments = [payment(reversed_on=draw(maybe(_DAYS)))]
    notes = [CreditNote("C", "D", ISSUED, eur(100), voided_on=draw(maybe(_DAYS)))]
    puts = draw(st.lists(st.tuples(st.sampled_from([PAYMENT, CREDIT]), _AMOUNTS, _DAYS, maybe(_DAYS)), max_size=4))
    allocations = [
        Allocation(f"A{at}", kind, "P" if kind is PAYMENT else "C", "I", amount, on, removed_on=removed)
        for at, (kind, amount, on, removed) in enumerate(puts)
    ]
    offs = draw(st.lists(st.tuples(_AMOUNTS, _DAYS, st.sampled_from(WriteOffReason)), max_size=2))
    return LedgerRecords(
        invoices=[replace(INVOICE, total=eur(draw(st.sampled_from([0, 100]))))],
        payments=payments,
        credit_notes=notes,
        allocations=allocations,
        write_offs=[WriteOff(f"W{at}", "I", *off) for at, off in enumerate(offs)],
    )


RECORDS = ledgers()


def outcome(**more: object) -> InvoiceOutcome:
    return outcomes_of(replace(LedgerRecords(invoices=[INVOICE], payments=[payment()]), **more))["I"]


class TestOutcomes:
    def test_an_invoice_is_paid_on_the_day_of_the_part_that_closes_it(self) -> None:
        parts = [put(60, date(2024, 2, 5)), put(40, date(2024, 2, 20))]
        one = outcome(allocations=parts)
        assert (one.closed, one.is_paid) == (day_of(date(2024, 2, 20)), True)
        assert one.receipts == ((day_of(date(2024, 2, 5)), 60), (day_of(date(2024, 2, 20)), 40))

    def test_a_part_payment_leaves_it_open(self) -> None:
        one = outcome(allocations=[put(99, DUE)])
        assert (one.closed, one.is_paid) == (NEVER, False)

    def test_a_discount_that_was_taken_counts_as_paid(self) -> None:
        one = outcome(allocations=[put(97, DUE, discount=eur(3))])
        assert (one.closed, one.is_paid, one.receipts) == (day_of(DUE), True, ((day_of(DUE), 100),))

    @pytest.mark.parametrize(
        ("reason", "is_paid"), [(WriteOffReason.BAD_DEBT, False), (WriteOffReason.SMALL_BALANCE, True)]
    )
    def test_a_rest_that_is_let_go_leaves_it_paid_and_one_that_is_lost_does_not(
        self, reason: WriteOffReason, is_paid: bool
    ) -> None:
        one = outcome(allocations=[put(60, DUE)], write_offs=[WriteOff("W", "I", eur(40), LATER, reason)])
        assert (one.closed, one.is_paid, one.receipts) == (day_of(LATER), is_paid, ((day_of(DUE), 60),))

    def test_what_was_credited_in_part_was_paid_and_what_was_credited_as_a_whole_was_not(self) -> None:
        part = outcome(allocations=[put(60, DUE), put(40, LATER, "C", source_kind=CREDIT)])
        whole = outcome(allocations=[put(100, LATER, "C", source_kind=CREDIT)])
        assert (part.closed, part.is_paid, part.receipts) == (day_of(LATER), True, ((day_of(DUE), 60),))
        assert (whole.closed, whole.is_paid, whole.receipts) == (day_of(LATER), False, ())

    def test_what_was_reversed_voided_or_taken_off_never_came(self) -> None:
        back = outcome(payments=[payment(reversed_on=LATER)], allocations=[put(100, DUE)])
        off = outcome(allocations=[put(100, DUE, removed_on=LATER)])
        note = CreditNote("C", "D", ISSUED, eur(100), voided_on=LATER)
        void = outcome(credit_notes=[note], allocations=[put(100, DUE, "C", source_kind=CREDIT)])
        for one in (back, off, void):
            assert (one.closed, one.receipts, one.owed_after(day_of(LATER))) == (NEVER, (), 100)

    def test_an_invoice_over_nothing_is_closed_as_it_is_issued(self) -> None:
        one = outcome(invoices=[replace(INVOICE, total=eur(0))])
        assert (one.closed, one.is_paid) == (day_of(ISSUED), False)

    def test_what_is_owed_is_what_was_not_put_against_it_by_then(self) -> None:
        one = outcome(allocations=[put(60, DUE), put(30, LATER, "C", source_kind=CREDIT)])
        days = (ISSUED, DUE, LATER)
        assert [one.owed_after(day_of(day)) for day in days] == [100, 40, 10]

    @settings(max_examples=60, deadline=None)
    @given(RECORDS)
    def test_the_fold_says_the_same(self, records: LedgerRecords) -> None:
        """Both read the same records by rules of their own."""
        after = date(2024, 12, 1)
        timeline = timeline_of(read_history(Ledger(LedgerSettings(), records), after))
        folded = timeline.outcomes_before(day_of(after))
        for invoice_id, one in outcomes_of(records).items():
            at = timeline.invoice_ids.index(invoice_id)
            assert int(folded.paid[at]) == (one.closed if one.is_paid else NEVER)
            if folded.censored[at] != NEVER:
                assert (int(folded.censored[at]), False) == (one.closed, one.is_paid)
            elif not records.write_offs and not one.is_paid:
                assert one.closed == NEVER

    def test_a_voided_invoice_has_none(self) -> None:
        assert outcomes_of(LedgerRecords(invoices=[replace(INVOICE, voided_on=DUE)])) == {}


def due_on(due: int, closed: int = NEVER, *, total: int = 100, is_paid: bool = True) -> InvoiceOutcome:
    receipts = ((closed, total),) if is_paid and closed != NEVER else ()
    return InvoiceOutcome("EUR", due - 30, due, total, receipts, closed, is_paid and closed != NEVER)


def said(invoice_id: str, p: float, median: int, days: float = 30.0) -> Prediction:
    return Prediction(invoice_id, {1: p, 5: p, 30: p / 2}, days, median, median - 2, median + 2)


class TestPredictions:
    """Due on day 1,000; the ledger ends before day 1,030 unless another end is named."""

    def test_figures_of_two_punctual_and_two_late_invoices(self) -> None:
        outcomes = {"a": due_on(1_000, 998), "b": due_on(1_000, 1_000), "c": due_on(1_000, 1_010), "d": due_on(1_000)}
        told = [
            said("a", 0.1, 998, 28.0),  # right to the day
            said("b", 0.4, 1_003, 31.0),  # 3 days out, outside its interval
            said("c", 0.3, 1_009, 40.0),  # 1 day out
            said("d", 0.8, 1_020, 60.0),  # never paid: no day to compare
        ]
        figures = judge_predictions(told, outcomes, 1_030)
        assert (figures["invoices"], figures["ripe"]) == (4, 4)
        assert {name: value for name, value in figures["late_5"].items() if name != "slope"} == {
            "rate": 0.5,
            "auc": 0.75,  # of the pairs (late, punctual) only (c, b) is the wrong way round
            "ap": 0.8333,  # (1/1 + 2/3) / 2
            "logloss": 0.5108,  # -(ln 0.9 + ln 0.6 + ln 0.3 + ln 0.8) / 4
            "brier": 0.175,  # (0.01 + 0.16 + 0.49 + 0.04) / 4
            "ece": 0.35,  # (0.1 + 0.4 + 0.7 + 0.2) / 4
        }
        assert figures["late_30"]["rate"] == 0.25  # only the one that was never paid
        assert figures["days"] == {
            "mae": 1.3333,  # (0 + 3 + 1) / 3
            "mae_due_date": 4.0,  # (2 + 0 + 10) / 3
            "interval_80": 0.6667,
            "concordance": 1.0,
        }

    def test_an_invoice_is_judged_once_it_is_due_for_thirty_days(self) -> None:
        outcomes = {"a": due_on(1_000, 1_001), "b": due_on(1_001, 1_001)}
        assert judge_predictions([said("a", 0.5, 1_000), said("b", 0.5, 1_000)], outcomes, 1_030)["ripe"] == 1

    def test_what_was_credited_written_off_or_voided_is_not_judged(self) -> None:
        outcomes = {"a": due_on(1_000, 1_001, is_paid=False)}
        assert judge_predictions([said("a", 0.5, 1_000), said("voided", 0.5, 1_000)], outcomes, 1_030) == {
            "invoices": 2,
            "ripe": 0,
        }

    def test_days_beyond_a_hundred_and_twenty_are_cut(self) -> None:
        figures = judge_predictions([said("a", 0.5, 1_100)], {"a": due_on(1_000, 1_300)}, 1_400)
        assert figures["days"]["mae"] == 20.0
        assert figures["days"]["mae_due_date"] == 120.0

    def test_a_figure_without_a_value_is_absent(self) -> None:
        figures = judge_predictions([said("a", 0.5, 1_000)], {"a": due_on(1_000, 1_000)}, 1_030)
        assert figures["late_1"].keys() == {"rate", "logloss", "brier", "ece"}
        assert "concordance" not in figures["days"]


def forecast(week: int, expected: float, low: float, high: float, **more: object) -> CashForecast:
    return replace(CashForecast(1_000, week, "EUR", True, expected, low, high), **more)


class TestCash:
    """A snapshot at the end of day 1,000: week 0 is days 1,001..1,007."""

    BOOK = {  # noqa: RUF012
        "first": due_on(1_002, 1_007, total=300),
        "overdue": due_on(990, 1_008, total=200),  # by its due date expected in week 0
        "open": due_on(1_010, total=100),
        "long overdue": due_on(879, 1_003, total=50),  # 121 days: nobody expects it any more
        "to come": due_on(1_040, 1_015, total=400),  # issued on day 1,010
        "settled before": due_on(1_000, 1_000, total=900),
    }

    def test_figures_of_the_open_book(self) -> None:
        told = [forecast(0, 250, 200, 340), forecast(1, 260, 220, 300), forecast(2, 30, 0, 50)]
        figures = judge_cash(told, self.BOOK, 1_100, weeks=2)["open book EUR"]
        # Received 350, 200, 0; due 300 + 200, 100, 0.
        assert figures == {
            "cells": 3,
            "wape": 0.2909,  # (100 + 60) / 550
            "wape_due_date": 0.4545,  # (150 + 100) / 550
            "bias": -0.0727,  # (-100 + 60) / 550
            "coverage": 0.3333,  # the third week alone
            "coverage_first_weeks": 0.0,
        }

    def test_all_cash_has_invoices_to_come_and_no_due_date_to_compare_with(self) -> None:
        told = [forecast(week, 300, 0, 1_000, open_book_only=False) for week in (1, 2)]
        figures = judge_cash(told, self.BOOK, 1_100, weeks=8)["all cash EUR"]
        assert figures == {"cells": 2, "wape": 0.3333, "bias": 0.0, "coverage": 1.0, "coverage_first_weeks": 1.0}

    def test_by_its_due_date_only_what_is_still_owed_is_expected(self) -> None:
        one = replace(due_on(1_005, 1_005, total=1_000), receipts=((995, 900), (1_005, 100)))
        figures = judge_cash([forecast(0, 100, 0, 100)], {"partly paid": one}, 1_100, weeks=1)["open book EUR"]
        assert figures["wape_due_date"] == 0.0

    def test_a_week_counts_once_it_has_ended(self) -> None:
        told = [forecast(0, 350, 0, 400), forecast(1, 0, 0, 0)]
        assert judge_cash(told, self.BOOK, 1_014, weeks=8)["open book EUR"]["cells"] == 1
        assert judge_cash(told, self.BOOK, 1_015, weeks=8)["open book EUR"]["cells"] == 2
        assert judge_cash(told, self.BOOK, 1_000, weeks=8)["open book EUR"] == {"cells": 0}

    def test_currencies_are_never_added(self) -> None:
        told = [forecast(0, 350, 0, 400), forecast(0, 1, 0, 2, currency="USD")]
        figures = judge_cash(told, self.BOOK, 1_100, weeks=8)
        assert figures["open book EUR"]["wape"] == 0.0
        assert figures["open book USD"] == {"cells": 1, "coverage": 1.0, "coverage_first_weeks": 1.0}


GOOD_PREDICTION = "I,D,2024-01-01,0.3,0.2,0.1,31.5,2024-02-01,2024-01-30,2024-02-09,v1,CHAMPION"
GOOD_CASH = "2024-01-01,2024-01-09,JPY,120,100,150,true"


def written(file: Path, columns: tuple[str, ...], *rows: str) -> Path:
    with file.open("w", newline="") as lines:
        csv.writer(lines).writerow(columns)
        lines.writelines(f"{row}\r\n" for row in rows)
    return file


class TestReadingBack:
    def test_rows_become_days_weeks_and_minor_units(self, tmp_path: Path) -> None:
        [one] = read_predictions(written(tmp_path / "p.csv", predictions.COLUMNS, GOOD_PREDICTION))
        assert one == Prediction("I", {1: 0.3, 5: 0.2, 30: 0.1}, 31.5, 19_754, 19_752, 19_762)
        file = written(tmp_path / "c.csv", cash_rows.COLUMNS, GOOD_CASH, GOOD_CASH.replace("JPY", "EUR"))
        yen, euros = read_cash(file)
        assert yen == CashForecast(19_723, 1, "JPY", True, 120.0, 100.0, 150.0)
        assert (euros.expected, euros.low, euros.high) == (12_000.0, 10_000.0, 15_000.0)

    def test_what_is_told_of_the_last_date_that_a_fact_may_have_is_read(self, tmp_path: Path) -> None:
        last = LAST_DATE + timedelta(days=HORIZON_DAYS)
        row = GOOD_PREDICTION.replace("2024-02-09", last.isoformat())
        [one] = read_predictions(written(tmp_path / "p.csv", predictions.COLUMNS, row))
        assert one.high == day_of(last)
        file = written(tmp_path / "c.csv", cash_rows.COLUMNS, f"{LAST_DATE},2160-03-25,EUR,1,1,1,true")
        assert [(one.snapshot, one.week) for one in read_cash(file)] == [(day_of(LAST_DATE), 12)]

    def test_files_without_rows_are_fine(self, tmp_path: Path) -> None:
        assert read_predictions(written(tmp_path / "p.csv", predictions.COLUMNS)) == []
        assert read_cash(written(tmp_path / "c.csv", cash_rows.COLUMNS)) == []

    @pytest.mark.parametrize(
        ("row", "told"),
        [
            (GOOD_PREDICTION.replace("0.2", "nan"), "line 2: p_late_5d 'nan' is no number from 0 to 1"),
            (GOOD_PREDICTION.replace("0.2", "1.2"), "line 2: p_late_5d '1.2' is no number from 0 to 1"),
            (GOOD_PREDICTION.replace("0.2", ""), "line 2: p_late_5d '' is no number"),
            (GOOD_PREDICTION.replace("31.5", "inf"), "expected_days 'inf' is no number"),
            (GOOD_PREDICTION.replace("2024-02-01", "1.2.24"), "median_date '1.2.24' is no date"),
            (
                GOOD_PREDICTION.replace("2024-02-01", "2160-07-01"),
                "'2160-07-01' is no date from 1970-01-01",
            ),
            (GOOD_PREDICTION.replace("2024-02-01", "9999-12-31"), "median_date '9999-12-31' is no date"),
            (GOOD_PREDICTION.removeprefix("I"), "invoice_id is empty"),
            ("I,D", "another number of fields"),
            (f"{GOOD_PREDICTION},more", "another number of fields"),
            (f"{GOOD_PREDICTION}\r\n{GOOD_PREDICTION}", "line 3: invoice 'I' comes twice"),
        ],
    )
    def test_a_bad_prediction_is_named_with_its_line(self, tmp_path: Path, row: str, told: str) -> None:
        with pytest.raises(ResultInvalid, match=told):
            read_predictions(written(tmp_path / "p.csv", predictions.COLUMNS, row))

    @pytest.mark.parametrize(
        ("row", "told"),
        [
            (GOOD_CASH.replace("2024-01-09", "2024-01-08"), "week_start 2024-01-08 begins none of the 13 weeks"),
            (GOOD_CASH.replace("2024-01-09", "2024-04-02"), "begins none of the 13 weeks"),
            (GOOD_CASH.replace("2024-01-09", "2023-12-26"), "begins none of the 13 weeks"),
            (GOOD_CASH.replace("JPY", "yen"), "'yen' is no ISO 4217 currency code"),
            (GOOD_CASH.replace("120", "NaN"), "expected 'NaN' is no number"),
            (GOOD_CASH.replace("true", "yes"), "open_book_only 'yes' must be true or false"),
            (f"{GOOD_CASH}\r\n{GOOD_CASH}", "line 3: this week of this snapshot and currency comes twice"),
        ],
    )
    def test_a_bad_forecast_is_named_with_its_line(self, tmp_path: Path, row: str, told: str) -> None:
        with pytest.raises(ResultInvalid, match=told):
            read_cash(written(tmp_path / "c.csv", cash_rows.COLUMNS, row))

    def test_missing_columns_are_named(self, tmp_path: Path) -> None:
        with pytest.raises(ResultInvalid, match="lacks q10, open_book_only"):
            read_cash(written(tmp_path / "c.csv", ("snapshot", "week_start", "currency", "expected", "q90")))

    def test_what_is_no_text_or_not_there_is_told(self, tmp_path: Path) -> None:
        (tmp_path / "p.csv").write_bytes(b"\xff\xfe\x00")
        with pytest.raises(ResultInvalid, match="no CSV file in UTF-8"):
            read_predictions(tmp_path / "p.csv")
        with pytest.raises(ResultInvalid, match="cannot be read: No such file"):
            read_cash(tmp_path / "missing.csv")

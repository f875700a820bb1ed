"""From questions to curves, from curves to open books and the habits of new invoices: amounts worked out by hand."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from duly_risk.book import Terms, book_of
from duly_risk.curves import CASH_WEEKS, HORIZON_DAYS, Floats
from duly_risk.measures import invoice_measures
from duly_risk.model import HazardModel
from duly_risk.state import DebtorState
from duly_training.backtest.answering import in_batches, survival_of
from duly_training.backtest.books import NewInvoiceHabits, OpenBooks
from duly_training.backtest.cash import CASH_DAYS, OpenBook
from duly_training.backtest.cash_band import Paid, fit_effects
from duly_training.backtest.cash_rows import effects_of
from duly_training.backtest.questions import Purpose, Question
from duly_training.backtest.receipts import Receipt, Receipts

DAY = 20_000
MakeModel = Callable[..., HazardModel]


def question(amount: int = 100, day: int = DAY, *, currency: str = "EUR", debtor: int = 0, **receipts: int) -> Question:
    """receipts: d<days after> = amount."""
    terms = Terms("I", day, day + 30, amount, currency)
    got = [Receipt(day + int(name[1:]), day + int(name[1:]), minor, currency) for name, minor in receipts.items()]
    row = invoice_measures(book_of(DebtorState()), terms, day)
    return Question(Purpose.OPEN, debtor, f"D{debtor}", terms, day, amount, row, Receipts({"I": got}))


def on_day(offset: int) -> Floats:
    """Survival of an invoice that is paid for sure so many days after t0: (183,)."""
    return np.where(np.arange(HORIZON_DAYS + 1) < offset, 1.0, 0.0)


class TestAnswers:
    def test_the_curve_of_an_invoice_that_half_of_all_days_pays_halves_every_day(self, coin: MakeModel) -> None:
        curves = survival_of([question(), question(5, DAY + 1)], coin(0.5))
        assert curves.shape == (2, HORIZON_DAYS + 1)
        assert curves[0, :4].tolist() == curves[1, :4].tolist() == [1.0, 0.5, 0.25, 0.125]

    def test_batches_hold_all_questions_in_order(self) -> None:
        questions = [question(amount) for amount in range(5)]
        assert [[one.amount_minor for one in batch] for batch in in_batches(questions, 2)] == [[0, 1], [2, 3], [4]]
        assert list(in_batches([])) == []


class TestOpenBooks:
    def test_a_book_has_the_claims_of_its_day_and_currency_and_what_came_of_them(self) -> None:
        books = OpenBooks()
        first = question(300, d1=10, d7=20, d8=30, d92=40)  # the last one comes in week 14
        second = question(200, debtor=4)
        books.add([first, question(1, DAY + 7), second], np.array([on_day(8), on_day(1), on_day(100)]))
        books.add([question(50, currency="USD")], on_day(1)[np.newaxis])
        paid = books.paid(DAY, "EUR", DAY + 500)
        assert paid.book.amounts.tolist() == [300, 200]
        assert paid.book.debtors.tolist() == [0, 4]
        assert paid.book.hazards[0, :2].tolist() == [0.0, 1.0]
        assert not paid.book.hazards[1].any()
        assert paid.by_week.tolist() == [[30, 30, *[0] * 11], [0] * 13]
        assert paid.weeks == CASH_WEEKS

    def test_only_weeks_that_had_ended_are_known(self) -> None:
        books = OpenBooks()
        books.add([question(d1=10)], on_day(1)[np.newaxis])
        # Week 0 is days 1..7, known to somebody who knows what was before day 8.
        assert [books.paid(DAY, "EUR", DAY + later).weeks for later in (0, 1, 7, 8, 14, 15)] == [0, 0, 0, 1, 1, 2]

    def test_a_day_without_claims_has_an_empty_book(self) -> None:
        paid = OpenBooks().paid(DAY, "EUR", DAY + 500)
        assert (len(paid.book.amounts), paid.by_week.shape, paid.weeks) == (0, (0, CASH_WEEKS), CASH_WEEKS)


class TestHabitsOfNewInvoices:
    def test_a_days_invoices_add_amounts_and_their_squares_by_the_days_that_pass(self) -> None:
        habits = NewInvoiceHabits(DAY, DAY + 9)
        curves = np.array([on_day(3), on_day(3), on_day(CASH_DAYS), on_day(CASH_DAYS + 1)])
        curves[1, 3:] = 0.25  # three quarters on the third day
        habits.add([question(100), question(40), question(7, DAY + 9), question(9, DAY + 9)], curves)
        assert habits.mean["EUR"].shape == (10, CASH_DAYS)
        assert np.argwhere(habits.mean["EUR"]).tolist() == [[0, 2], [9, CASH_DAYS - 1]]
        assert habits.mean["EUR"][0, 2] == 100 + 0.75 * 40
        assert habits.square["EUR"][0, 2] == 100**2 + 0.75 * 40**2
        # Of what is paid after 91 days nothing falls into the 13 weeks.
        assert habits.mean["EUR"][9, CASH_DAYS - 1] == 7

    def test_currencies_have_tables_of_their_own(self) -> None:
        habits = NewInvoiceHabits(DAY, DAY)
        habits.add([question(100), question(5, currency="USD")], np.array([on_day(1), on_day(2)]))
        assert habits.mean["EUR"][0, :3].tolist() == [100, 0, 0]
        assert habits.mean["USD"][0, :3].tolist() == [0, 5, 0]

    def test_days_outside_are_not_covered(self) -> None:
        habits = NewInvoiceHabits(DAY, DAY + 1)
        assert [habits.covers(DAY + offset) for offset in (-1, 0, 1, 2)] == [False, True, True, False]


class TestEffectsOverCurrencies:
    def world(self, unit: float, seed: int) -> Paid:
        """Forty debtors of ten equal invoices; a debtor pays all of a week or nothing."""
        random = np.random.default_rng(seed)
        debtors = np.repeat(np.arange(40), 10)
        pays = random.random((40, 1)) < 0.5
        by_week = np.zeros((400, CASH_WEEKS))
        by_week[:, 0] = np.where(pays[debtors, 0], unit, 0.0)
        return Paid(OpenBook(np.full(400, unit), np.full((400, CASH_WEEKS), 0.5), debtors), by_week, 1)

    def test_a_currency_of_small_units_weighs_as_one_of_large_units(self) -> None:
        euros, yen = self.world(100.0, 1), self.world(15_000.0, 2)
        alike = [self.world(1.0, 1), self.world(1.0, 2)]
        assert effects_of([euros, yen], [100.0, 15_000.0]) == fit_effects(alike)
        # Unmeasured, the yen would have been all there is.
        assert fit_effects([euros, yen]).week == pytest.approx(fit_effects([yen]).week, rel=0.01)

"""Cash by week: expectations from curves, a spread that debtors share, a band that earlier misses stretch."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
from duly_training.backtest import cash
from duly_training.backtest.cash import (
    CASH_DAYS,
    Effects,
    FreshCash,
    OpenBook,
    expected_by_week,
    simulate,
    simulate_fresh,
    week_hazards,
)
from duly_training.backtest.cash_band import (
    EFFECTS_DEFAULT,
    CashBand,
    Misses,
    Paid,
    band_of_draws,
    fit_effects,
    gathered,
    misses_of,
    stretched,
)
from hypothesis import given
from hypothesis import strategies as st

WEEKS = 13


def generator(seed: int = 1) -> np.random.Generator:
    return np.random.default_rng(seed)


def book_of(n: int = 400, debtors: int = 40, hazard: float = 0.3) -> OpenBook:
    random = generator(7)
    hazards = np.clip(random.normal(hazard, 0.1, (n, WEEKS)), 0.01, 0.95)
    return OpenBook(random.lognormal(10, 1, n).round(), hazards, np.arange(n) % debtors)


def paid_of(book: OpenBook, effects: Effects, seed: int, weeks: int = WEEKS) -> Paid:
    """One world drawn invoice by invoice, independent of the library's own drawing."""
    random = generator(seed)
    open_ = np.ones(len(book.amounts), dtype=bool)
    by_week = np.zeros((len(book.amounts), WEEKS))
    for week in range(WEEKS):
        own = random.normal(0, np.sqrt(effects.debtor), int(book.debtors.max()) + 1)[book.debtors]
        logit = np.log(book.hazards[:, week] / (1 - book.hazards[:, week])) + own
        logit += random.normal(0, np.sqrt(effects.week))
        pays = open_ & (random.random(len(open_)) < 1 / (1 + np.exp(-logit)))
        by_week[pays, week] = book.amounts[pays]
        open_ &= ~pays
    return Paid(book, by_week, weeks)


def peak_bytes(work: Callable[[], object]) -> int:
    tracemalloc.start()
    work()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return peak


class TestManyInvoicesOfOneDebtor:
    """Where not all rows x draws may be held at once."""

    EFFECTS = Effects(1.0, 0.2)

    def test_their_cash_spreads_as_if_they_were_drawn_at_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        book = book_of(2_000, debtors=1)
        whole = simulate(book, self.EFFECTS, generator(), 400)[:, 0]
        monkeypatch.setattr(cash, "_CELLS_AT_ONCE", 40_000)
        pieces = simulate(book, self.EFFECTS, generator(2), 400)[:, 0]
        assert pieces.mean() == pytest.approx(whole.mean(), rel=0.1)
        # Pieces that moved apart would spread by a third of it.
        assert pieces.std() == pytest.approx(whole.std(), rel=0.2)

    def test_they_take_no_more_memory_than_as_many_of_many_debtors(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(cash, "_CELLS_AT_ONCE", 40_000)
        many, one = (
            peak_bytes(partial(simulate, book_of(10_000, debtors), self.EFFECTS, generator(), 100))
            for debtors in (5_000, 1)
        )
        assert one < 1.5 * many


class TestExpectedCash:
    def test_a_curve_that_halves_each_week_pays_a_half_and_then_a_quarter(self) -> None:
        survival = 0.5 ** (np.arange(CASH_DAYS + 1) / 7)
        book = OpenBook(np.array([800.0]), week_hazards(survival[np.newaxis]), np.array([0]))
        assert expected_by_week(book)[:3] == pytest.approx([400, 200, 100])

    @given(st.lists(st.floats(0, 0.3), min_size=CASH_DAYS, max_size=CASH_DAYS), st.floats(1, 1e9))
    def test_weeks_and_what_is_left_add_up_to_what_can_be_claimed(self, hazards: list[float], amount: float) -> None:
        survival = np.cumprod(np.concatenate([[1.0], 1 - np.array(hazards)]))[np.newaxis]
        book = OpenBook(np.array([amount]), week_hazards(survival), np.array([0]))
        assert expected_by_week(book).sum() + amount * survival[0, -1] == pytest.approx(amount)

    def test_an_empty_book_expects_nothing(self) -> None:
        empty = OpenBook(np.empty(0), np.empty((0, WEEKS)), np.empty(0, dtype=np.int64))
        assert expected_by_week(empty).tolist() == [0.0] * WEEKS
        assert simulate(empty, EFFECTS_DEFAULT, generator(), 10).tolist() == [[0.0] * WEEKS] * 10


class TestSimulatedCash:
    @pytest.mark.parametrize("effects", [Effects(0, 0), Effects(0.5, 0.05), Effects(2.0, 0.3)])
    def test_no_effect_moves_an_expectation(self, effects: Effects) -> None:
        book = book_of()
        draws = simulate(book, effects, generator(), 2_000)
        standard_error = draws.std(axis=0) / np.sqrt(len(draws))
        assert np.all(np.abs(draws.mean(axis=0) - expected_by_week(book)) < 5 * standard_error + 1)

    def test_debtors_who_move_together_spread_the_total(self) -> None:
        book = book_of()
        alone = simulate(book, Effects(0, 0), generator()).std(axis=0)
        together = simulate(book, Effects(1.0, 0), generator()).std(axis=0)
        assert np.all(together[:2] > 1.15 * alone[:2])

    def test_nothing_is_paid_twice(self) -> None:
        book = book_of(hazard=0.6)
        assert np.all(simulate(book, Effects(1.0, 0.2), generator()).sum(axis=1) <= book.amounts.sum() * (1 + 1e-9))

    def test_a_seed_gives_equal_bytes(self) -> None:
        book = book_of()
        first, again = (simulate(book, EFFECTS_DEFAULT, generator(3)) for _ in range(2))
        assert first.tobytes() == again.tobytes()

    def test_a_book_larger_than_the_memory_for_it_is_drawn_in_parts(self, monkeypatch: pytest.MonkeyPatch) -> None:
        book = book_of()
        monkeypatch.setattr("duly_training.backtest.cash._CELLS_AT_ONCE", 20_000)
        draws = simulate(book, EFFECTS_DEFAULT, generator(), 2_000)
        assert draws.mean(axis=0)[:4] == pytest.approx(expected_by_week(book)[:4], rel=0.05)

    def test_new_invoices_keep_their_mean_and_never_pay_less_than_nothing(self) -> None:
        fresh = FreshCash(np.full(WEEKS, 1e6), np.full(WEEKS, 1e10), 0.3)
        draws = simulate_fresh(fresh, generator(), 5_000)
        assert draws.mean(axis=0) == pytest.approx(fresh.mean, rel=0.03)
        assert draws.min() >= 0


class TestEffects:
    def test_a_debtor_effect_is_found_again(self) -> None:
        worlds = [paid_of(book_of(1_200, 150), Effects(1.0, 0.0), seed) for seed in range(6)]
        assert 0.5 < fit_effects(worlds).debtor < 1.5

    def test_independent_invoices_show_the_least_effect(self) -> None:
        worlds = [paid_of(book_of(1_200, 150), Effects(0, 0), seed) for seed in range(6)]
        effects = fit_effects(worlds)
        assert effects.debtor < 0.35
        assert effects.week < 0.05

    def test_weeks_that_are_not_over_do_not_count(self) -> None:
        assert fit_effects([paid_of(book_of(), Effects(1, 0), 1, weeks=0)]) == EFFECTS_DEFAULT


class TestBand:
    def test_it_holds_its_own_expectation(self) -> None:
        skewed = np.zeros((1_000, WEEKS))
        skewed[:50] = 100.0
        band = band_of_draws(skewed, skewed.mean(axis=0), 100.0)
        assert np.all((band.low <= band.expected) & (band.expected <= band.high))

    def test_eighty_of_a_hundred_draws_lie_inside(self) -> None:
        book = book_of()
        effects = Effects(1.0, 0.1)
        band = band_of_draws(simulate(book, effects, generator()), expected_by_week(book), float(book.amounts.sum()))
        worlds = np.array([paid_of(book, effects, seed).by_week.sum(axis=0) for seed in range(60)])
        inside = (worlds >= band.low) & (worlds <= band.high)
        assert 0.72 < inside.mean() < 0.88

    def test_misses_twice_as_large_as_foreseen_double_it(self) -> None:
        band = CashBand(np.full(WEEKS, 100.0), np.full(WEEKS, 90.0), np.full(WEEKS, 110.0), 1_000.0)
        misses = [misses_of(band, np.full(WEEKS, cash), 0, WEEKS) for cash in (80.0, 120.0) * 20]
        wide = stretched(band, gathered(misses), 0, 10_000)
        assert wide.low == pytest.approx(np.full(WEEKS, 80.0))
        assert wide.high == pytest.approx(np.full(WEEKS, 120.0))

    def test_without_misses_it_stays_as_it_is(self) -> None:
        band = CashBand(np.full(WEEKS, 100.0), np.full(WEEKS, 90.0), np.full(WEEKS, 110.0), 1_000.0)
        same = stretched(band, gathered([]), 0, 10_000)
        assert same.low.tolist() == band.low.tolist()
        assert same.high.tolist() == band.high.tolist()

    def test_weeks_that_end_after_the_snapshot_are_not_looked_at(self) -> None:
        band = CashBand(np.full(WEEKS, 100.0), np.full(WEEKS, 90.0), np.full(WEEKS, 110.0), 1_000.0)
        misses = misses_of(band, np.full(WEEKS, 500.0), 100, WEEKS)
        assert stretched(band, misses, 0, 106).high.tolist() == band.high.tolist()
        assert stretched(band, misses, 0, 107).high[0] > band.high[0]

    def test_only_weeks_that_are_over_are_misses(self) -> None:
        band = CashBand(np.zeros(WEEKS), np.zeros(WEEKS), np.zeros(WEEKS), 0.0)
        misses = misses_of(band, np.zeros(WEEKS), 100, 3)
        assert misses.ended.tolist() == [107, 114, 121]
        assert misses.multiple.tolist() == [0.0, 0.0, 0.0]

    @given(st.lists(st.floats(0, 50), max_size=60))
    def test_a_band_never_begins_below_nothing_and_never_misses_its_middle(self, multiples: list[float]) -> None:
        band = CashBand(np.full(WEEKS, 5.0), np.full(WEEKS, 1.0), np.full(WEEKS, 30.0), 100.0)
        n = len(multiples)
        one = stretched(band, Misses(np.arange(n) % WEEKS, np.zeros(n, dtype=np.int64), np.array(multiples)), 0, 1)
        assert np.all((one.low >= 0) & (one.low <= one.expected) & (one.expected <= one.high))

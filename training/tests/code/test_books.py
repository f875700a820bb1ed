"""Cash of invoices to come: their days, their weekdays, their growth."""

import numpy as np
import pytest
from duly_risk.days import weekday_of
from duly_training.backtest.books import DailyTotals, NewInvoiceHabits
from duly_training.backtest.cash import CASH_DAYS
from duly_training.backtest.volume import Volume

FIRST, LAST = 20_000, 20_200
TERM = 10


def habits(amounts: dict[int, float]) -> NewInvoiceHabits:
    """amounts: by day; each is paid for sure ten days after it."""
    table = np.zeros((LAST - FIRST + 1, CASH_DAYS))
    for day, amount in amounts.items():
        table[day - FIRST, TERM - 1] = amount
    return NewInvoiceHabits(FIRST, LAST, {"EUR": table}, {"EUR": table})


def cash(amounts: dict[int, float], growth: float = 1.0, *, is_quarterly: bool = False):
    return habits(amounts).cash_after(LAST, "EUR", (), Volume(growth, 0.1, is_quarterly)).mean


def test_a_steady_volume_is_paid_steadily_once_it_has_had_its_time():
    weeks = cash(dict.fromkeys(range(FIRST, LAST + 1), 1.0))
    assert weeks[0] == 0.0
    assert weeks[1] == 4.0  # issued on days 1..4, paid on days 11..14
    assert np.all(weeks[2:] == 7.0)


def test_each_weekday_brings_the_mean_of_its_own_past():
    mondays = {day: float(day) for day in range(FIRST, LAST + 1) if weekday_of(day) == 0}
    last = [amount for day, amount in mondays.items() if day > LAST - CASH_DAYS]
    assert cash(mondays)[3:] == pytest.approx(np.mean(last))


def test_a_quarterly_volume_comes_back_in_its_own_week():
    day = LAST - CASH_DAYS + 31
    assert np.flatnonzero(cash({day: 5.0}, is_quarterly=True)).tolist() == [(31 + TERM - 1) // 7]
    assert len(np.flatnonzero(cash({day: 5.0}))) > 10


def test_growth_multiplies_every_week():
    amounts = dict.fromkeys(range(FIRST, LAST + 1), 1.0)
    assert cash(amounts, 1.5) == pytest.approx(1.5 * cash(amounts))


def test_without_new_invoices_nothing_is_to_come():
    assert not cash({}).any()
    assert not NewInvoiceHabits(FIRST, LAST).cash_after(LAST, "EUR", (), Volume(1.0, 0.1, False)).mean.any()


def test_volume_is_what_was_known_at_the_end_of_its_day():
    rising = np.repeat(np.arange(1.0, 41.0), 7)
    whole, cut = (DailyTotals(FIRST, {}, {"EUR": days}) for days in (rising, rising[:210]))
    assert whole.volume("EUR", FIRST + 209, FIRST + 100) == cut.volume("EUR", FIRST + 209, FIRST + 100)
    assert whole.volume("EUR", FIRST + 209, FIRST + 100).growth > 1.05
    assert whole.volume("USD", FIRST + 209, FIRST + 100).growth == 1.0

"""cash.csv: expected cash and its 80 % band, by snapshot, week and currency."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal

import numpy as np
from duly_contracts.money import currency_exponent
from duly_risk.curves import CASH_WEEKS, WEEK
from duly_risk.days import date_of
from duly_risk.measures import currency_code

from duly_training.backtest.cash import DRAWS, Effects, FreshCash, OpenBook, expected_by_week, simulate, simulate_fresh
from duly_training.backtest.cash_band import (
    CashBand,
    Misses,
    Paid,
    band_of_draws,
    fit_effects,
    gathered,
    misses_of,
    stretched,
)

COLUMNS = ("snapshot", "week_start", "currency", "expected", "q10", "q90", "open_book_only")
# Misses of weeks that ended within the last 13 weeks: 13 forecasts a week apart for each of the 13 weeks ahead.
MISSES_DAYS = 13 * WEEK
# Of forecasts that only measure the band: their noise evens out over many of them.
_MEASURING_DRAWS = 400


@dataclass(frozen=True, slots=True)
class Prospect:
    """One snapshot in one currency.

    paid: the open book and what came of it. fresh: invoices to come. received: all cash of each week (13,).
    """

    day: int
    currency: str
    paid: Paid
    fresh: FreshCash
    received: np.ndarray[tuple[int], np.dtype[np.float64]]


class CashBands:
    """Forecasts in the order of their days, each band stretched by what the forecasts before it missed."""

    def __init__(self, effects: Effects, seed: int) -> None:
        self._effects, self._seed = effects, seed
        self._misses: dict[bool, list[Misses]] = {True: [], False: []}

    def forecast(self, prospect: Prospect, *, is_asked: bool) -> tuple[CashBand, CashBand]:
        """The band of the open book alone and that of all cash, stretched by what was known at the end of that day."""
        count = DRAWS if is_asked else _MEASURING_DRAWS
        generator = np.random.default_rng([self._seed % 2**32, prospect.day, currency_code(prospect.currency)])
        book = prospect.paid.book
        size = float(book.amounts.sum())
        open_, all_ = expected_by_week(book), expected_by_week(book) + prospect.fresh.mean
        draws = simulate(book, self._effects, generator, count)
        whole = draws + simulate_fresh(prospect.fresh, generator, count)
        raw = {
            True: band_of_draws(draws, open_, size),
            False: band_of_draws(whole, all_, size + float(prospect.fresh.mean.sum())),
        }
        bands = {
            alone: stretched(band, gathered(self._misses[alone]), prospect.day - MISSES_DAYS + 1, prospect.day)
            for alone, band in raw.items()
        }
        received = {True: prospect.paid.by_week.sum(axis=0), False: prospect.received}
        for alone, band in raw.items():
            self._misses[alone].append(misses_of(band, received[alone], prospect.day, prospect.paid.weeks))
        return bands[True], bands[False]


def cash_rows(prospect: Prospect, bands: tuple[CashBand, CashBand]) -> Iterator[tuple[str, ...]]:
    """26 rows: each week of the open book alone (true) and of all cash (false)."""
    for alone, band in zip(("true", "false"), bands, strict=True):
        for week in range(CASH_WEEKS):
            start = date_of(prospect.day + 1 + week * WEEK).isoformat()
            amounts = (
                _decimal(float(values[week]), prospect.currency) for values in (band.expected, band.low, band.high)
            )
            yield (date_of(prospect.day).isoformat(), start, prospect.currency, *amounts, alone)


def effects_of(past: Sequence[Paid], medians: Sequence[float]) -> Effects:
    """Effects over books of several currencies, each measured in its median invoice."""
    return fit_effects(
        [
            Paid(OpenBook(one.book.amounts / unit, one.book.hazards, one.book.debtors), one.by_week / unit, one.weeks)
            for one, unit in zip(past, medians, strict=True)
        ]
    )


def _decimal(minor: float, currency: str) -> str:
    """An expected amount as decimal text of the currency's own exponent."""
    whole = Decimal(minor).quantize(Decimal(1), rounding=ROUND_HALF_UP)
    exponent = currency_exponent(currency)
    return f"{whole.scaleb(-exponent):.{exponent}f}"

"""Cash of the weeks to come and its spread: debtors move together, so invoices are not added as if each stood alone.

Expected cash is arithmetic on the curves. Its spread is simulated: the odds that an open invoice is paid in a week are
multiplied by a debtor effect (all invoices of a debtor in that week) and a week effect (all debtors). Arrays in, arrays
out; amounts are minor units as float64, for expectations of money only.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from duly_risk.curves import CASH_WEEKS, WEEK, Floats, Ints
from numpy.typing import NDArray

DRAWS = 1_000
CASH_DAYS = CASH_WEEKS * WEEK
# Rows x draws held at once: 4 M float32 are 16 MB.
_CELLS_AT_ONCE = 4_000_000
_NODES, _TABLE, _LOGIT_MAX = 41, 2_001, 25.0


@dataclass(frozen=True, slots=True)
class Effects:
    """Variances on the logit of "paid this week, given open": shared by a debtor's invoices, and by all invoices."""

    debtor: float
    week: float


@dataclass(frozen=True, slots=True)
class OpenBook:
    """n open invoices on a day. amounts: (n,) claimable minor units; hazards: (n, 13) from `week_hazards`; debtors:
    (n,), equal = same debtor."""

    amounts: Floats
    hazards: Floats
    debtors: Ints


@dataclass(frozen=True, slots=True)
class FreshCash:
    """Cash of invoices not yet issued: mean (13,), variance (13,) of an unchanged volume, spread = relative standard
    deviation of the volume itself."""

    mean: Floats
    variance: Floats
    spread: float


def week_hazards(survival: Floats) -> Floats:
    """P(paid in week w | open before it): (n, 13). survival: (n, >= 92), S(t0 + j) from j = 0."""
    at = survival[:, : CASH_DAYS + 1 : WEEK]
    return np.asarray(np.clip(1.0 - at[:, 1:] / np.maximum(at[:, :-1], 1e-300), 0.0, 1.0))


def expected_by_week(book: OpenBook) -> Floats:
    """Expected cash of each week (13,): sum of amount x (S before the week - S after it)."""
    survival = np.cumprod(1.0 - book.hazards, axis=1)
    before = np.concatenate([np.ones((len(survival), 1)), survival[:, :-1]], axis=1)
    return np.asarray(np.sum(book.amounts[:, np.newaxis] * (before - survival), axis=0))


def simulate(book: OpenBook, effects: Effects, generator: np.random.Generator, draws: int = DRAWS) -> Floats:
    """Cash by draw and week: (draws, 13). The mean of a week is `expected_by_week`, whatever the effects."""
    paid_by = np.zeros((draws, CASH_WEEKS + 1))
    odds = _centred_odds(book.hazards, effects)
    week = _factors(generator, effects.week, (draws, CASH_WEEKS))
    order = np.argsort(book.debtors, kind="stable")
    rows_max, weeks = max(1, _CELLS_AT_ONCE // draws), range(CASH_WEEKS)
    for part in _whole_debtors(book.debtors[order], rows_max):
        rows = order[part]
        _, group = np.unique(book.debtors[rows], return_inverse=True)
        if len(rows) <= rows_max:
            effect = (_factors(generator, effects.debtor, (draws, int(group[-1]) + 1))[:, group] for _ in weeks)
            paid_by[:, 1:] += _paid_by(book.amounts[rows], odds[rows], effect, week, generator)
        else:  # one debtor: in pieces, that its effect moves alike
            drawn = _factors(generator, effects.debtor, (draws, CASH_WEEKS))
            for start in range(0, len(rows), rows_max):
                piece = rows[start : start + rows_max]
                effect = (drawn[:, w : w + 1] for w in weeks)
                paid_by[:, 1:] += _paid_by(book.amounts[piece], odds[piece], effect, week, generator)
    return np.asarray(np.diff(paid_by, axis=1))


def _paid_by(
    amounts: Floats,
    odds: NDArray[np.float32],
    effects: Iterable[NDArray[np.float32]],
    week: NDArray[np.float32],
    generator: np.random.Generator,
) -> Floats:
    """Cash of n invoices until the end of each week: (draws, 13). effects: by week, (draws, n) or (draws, 1)."""
    shape = len(week), len(amounts)
    still_open, luck = np.ones(shape, dtype=np.float32), generator.random(shape, dtype=np.float32)
    paid = np.empty((shape[0], CASH_WEEKS))
    for w, own in enumerate(effects):
        still_open /= 1.0 + odds[:, w] * (own * week[:, w : w + 1])
        paid[:, w] = (luck > still_open) @ amounts
    return paid


def simulate_fresh(fresh: FreshCash, generator: np.random.Generator, draws: int = DRAWS) -> Floats:
    """Cash of invoices not yet issued, by draw and week: (draws, 13), never below 0.

    One volume per draw, for a busy quarter is busy in all its weeks; the invoices' own luck is near normal in a sum.
    """
    volume = np.exp(generator.standard_normal((draws, 1)) * fresh.spread - fresh.spread**2 / 2)
    luck = generator.standard_normal((draws, CASH_WEEKS)) * np.sqrt(fresh.variance)
    return np.maximum(0.0, volume * fresh.mean + np.sqrt(volume) * luck)


def _factors(generator: np.random.Generator, variance: float, shape: tuple[int, int]) -> NDArray[np.float32]:
    """What an effect multiplies the odds with."""
    normal = generator.standard_normal(shape, dtype=np.float32)
    return np.asarray(np.exp(normal * np.float32(np.sqrt(variance))))


def _centred_odds(hazards: Floats, effects: Effects) -> NDArray[np.float32]:
    """Odds whose mean hazard over the effects is the hazard itself, by table: a spread must not move an expectation."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(_NODES)
    logits = np.linspace(-_LOGIT_MAX, _LOGIT_MAX, _TABLE)
    shifts = np.sqrt(effects.debtor + effects.week) * nodes
    means = (1.0 / (1.0 + np.exp(-(logits[:, np.newaxis] + shifts)))) @ (weights / weights.sum())
    return np.exp(np.interp(hazards, means, logits)).astype(np.float32)


def _whole_debtors(debtors: Ints, rows_max: int) -> list[slice]:
    """Slices of at most `rows_max` rows, or of one debtor; none cuts a debtor in two. debtors: (n,), sorted."""
    slices: list[slice] = []
    begin = before = 0
    for stop in [*(np.flatnonzero(np.diff(debtors)) + 1).tolist(), len(debtors)]:
        if stop - begin > rows_max and before > begin:
            slices.append(slice(begin, before))
            begin = before
        before = stop
    return [*slices, slice(begin, before)] if before > begin else slices

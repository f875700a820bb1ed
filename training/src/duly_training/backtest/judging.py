"""What became of a back-test's predictions and cash: figures to hold against other models' on the same ledger.

Lateness: labels that are ripe (due + max(30, k) days before the ledger's end), unpaid then = late. Days: delays cut at
120. Cash: weeks that ended inside the ledger; WAPE = sum |expected - received| / sum received, first weeks of the
open book, next to the due date as forecast (what is owed of open invoices at most 120 days overdue, overdue ones in
week 1).
A figure that has no value, as the AUC where nobody was late, is absent.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from duly_risk.curves import CASH_WEEKS, WEEK, Floats, Ints
from numpy.typing import NDArray

from duly_training.backtest.outcomes import InvoiceOutcome
from duly_training.backtest.reading import CashForecast, Prediction
from duly_training.judged import DAYS_MAX, LATE_KS, RIPE_DAYS
from duly_training.metrics import auc, average_precision, calibration_error, calibration_line, concordance, log_losses
from duly_training.timeline import NEVER

# An invoice overdue for longer is not expected by its due date any more.
OVERDUE_MAX_DAYS = 120
# Amounts of a file are rounded to the minor unit.
_HALF_A_UNIT = 0.5

Figures = dict[str, object]
_Pairs = Sequence[tuple[Prediction, InvoiceOutcome]]


def judge_predictions(predictions: Sequence[Prediction], outcomes: Mapping[str, InvoiceOutcome], end: int) -> Figures:
    """By measure. end: the day behind the last known one."""
    judged = [(one, outcomes[one.invoice_id]) for one in predictions if one.invoice_id in outcomes]
    ripe = [
        (one, outcome)
        for one, outcome in judged
        if outcome.due + RIPE_DAYS <= end and (outcome.is_paid or outcome.closed == NEVER)
    ]
    figures: Figures = {"invoices": len(predictions), "ripe": len(ripe)}
    if not ripe:
        return figures
    delay = np.array([min(outcome.closed, end) - outcome.due for _, outcome in ripe], dtype=np.int64)
    paid = np.array([outcome.is_paid for _, outcome in ripe])
    for k in LATE_KS:
        p = np.array([one.p_late[k] for one, _ in ripe])
        figures[f"late_{k}"] = _lateness(np.asarray(~paid | (delay >= k)), p)
    figures["days"] = _days(ripe, delay, paid)
    return figures


def _lateness(late: NDArray[np.bool_], p: Floats) -> Figures:
    slope, _ = calibration_line(late, p)
    return _rounded(
        rate=float(late.mean()),
        auc=auc(late, p),
        ap=average_precision(late, p),
        logloss=float(log_losses(late, p).mean()),
        brier=float(((p - late) ** 2).mean()),
        ece=calibration_error(late, p),
        slope=slope,
    )


def _days(ripe: _Pairs, delay: Ints, paid: NDArray[np.bool_]) -> Figures:
    due = np.array([outcome.due for _, outcome in ripe], dtype=np.int64)
    told = np.array([(one.median, one.low, one.high) for one, _ in ripe], dtype=np.int64)
    median, low, high = told.T - due
    error = np.abs(np.minimum(median, DAYS_MAX) - np.minimum(delay, DAYS_MAX))[paid]
    inside = ((low <= delay) & (delay <= high))[paid]
    beyond_due = np.array([one.expected_days - (outcome.due - outcome.issue) for one, outcome in ripe])
    return _rounded(
        mae=_mean(error),
        mae_due_date=_mean(np.minimum(np.abs(delay), DAYS_MAX)[paid]),
        interval_80=_mean(inside),
        concordance=concordance(delay, paid, beyond_due),
    )


def judge_cash(
    forecasts: Sequence[CashForecast], outcomes: Mapping[str, InvoiceOutcome], end: int, weeks: int
) -> Figures:
    """By what is forecast and currency. weeks: how many of the first ones the WAPE adds up."""
    figures: Figures = {}
    for alone, currency in sorted({(one.open_book_only, one.currency) for one in forecasts}):
        group = [one for one in forecasts if (one.open_book_only, one.currency) == (alone, currency)]
        name = f"{'open book' if alone else 'all cash'} {currency}"
        figures[name] = _cash_group(group, [one for one in outcomes.values() if one.currency == currency], end, weeks)
    return figures


def _cash_group(forecasts: Sequence[CashForecast], outcomes: Sequence[InvoiceOutcome], end: int, weeks: int) -> Figures:
    """forecasts: one or more, all of the open book or all of everything."""
    alone = forecasts[0].open_book_only
    cells = []
    for day in sorted({one.snapshot for one in forecasts}):
        book = [one for one in outcomes if not alone or one.issue <= day < one.closed]
        received = _by_week((receipt for one in book for receipt in one.receipts), day)
        by_due = _by_week(
            (
                (max(one.due, day + 1), one.owed_after(day))
                for one in book
                if alone and day - one.due <= OVERDUE_MAX_DAYS
            ),
            day,
        )
        cells += [
            (one.week, one.expected, one.low, one.high, received[one.week], by_due[one.week])
            for one in forecasts
            if one.snapshot == day and day + 1 + WEEK * (one.week + 1) <= end
        ]
    if not cells:
        return {"cells": 0}
    week, expected, low, high, received, due_date = np.array(cells).T
    first = week < weeks
    total = float(received[first].sum()) or math.nan
    inside = (low - _HALF_A_UNIT <= received) & (received <= high + _HALF_A_UNIT)
    return {"cells": len(cells)} | _rounded(
        wape=float(np.abs(expected - received)[first].sum()) / total,
        wape_due_date=float(np.abs(due_date - received)[first].sum()) / total if alone else math.nan,
        bias=float((expected - received)[first].sum()) / total,
        coverage=_mean(inside),
        coverage_first_weeks=_mean(inside[first]),
    )


def _by_week(cash: Iterable[tuple[int, int]], day: int) -> Floats:
    """Sums of the 13 weeks after a day: (13,). cash: (day, minor units)."""
    weeks = np.zeros(CASH_WEEKS)
    for on, amount in cash:
        if day < on <= day + CASH_WEEKS * WEEK:
            weeks[(on - day - 1) // WEEK] += amount
    return weeks


def _mean(values: NDArray[np.generic]) -> float:
    return float(np.mean(values)) if len(values) else math.nan  # type: ignore[arg-type]


def _rounded(**figures: float) -> Figures:
    return {name: round(value, 4) for name, value in figures.items() if not math.isnan(value)}

"""predictions.csv: what the model says of each invoice on the day it is issued."""

from __future__ import annotations

from collections.abc import Sequence

from duly_risk.curves import HORIZON_DAYS, Floats, expected_days, pay_offset, unpaid
from duly_risk.days import date_of
from duly_risk.model import ModelInfo

from duly_training.backtest.asking import Question

COLUMNS = (
    "invoice_id", "debtor_id", "as_of", "p_late_1d", "p_late_5d", "p_late_30d", "expected_days", "median_date",
    "q10_date", "q90_date", "model_version", "role",
)  # fmt: skip


def prediction_row(question: Question, curve: Floats, info: ModelInfo) -> tuple[str, ...]:
    """One row in the order of COLUMNS. curve: (183,) survival from the issue date.

    A quantile beyond the horizon is written as the horizon's last date, issue + 182 days: "not before".
    """
    t0, due = question.as_of_day, question.terms.due_day
    late = (f"{unpaid(curve, t0, due, k):.6f}" for k in (1, 5, 30))
    median, low, high = (_date(t0, pay_offset(curve, share)) for share in (0.5, 0.1, 0.9))
    days = f"{expected_days(curve):.3f}"
    as_of = date_of(t0).isoformat()
    return (
        question.terms.invoice_id, question.debtor_id, as_of, *late, days, median, low, high, info.version, info.role,
    )  # fmt: skip


def in_order(rows: Sequence[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """By issue date, then invoice id."""
    return sorted(rows, key=lambda row: (row[2], row[0]))


def _date(t0: int, offset: int | None) -> str:
    return date_of(t0 + (HORIZON_DAYS if offset is None else offset)).isoformat()

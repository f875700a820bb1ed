"""predictions.csv: what the model says of each invoice on the day it is issued."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from duly_risk.curves import HORIZON_DAYS, Floats, expected_days, pay_offset, unpaid
from duly_risk.days import date_of
from duly_risk.model import ModelInfo

from duly_training.backtest.questions import Question

COLUMNS = (
    "invoice_id", "debtor_id", "as_of", "p_late_1d", "p_late_5d", "p_late_30d", "expected_days", "median_date",
    "q10_date", "q90_date", "model_version", "role",
)  # fmt: skip


def prediction_rows(questions: Sequence[Question], curves: Floats, info: ModelInfo) -> Iterator[tuple[str, ...]]:
    """Rows in the order of COLUMNS. curves: (n, 183) survival from the issue date.

    A quantile beyond the horizon is written as the horizon's last date, issue + 182 days: "not before".
    """
    t0 = np.array([question.as_of_day for question in questions])
    due = np.array([question.terms.due_day for question in questions])
    late = np.column_stack([unpaid(curves, t0, due, k) for k in (1, 5, 30)]).tolist()
    days = expected_days(curves).tolist()
    offsets = np.minimum(np.column_stack([pay_offset(curves, share) for share in (0.5, 0.1, 0.9)]), HORIZON_DAYS)
    dates = (t0[:, np.newaxis] + offsets).tolist()
    for row, question in enumerate(questions):
        yield (
            question.terms.invoice_id,
            question.debtor_id,
            date_of(question.as_of_day).isoformat(),
            *(f"{p:.6f}" for p in late[row]),
            f"{days[row]:.3f}",
            *(date_of(day).isoformat() for day in dates[row]),
            info.version,
            info.role.value,
        )


def in_order(rows: Sequence[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """By issue date, then invoice id."""
    return sorted(rows, key=lambda row: (row[2], row[0]))

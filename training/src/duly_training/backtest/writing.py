"""The two files of a back-test, each there as a whole or not at all."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

from duly_training.backtest import cash_rows, predictions
from duly_training.backtest.run import BacktestResult
from duly_training.whole_file import replacing, require_replaceable

CASH_FILE = "cash.csv"


def write_result(result: BacktestResult, out: Path) -> Path:
    """Predictions to `out`, cash to cash.csv beside it. Returns the cash file. Raises OSError."""
    require_replaceable(out)  # before the cash of another back-test is gone
    out.parent.mkdir(parents=True, exist_ok=True)
    cash = out.parent / CASH_FILE
    _write(cash, cash_rows.COLUMNS, result.cash)
    _write(out, predictions.COLUMNS, result.predictions)
    return cash


def _write(path: Path, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    with replacing(path) as file:
        writer = csv.writer(file, lineterminator="\r\n")
        writer.writerow(columns)
        writer.writerows(rows)

"""The two files of a back-test, each there as a whole or not at all."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from duly_training.backtest import cash_rows, predictions
from duly_training.backtest.run import BacktestResult

CASH_FILE = "cash.csv"


def write_result(result: BacktestResult, out: Path) -> Path:
    """Predictions to `out`, cash to cash.csv beside it. Returns the cash file. Raises OSError."""
    out.parent.mkdir(parents=True, exist_ok=True)
    cash = out.parent / CASH_FILE
    _write(cash, cash_rows.COLUMNS, result.cash)
    _write(out, predictions.COLUMNS, result.predictions)
    return cash


def _write(path: Path, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    scratch = path.with_name(f".{path.name}.part")
    try:
        with scratch.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\r\n")
            writer.writerow(columns)
            writer.writerows(rows)
            file.flush()
            os.fsync(file.fileno())
        os.replace(scratch, path)
    finally:
        scratch.unlink(missing_ok=True)

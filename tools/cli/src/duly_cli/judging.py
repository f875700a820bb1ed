"""`duly judge`: what became of a back-test, as one JSON document."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

from duly_ledger_export import Ledger
from duly_risk.days import day_of
from duly_training.backtest.judging import judge_cash, judge_predictions
from duly_training.backtest.outcomes import outcomes_of
from duly_training.backtest.reading import Prediction, ResultInvalid, read_cash, read_predictions
from duly_training.backtest.writing import CASH_FILE

from duly_cli.errors import CommandFailed
from duly_cli.ledgers import ledger_faults, read_given


def judge_backtest(ledger_path: Path, predictions_file: Path, weeks: int) -> str:
    """weeks: how many of the first ones the WAPE of cash adds up. Raises CommandFailed."""
    try:
        predictions = read_predictions(predictions_file)
        forecasts = read_cash(predictions_file.with_name(CASH_FILE))
    except ResultInvalid as error:
        raise CommandFailed(f"{error}.") from error
    ledger = read_given(ledger_path, "")
    _require_same_ledger(predictions, ledger, ledger_path)
    with ledger_faults():
        end = day_of(ledger.until + timedelta(days=1))
    outcomes = outcomes_of(ledger.records)
    figures = {
        "predictions": judge_predictions(predictions, outcomes, end),
        "cash": judge_cash(forecasts, outcomes, end, weeks),
    }
    return json.dumps(figures, indent=1, allow_nan=False)


def _require_same_ledger(predictions: list[Prediction], ledger: Ledger, path: Path) -> None:
    invoices = {invoice.invoice_id for invoice in ledger.records.invoices}
    unknown = [one.invoice_id for one in predictions if one.invoice_id not in invoices]
    if unknown:
        raise CommandFailed(
            f"{path} does not know {len(unknown):,} of the {len(predictions):,} invoices that were predicted, "
            f"{unknown[0]!r} first: name the ledger that was back-tested, or its continuation."
        )

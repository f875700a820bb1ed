"""`python -m bench.judge`: what became of a back-test's predictions and cash, as one JSON document.

Lateness: labels that are ripe (due + max(30, k) days before the ledger's end), unpaid then = late. Days: delays cut at
120. Cash: weeks that ended inside the ledger; WAPE = sum |expected - received| / sum received, first weeks of the
open book, next to the due date as forecast (open invoices at most 120 days overdue, overdue ones in week 1).
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import numpy as np
from duly_ledger_export import Ledger, read_ledger
from duly_ledger_export.records import AllocationSource
from duly_risk.days import day_of
from duly_training.metrics import auc, average_precision, calibration_error, calibration_line, concordance, log_losses
from numpy.typing import NDArray

RIPE_DAYS, DELAY_MAX, DUE_OVERDUE_MAX = 30, 120, 120
WEEK = 7
_NEVER = 2**31

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Fate:
    """One invoice, days since 1970-01-01. receipts: (day, minor units) put against it; closed: _NEVER = still open."""

    currency: str
    issue: int
    due: int
    total: int
    receipts: tuple[tuple[int, int], ...]
    closed: int
    is_paid: bool


def fates_of(ledger: Ledger) -> dict[str, Fate]:
    """What the ledger knows in the end of each invoice that was not voided."""
    reversed_ = {row.payment_id for row in ledger.records.payments if row.reversed_on}
    lowered: dict[str, list[tuple[int, int, bool]]] = defaultdict(list)
    for part in ledger.records.allocations:
        by_cash = part.source_kind is AllocationSource.PAYMENT
        if not part.removed_on and not (by_cash and part.source_id in reversed_):
            amount = part.amount.amount_minor + (part.discount.amount_minor if part.discount else 0)
            lowered[part.invoice_id].append((day_of(part.on), amount, by_cash))
    for off in ledger.records.write_offs:
        lowered[off.invoice_id].append((day_of(off.on), off.amount.amount_minor, False))
    fates = {}
    for invoice in ledger.records.invoices:
        if invoice.voided_on:
            continue
        rest, closed, is_paid = invoice.total.amount_minor, _NEVER, False
        for day, amount, by_cash in sorted(lowered[invoice.invoice_id]):
            rest -= amount
            if rest <= 0 and closed == _NEVER:
                closed, is_paid = day, by_cash
        fates[invoice.invoice_id] = Fate(
            invoice.total.currency,
            day_of(invoice.issue_date),
            day_of(invoice.due_date),
            invoice.total.amount_minor,
            tuple((day, amount) for day, amount, by_cash in lowered[invoice.invoice_id] if by_cash),
            closed,
            is_paid,
        )
    return fates


def judge_predictions(rows: Sequence[Mapping[str, str]], fates: Mapping[str, Fate], end: int) -> dict[str, object]:
    """end: the day behind the last known one."""
    judged = [(row, fates[row["invoice_id"]]) for row in rows if row["invoice_id"] in fates]
    ripe = [
        (row, fate) for row, fate in judged if fate.due + RIPE_DAYS <= end and (fate.is_paid or fate.closed == _NEVER)
    ]
    if not ripe:
        return {"invoices": len(rows), "ripe": 0}
    delay = np.array([min(fate.closed, end) - fate.due for _, fate in ripe], dtype=np.int64)
    paid = np.array([fate.is_paid for _, fate in ripe])
    figures: dict[str, object] = {"invoices": len(rows), "ripe": len(ripe)}
    for k in (1, 5, 30):
        p = np.array([float(row[f"p_late_{k}d"]) for row, _ in ripe])
        figures[f"late_{k}"] = _lateness(np.asarray(~paid | (delay >= k)), p)
    figures["days"] = _days(ripe, delay, paid)
    return figures


def _lateness(late: NDArray[np.bool_], p: Floats) -> dict[str, float]:
    slope, _ = calibration_line(late, p)
    figures = {
        "rate": float(late.mean()),
        "auc": auc(late, p),
        "ap": average_precision(late, p),
        "logloss": float(log_losses(late, p).mean()),
        "brier": float(((p - late) ** 2).mean()),
        "ece": calibration_error(late, p),
        "slope": slope,
    }
    return {name: round(value, 4) for name, value in figures.items()}


def _days(ripe: Sequence[tuple[Mapping[str, str], Fate]], delay: Ints, paid: NDArray[np.bool_]) -> dict[str, float]:
    def told(column: str) -> Ints:
        return np.array([day_of(date.fromisoformat(row[column])) - fate.due for row, fate in ripe], dtype=np.int64)

    error = np.abs(np.minimum(told("median_date"), DELAY_MAX) - np.minimum(delay, DELAY_MAX))[paid]
    inside = ((told("q10_date") <= delay) & (delay <= told("q90_date")))[paid]
    beyond_due = np.array([float(row["expected_days"]) - (fate.due - fate.issue) for row, fate in ripe])
    figures = {
        "mae": float(error.mean()) if len(error) else float("nan"),
        "mae_due_date": float(np.minimum(np.abs(delay), DELAY_MAX)[paid].mean()) if len(error) else float("nan"),
        "interval_80": float(inside.mean()) if len(inside) else float("nan"),
        "concordance": concordance(delay, paid, beyond_due),
    }
    return {name: round(value, 4) for name, value in figures.items()}


def judge_cash(rows: Sequence[Mapping[str, str]], fates: Mapping[str, Fate], end: int, weeks: int) -> dict[str, object]:
    """By open_book_only and currency. weeks: how many of the first ones the WAPE adds up."""
    groups: dict[tuple[str, str], list[Mapping[str, str]]] = defaultdict(list)
    for row in rows:
        groups[row["open_book_only"], row["currency"]].append(row)
    figures: dict[str, object] = {}
    for (alone, currency), of_group in sorted(groups.items()):
        name = f"{'open book' if alone == 'true' else 'all cash'} {currency}"
        figures[name] = _cash_group(
            of_group, [f for f in fates.values() if f.currency == currency], end, weeks, alone == "true"
        )
    return figures


def _cash_group(
    rows: Sequence[Mapping[str, str]], fates: Sequence[Fate], end: int, weeks: int, alone: bool
) -> dict[str, float]:
    cells = []
    unit = _unit(rows)
    for snapshot in sorted({row["snapshot"] for row in rows}):
        day = day_of(date.fromisoformat(snapshot))
        book = [fate for fate in fates if not alone or fate.issue <= day < fate.closed]
        received = _by_week((one for fate in book for one in fate.receipts), day)
        due = [(max(fate.due, day + 1), fate.total) for fate in book if alone and day - fate.due <= DUE_OVERDUE_MAX]
        by_due = _by_week(due, day)
        for row in sorted((row for row in rows if row["snapshot"] == snapshot), key=lambda row: row["week_start"]):
            start = day_of(date.fromisoformat(row["week_start"]))
            if start + WEEK <= end:
                told = (float(row[column]) * unit for column in ("expected", "q10", "q90"))
                week = (start - day - 1) // WEEK
                cells.append((week, *told, received[week], by_due[week]))
    if not cells:
        return {"cells": 0}
    week, expected, low, high, got, due_date = np.array(cells).T
    first = week < weeks
    total = float(got[first].sum()) or float("nan")
    inside = (low - 0.5 <= got) & (got <= high + 0.5)
    figures = {
        "cells": float(len(cells)),
        "wape": float(np.abs(expected - got)[first].sum()) / total,
        "wape_due_date": float(np.abs(due_date - got)[first].sum()) / total if alone else float("nan"),
        "bias": float((expected - got)[first].sum()) / total,
        "coverage": float(inside.mean()),
        "coverage_first_weeks": float(inside[first].mean()),
    }
    return {name: round(value, 4) for name, value in figures.items()}


def _unit(rows: Sequence[Mapping[str, str]]) -> float:
    decimals = len(rows[0]["expected"].partition(".")[2])
    return float(10**decimals)


def _by_week(cash: Iterable[tuple[int, int]], day: int) -> Floats:
    weeks = np.zeros(13)
    for on, amount in cash:
        if day < on <= day + 13 * WEEK:
            weeks[(on - day - 1) // WEEK] += amount
    return weeks


def _read(file: Path) -> list[dict[str, str]]:
    with file.open(newline="", encoding="utf-8") as lines:
        return list(csv.DictReader(lines))


def main(arguments: Sequence[str]) -> int:
    """Prints the figures; 0."""
    parser = argparse.ArgumentParser(prog="python -m bench.judge", description=__doc__)
    parser.add_argument("--ledger", type=Path, required=True, help="the ledger that knows what came of it")
    parser.add_argument("--predictions", type=Path, required=True, help="predictions.csv, with cash.csv beside it")
    parser.add_argument("--weeks", type=int, default=8, help="weeks that the WAPE adds up [8]")
    options = parser.parse_args(arguments)
    ledger = read_ledger(options.ledger)
    fates, end = fates_of(ledger), day_of(ledger.until + timedelta(days=1))
    figures = {
        "predictions": judge_predictions(_read(options.predictions), fates, end),
        "cash": judge_cash(_read(options.predictions.with_name("cash.csv")), fates, end, options.weeks),
    }
    print(json.dumps(figures, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

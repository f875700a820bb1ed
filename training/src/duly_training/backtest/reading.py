"""The two files of a back-test read back: each row checked, for people keep, cut and join such files."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

from duly_contracts.dates import FIRST_DATE, LAST_DATE
from duly_contracts.money import currency_exponent
from duly_risk.curves import CASH_WEEKS, HORIZON_DAYS, WEEK
from duly_risk.days import day_of

from duly_training.backtest import cash_rows, predictions
from duly_training.judged import LATE_KS

# Of days and amounts: beyond it a file was not written by us, and sums would not be exact.
_LARGEST = 1e15
# What is told of the last date that a fact may have.
_LAST_TOLD = LAST_DATE + timedelta(days=HORIZON_DAYS)


class ResultInvalid(ValueError):
    """A file of a back-test that cannot be judged; the message names file, line and what is wrong."""

    code = "result_invalid"


@dataclass(frozen=True, slots=True)
class Prediction:
    """One row of predictions.csv. p_late: by k of LATE_KS. median, low, high: days since 1970-01-01."""

    invoice_id: str
    p_late: Mapping[int, float]
    expected_days: float
    median: int
    low: int
    high: int


@dataclass(frozen=True, slots=True)
class CashForecast:
    """One row of cash.csv. snapshot: day. week: 0..12 after it. expected, low, high: minor units."""

    snapshot: int
    week: int
    currency: str
    open_book_only: bool
    expected: float
    low: float
    high: float


def read_predictions(file: Path) -> list[Prediction]:
    """Raises ResultInvalid."""
    found: dict[str, Prediction] = {}
    for row in _rows(file, predictions.COLUMNS):
        one = Prediction(
            row.text("invoice_id"),
            {k: row.number(f"p_late_{k}d", most=1.0) for k in LATE_KS},
            row.number("expected_days"),
            *(row.day(column) for column in ("median_date", "q10_date", "q90_date")),
        )
        if one.invoice_id in found:
            raise row.invalid(f"invoice {one.invoice_id!r} comes twice")
        found[one.invoice_id] = one
    return list(found.values())


def read_cash(file: Path) -> list[CashForecast]:
    """Raises ResultInvalid."""
    found: dict[tuple[int, int, str, bool], CashForecast] = {}
    for row in _rows(file, cash_rows.COLUMNS):
        unit, (expected, low, high) = row.unit(), (row.number(name) for name in ("expected", "q10", "q90"))
        cell = row.day("snapshot"), row.week(), row.text("currency"), row.flag("open_book_only")
        if cell in found:
            raise row.invalid("this week of this snapshot and currency comes twice")
        found[cell] = CashForecast(*cell, expected * unit, low * unit, high * unit)
    return list(found.values())


@dataclass(frozen=True, slots=True)
class _Row:
    """place: file and line, for whoever has to mend it."""

    place: str
    values: Mapping[str, str]

    def invalid(self, what: str) -> ResultInvalid:
        return ResultInvalid(f"{self.place}: {what}")

    def text(self, column: str) -> str:
        if not self.values[column]:
            raise self.invalid(f"{column} is empty")
        return self.values[column]

    def number(self, column: str, most: float = _LARGEST) -> float:
        try:
            value = float(self.values[column])
        except ValueError:
            value = math.nan
        if not 0.0 <= value <= most:  # NaN does not
            raise self.invalid(f"{column} {self.values[column]!r} is no number from 0 to {most:g}")
        return value

    def day(self, column: str) -> int:
        text = self.values[column]
        try:
            day = date.fromisoformat(text)
        except ValueError as error:
            raise self.invalid(f"{column} {text!r} is no date such as 2026-03-31") from error
        if not FIRST_DATE <= day <= _LAST_TOLD:
            raise self.invalid(f"{column} {text!r} is no date from {FIRST_DATE} to {_LAST_TOLD}")
        return day_of(day)

    def flag(self, column: str) -> bool:
        if self.values[column] not in ("true", "false"):
            raise self.invalid(f"{column} {self.values[column]!r} must be true or false")
        return self.values[column] == "true"

    def unit(self) -> int:
        """Minor units of one of its currency."""
        try:
            return int(10 ** currency_exponent(self.values["currency"]))
        except ValueError as error:
            raise self.invalid(f"{error}") from error

    def week(self) -> int:
        week, rest = divmod(self.day("week_start") - self.day("snapshot") - 1, WEEK)
        if rest or not 0 <= week < CASH_WEEKS:
            raise self.invalid(f"week_start {self.values['week_start']} begins none of the 13 weeks after the snapshot")
        return week


def _rows(file: Path, columns: Sequence[str]) -> Iterator[_Row]:
    try:
        with file.open(newline="", encoding="utf-8-sig") as lines:
            reader = csv.DictReader(lines)
            missing = [column for column in columns if column not in (reader.fieldnames or ())]
            if missing:
                raise ResultInvalid(f"{file} lacks {', '.join(missing)}: it must be a file that `duly backtest` wrote")
            for values in reader:
                row = _Row(f"{file}, line {reader.line_num}", values)
                if None in values or None in values.values():
                    raise row.invalid("has another number of fields than the header")
                yield row
    except OSError as error:
        raise ResultInvalid(f"{file} cannot be read: {error.strerror or error}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise ResultInvalid(f"{file} is no CSV file in UTF-8: {error}") from error

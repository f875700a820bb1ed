"""What the replayed stream says of cash: open books by snapshot, and the habits of new invoices by day."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from duly_risk.closed_days import ClosedRule, closed_days
from duly_risk.curves import CASH_WEEKS, WEEK, Floats
from duly_risk.facts import InvoiceStated

from duly_training.backtest.cash import CASH_DAYS, FreshCash, OpenBook, week_hazards
from duly_training.backtest.cash_band import Paid
from duly_training.backtest.questions import Question
from duly_training.backtest.receipts import receipts_of
from duly_training.backtest.volume import Volume, growth_of, is_quarterly
from duly_training.history import History

# How unsteady a tenant's volume is taken to be while less than these forecasts of it can be looked at.
_SPREAD_DEFAULT, _SPREAD_RANGE, _SPREAD_POINTS = 0.25, (0.02, 1.0), 8
_FOUR_WEEKS = 4 * WEEK
# By so many weeks it is told whether volume is quarterly.
_JUDGED_WEEKS = 26


@dataclass(slots=True)
class OpenBooks:
    """Open books by (snapshot day, currency), gathered batch by batch."""

    _rows: dict[tuple[int, str], list[tuple[Floats, Floats, Floats]]] = field(default_factory=lambda: defaultdict(list))

    def add(self, questions: Sequence[Question], survival: Floats) -> None:
        """questions: of purpose OPEN; survival: (n, 183)."""
        hazards = week_hazards(survival)
        places: dict[tuple[int, str], list[int]] = defaultdict(list)
        for index, question in enumerate(questions):
            places[question.as_of_day, question.terms.currency].append(index)
        for key, rows in places.items():
            chosen = [questions[row] for row in rows]
            amounts = np.array([one.amount_minor for one in chosen], dtype=np.float64)
            numbers = np.array([one.debtor for one in chosen], dtype=np.int64)
            paid = np.array([_received(one) for one in chosen], dtype=np.float64)
            head = np.column_stack([amounts, numbers])
            self._rows[key].append((head, hazards[rows].astype(np.float32), paid.astype(np.float64)))

    def paid(self, day: int, currency: str, known_before: int) -> Paid:
        """The open book of a day, and what came of it in the weeks that ended before `known_before`."""
        parts = self._rows.get((day, currency), [])
        weeks = min(CASH_WEEKS, max(0, (known_before - 1 - day) // WEEK))
        if not parts:
            nothing = np.empty((0, CASH_WEEKS))
            return Paid(OpenBook(np.empty(0), nothing, np.empty(0, dtype=np.int64)), nothing, weeks)
        head, hazards, by_week = (np.concatenate(column) for column in zip(*parts, strict=True))
        book = OpenBook(head[:, 0], hazards.astype(np.float64), head[:, 1].astype(np.int64))
        return Paid(book, by_week, weeks)


def _received(question: Question) -> list[int]:
    """Cash for the invoice in each of the 13 weeks after the snapshot."""
    weeks = [0] * CASH_WEEKS
    for receipt in question.receipts.of(question.terms.invoice_id, question.as_of_day):
        week = (receipt.known_day - question.as_of_day - 1) // WEEK
        if week < CASH_WEEKS:
            weeks[week] += receipt.amount_minor
    return weeks


@dataclass(slots=True)
class NewInvoiceHabits:
    """Expected cash of the invoices of a day, by the days that pass: one table per currency.

    mean[currency][day known - first_day, j] = sum of amount x P(paid j days later); square: of amount^2 x P.
    """

    first_day: int
    last_day: int
    mean: dict[str, Floats] = field(default_factory=dict)
    square: dict[str, Floats] = field(default_factory=dict)

    def covers(self, day: int) -> bool:
        return self.first_day <= day <= self.last_day

    def add(self, questions: Sequence[Question], survival: Floats) -> None:
        """questions: of purpose FRESH, of covered days; survival: (n, 183)."""
        paid = survival[:, :CASH_DAYS] - survival[:, 1 : CASH_DAYS + 1]
        for row, question in enumerate(questions):
            currency, day = question.terms.currency, question.as_of_day - self.first_day
            for table, weight in ((self.mean, question.amount_minor), (self.square, question.amount_minor**2)):
                if currency not in table:
                    table[currency] = np.zeros((self.last_day - self.first_day + 1, CASH_DAYS))
                table[currency][day] += float(weight) * paid[row]

    def cash_after(self, day: int, currency: str, rules: tuple[ClosedRule, ...], volume: Volume) -> FreshCash:
        """Cash of the 13 weeks after `day` from invoices that become known in them.

        Each day brings what its weekday brought in the mean of the last 13 weeks, or, where volume is quarterly, what
        the day 13 weeks before brought: amounts x terms x the curves they had when they were new, times growth. What
        would fall on a closed day comes on the next open one.
        """
        weekly = [volume.growth * self._by_week(table.get(currency), day, rules, volume.is_quarterly)
                  for table in (self.mean, self.square)]  # fmt: skip
        return FreshCash(weekly[0], weekly[1], volume.spread)

    def _by_week(self, table: Floats | None, day: int, rules: tuple[ClosedRule, ...], is_quarterly: bool) -> Floats:
        by_day = np.zeros(CASH_DAYS + 2)
        coming = self._last_days(table, day)
        if not is_quarterly:
            coming = np.tile(coming.reshape(CASH_WEEKS, WEEK, CASH_DAYS).mean(axis=0), (CASH_WEEKS, 1))
        for ahead in range(1, CASH_DAYS):
            by_day[ahead + 1 : CASH_DAYS + 1] += coming[ahead - 1, : CASH_DAYS - ahead]
        is_closed = closed_days(rules).is_closed
        for ahead in range(1, CASH_DAYS + 1):
            if is_closed[day + ahead]:
                by_day[ahead + 1] += by_day[ahead]
                by_day[ahead] = 0.0
        return np.asarray(by_day[1 : CASH_DAYS + 1].reshape(CASH_WEEKS, WEEK).sum(axis=1))

    def _last_days(self, table: Floats | None, day: int) -> Floats:
        """The rows of the 91 days up to `day`; zeros for days that are not covered."""
        rows = np.zeros((CASH_DAYS, CASH_DAYS))
        if table is not None:
            place = np.arange(day - CASH_DAYS + 1, day + 1) - self.first_day
            inside = (place >= 0) & (place < len(table))
            rows[inside] = table[place[inside]]
        return rows


@dataclass(frozen=True, slots=True)
class DailyTotals:
    """By currency, (days,) from first_day on. received: cash put against invoices; issued: totals of new invoices."""

    first_day: int
    received: Mapping[str, Floats]
    issued: Mapping[str, Floats]

    @property
    def currencies(self) -> tuple[str, ...]:
        return tuple(sorted(self.issued))

    def received_by_week(self, day: int, currency: str) -> Floats:
        """Cash of each of the 13 weeks after `day`: (13,)."""
        days = self._window(self.received.get(currency), day + 1, CASH_DAYS)
        return np.asarray(days.reshape(CASH_WEEKS, WEEK).sum(axis=1))

    def known_currencies(self, day: int) -> list[str]:
        """Currencies in which an invoice had become known by the end of a day."""
        end = day - self.first_day + 1
        return [one for one in self.currencies if end > 0 and self.issued[one][:end].any()]

    def volume(self, currency: str, day: int, spread_until: int) -> Volume:
        """As known at the end of a day; its spread as known before another."""
        weeks = self._weeks(currency, day, CASH_WEEKS + _JUDGED_WEEKS)
        return Volume(growth_of(weeks[-CASH_WEEKS:]), self._spread(currency, spread_until), is_quarterly(weeks))

    def _weeks(self, currency: str, day: int, most: int = CASH_WEEKS) -> Floats:
        """Billed in so many weeks up to `day`, oldest first; of more than 13 only those that the ledger has."""
        count = max(CASH_WEEKS, min(most, (day - self.first_day + 1) // WEEK))
        days = self._window(self.issued.get(currency), day - count * WEEK + 1, count * WEEK)
        return np.asarray(days.reshape(count, WEEK).sum(axis=1))

    def _spread(self, currency: str, until_day: int) -> float:
        """Relative deviation of four weeks' volume from what was expected before them."""
        issued, ratios = self.issued.get(currency), []
        for day in range(self.first_day + CASH_DAYS, until_day - _FOUR_WEEKS, WEEK):
            before = self._window(issued, day - CASH_DAYS, CASH_DAYS).sum() * _FOUR_WEEKS / CASH_DAYS
            after = self._window(issued, day, _FOUR_WEEKS).sum()
            if before > 0 and after > 0:
                ratios.append(float(np.log(after / (before * growth_of(self._weeks(currency, day - 1))))))
        if len(ratios) < _SPREAD_POINTS:
            return _SPREAD_DEFAULT
        return float(np.clip(np.sqrt(np.mean(np.square(ratios))), *_SPREAD_RANGE))

    def _window(self, days: Floats | None, first: int, length: int) -> Floats:
        window = np.zeros(length)
        if days is not None:
            low, high = max(0, first - self.first_day), max(0, min(len(days), first - self.first_day + length))
            if low < high:
                at = low - (first - self.first_day)
                window[at : at + high - low] = days[low:high]
        return window


def daily_totals(history: History) -> DailyTotals:
    """Of the whole history, each fact on the day it was known."""
    received: dict[str, dict[int, int]] = defaultdict(lambda: defaultdict(int))
    issued: dict[str, dict[int, int]] = defaultdict(lambda: defaultdict(int))
    first, last = history.cut_day, 0
    for events in history.by_debtor.values():
        first, last = min(first, events[0].business_day), max(last, events[-1].business_day)
        for event in events:
            if isinstance(event.body, InvoiceStated):
                issued[event.body.currency][event.business_day] += event.body.total_minor
        for parts in receipts_of(events).by_invoice.values():
            for one in parts:
                if one.currency:
                    received[one.currency][one.known_day] += one.amount_minor
    return DailyTotals(first, _tables(received, first, last), _tables(issued, first, last))


def _tables(sums: Mapping[str, Mapping[int, int]], first: int, last: int) -> dict[str, Floats]:
    tables = {}
    for currency, by_day in sums.items():
        tables[currency] = np.zeros(max(0, last - first + 1))
        for day, minor in by_day.items():
            tables[currency][day - first] = float(minor)
    return tables

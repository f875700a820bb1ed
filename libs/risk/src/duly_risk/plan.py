"""What a score needs of one debtor: its book and the measures of its open invoices, the same for every model."""

from __future__ import annotations

from typing import NamedTuple

from duly_risk.book import Book, OpenInvoice, book_of
from duly_risk.measures import Measures, measures_of
from duly_risk.state import DebtorState


class Plan(NamedTuple):
    """measures: a row per claim, (n, >= N_MEASURES); n = 0 for a debtor without open invoices."""

    measures: Measures
    as_of_day: int
    book: Book

    @property
    def claims(self) -> tuple[OpenInvoice, ...]:
        """The open invoices, by invoice id."""
        return self.book.open


def plan_of(state: DebtorState) -> Plan:
    """The plan of a debtor as of the state's business day."""
    book = book_of(state)
    return Plan(measures_of(book, state.business_day), state.business_day, book)

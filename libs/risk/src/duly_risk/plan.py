"""What a score needs of one debtor: the measures of its open invoices and what can be claimed of each."""

from __future__ import annotations

from dataclasses import dataclass

from duly_risk.book import Book, OpenInvoice, Terms, book_of
from duly_risk.measures import Measures, measures_of
from duly_risk.state import DebtorState


@dataclass(frozen=True, slots=True)
class Claim:
    """One open invoice. claimable_minor: open - disputed - its share of the unapplied cash."""

    terms: Terms
    claimable_minor: int


@dataclass(frozen=True, slots=True)
class Plan:
    """measures: a row per claim, (n, >= N_MEASURES); n = 0 for a debtor without open invoices."""

    measures: Measures
    claims: tuple[Claim, ...]
    as_of_day: int
    book: Book


def plan_of(state: DebtorState) -> Plan:
    """The plan of a debtor as of the state's business day, the same for every model."""
    book = book_of(state)
    claimable = claimable_minor(book)
    claims = tuple(Claim(invoice.terms, claimable[invoice.terms.invoice_id]) for invoice in book.open)
    return Plan(measures_of(book, state.business_day), claims, state.business_day, book)


def claimable_minor(book: Book) -> dict[str, int]:
    """Claimable by invoice: open - disputed, unapplied cash of the currency taken off the oldest due first."""
    rest = dict(book.unapplied)
    claimable: dict[str, int] = {}
    for invoice in sorted(book.open, key=_oldest_due):
        asked = invoice.open_minor - invoice.disputed_minor
        covered = min(asked, rest.get(invoice.terms.currency, 0))
        rest[invoice.terms.currency] = rest.get(invoice.terms.currency, 0) - covered
        claimable[invoice.terms.invoice_id] = asked - covered
    return claimable


def _oldest_due(invoice: OpenInvoice) -> tuple[int, str]:
    return invoice.terms.due_day, invoice.terms.invoice_id

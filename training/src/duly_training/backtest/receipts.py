"""What came in: cash that the ledger put against invoices, on the day it knew of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from duly_risk.facts import AllocationApplied, InvoiceStated, RiskEvent, SourceReceived


@dataclass(frozen=True, slots=True)
class Receipt:
    """source_known_day: when the payment itself was known; cash that lay unapplied before is not received again."""

    known_day: int
    source_known_day: int
    amount_minor: int
    currency: str


@dataclass(slots=True)
class Receipts:
    """One debtor's receipts by invoice. Money that was taken back later did come in: it stays."""

    by_invoice: dict[str, list[Receipt]] = field(default_factory=dict)

    def of(self, invoice_id: str, after_day: int) -> Iterator[Receipt]:
        """Receipts of an invoice after a day, from payments that were not known on it."""
        for one in self.by_invoice.get(invoice_id, ()):
            if one.known_day > after_day and one.source_known_day > after_day:
                yield one


def receipts_of(events: Iterable[RiskEvent]) -> Receipts:
    """events: all of one debtor."""
    currencies: dict[str, str] = {}
    sources: dict[str, int] = {}
    applied: dict[str, tuple[int, AllocationApplied]] = {}
    for event in events:
        match event.body:
            case InvoiceStated() as stated:
                currencies[stated.invoice_id] = stated.currency
            case SourceReceived() as source:
                sources.setdefault(source.source_id, event.business_day)
            case AllocationApplied() as put if not put.credit_note:
                applied.setdefault(put.allocation_id, (event.business_day, put))
    receipts = Receipts()
    for day, put in applied.values():
        one = Receipt(day, sources.get(put.source_id, day), put.amount_minor, currencies.get(put.invoice_id, ""))
        receipts.by_invoice.setdefault(put.invoice_id, []).append(one)
    return receipts

"""What a ledger knows in the end of each invoice: read off its records, not folded, so that it checks the fold too."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from duly_ledger_export.records import AllocationSource, Invoice, LedgerRecords
from duly_risk.days import day_of

from duly_training.timeline import NEVER


@dataclass(frozen=True, slots=True)
class InvoiceOutcome:
    """Days since 1970-01-01, minor units. receipts: (day, amount) put against it by payments.

    closed: NEVER = still open. is_paid: what closed it was a payment, not a credit or a write-off.
    """

    currency: str
    issue: int
    due: int
    total: int
    receipts: tuple[tuple[int, int], ...]
    closed: int
    is_paid: bool


@dataclass(frozen=True, slots=True)
class _Part:
    """What lowered an invoice. by_cash: by a payment."""

    day: int
    amount: int
    by_cash: bool


def outcomes_of(records: LedgerRecords) -> dict[str, InvoiceOutcome]:
    """By invoice id, of each that was not voided. What was reversed or taken off later never came."""
    parts = _parts(records)
    return {
        invoice.invoice_id: _outcome(invoice, parts[invoice.invoice_id])
        for invoice in records.invoices
        if not invoice.voided_on
    }


def _outcome(invoice: Invoice, parts: list[_Part]) -> InvoiceOutcome:
    rest, closed, is_paid = invoice.total.amount_minor, NEVER, False
    for part in sorted(parts, key=lambda one: (one.day, one.amount, one.by_cash)):
        rest -= part.amount
        if rest <= 0:
            closed, is_paid = part.day, part.by_cash
            break
    return InvoiceOutcome(
        invoice.total.currency,
        day_of(invoice.issue_date),
        day_of(invoice.due_date),
        invoice.total.amount_minor,
        tuple((part.day, part.amount) for part in parts if part.by_cash),
        closed,
        is_paid,
    )


def _parts(records: LedgerRecords) -> dict[str, list[_Part]]:
    """By invoice id, as they come. A discount that a payment took lowers the invoice as cash does."""
    reversed_ids = {payment.payment_id for payment in records.payments if payment.reversed_on}
    parts: dict[str, list[_Part]] = defaultdict(list)
    for put in records.allocations:
        by_cash = put.source_kind is AllocationSource.PAYMENT
        if not put.removed_on and not (by_cash and put.source_id in reversed_ids):
            amount = put.amount.amount_minor + (put.discount.amount_minor if put.discount else 0)
            parts[put.invoice_id].append(_Part(day_of(put.on), amount, by_cash))
    for off in records.write_offs:
        parts[off.invoice_id].append(_Part(day_of(off.on), off.amount.amount_minor, by_cash=False))
    return parts

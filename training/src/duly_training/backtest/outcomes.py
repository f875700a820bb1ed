"""What a ledger knows in the end of each invoice: read off its records, not folded, so that it checks the fold too.

The rules are the fold's (`duly_risk.balances`): closed on the day the rest came to zero, paid where a payment that
stands had a part in it and no loss was written off.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

from duly_ledger_export.records import AllocationSource, Invoice, LedgerRecords, WriteOffReason
from duly_risk.days import day_of

from duly_training.timeline import NEVER

# What is written off for these reasons is lost; for the others a small difference is let go.
_LOSSES = {WriteOffReason.BAD_DEBT, WriteOffReason.SETTLEMENT}


@dataclass(frozen=True, slots=True)
class InvoiceOutcome:
    """Days since 1970-01-01, minor units. receipts: (day, amount) put against it by payments; credits: by credit notes
    and write-offs.

    closed: NEVER = still open. is_paid: closed, by a payment at least in part, and without a loss.
    """

    currency: str
    issue: int
    due: int
    total: int
    receipts: tuple[tuple[int, int], ...]
    closed: int
    is_paid: bool
    credits: tuple[tuple[int, int], ...] = ()

    def owed_after(self, day: int) -> int:
        """What is left of the total at the end of a day."""
        return self.total - sum(amount for on, amount in (*self.receipts, *self.credits) if on <= day)


@dataclass(slots=True)
class _Parts:
    """What lowered an invoice: (day, amount), by payments and by all else."""

    receipts: list[tuple[int, int]] = field(default_factory=list)
    credits: list[tuple[int, int]] = field(default_factory=list)
    has_loss: bool = False


def outcomes_of(records: LedgerRecords) -> dict[str, InvoiceOutcome]:
    """By invoice id, of each that was not voided. What was reversed, voided or taken off later never came."""
    parts = _parts(records)
    return {
        invoice.invoice_id: _outcome(invoice, parts[invoice.invoice_id])
        for invoice in records.invoices
        if not invoice.voided_on
    }


def _outcome(invoice: Invoice, parts: _Parts) -> InvoiceOutcome:
    closed = _closed_day(invoice, sorted(parts.receipts + parts.credits))
    return InvoiceOutcome(
        invoice.total.currency,
        day_of(invoice.issue_date),
        day_of(invoice.due_date),
        invoice.total.amount_minor,
        tuple(parts.receipts),
        closed,
        closed != NEVER and bool(parts.receipts) and not parts.has_loss,
        tuple(parts.credits),
    )


def _closed_day(invoice: Invoice, lowered: list[tuple[int, int]]) -> int:
    """lowered: by day. An invoice over nothing is closed as it is issued, unless something was put against it."""
    rest = invoice.total.amount_minor
    for on, amount in lowered:
        rest -= amount
        if rest <= 0:
            return on
    return NEVER if rest > 0 else day_of(invoice.issue_date)


def _parts(records: LedgerRecords) -> dict[str, _Parts]:
    """By invoice id, as they come. A discount that a payment took lowers the invoice as cash does."""
    undone = {(AllocationSource.PAYMENT, one.payment_id) for one in records.payments if one.reversed_on}
    undone |= {(AllocationSource.CREDIT_NOTE, one.credit_note_id) for one in records.credit_notes if one.voided_on}
    parts: dict[str, _Parts] = defaultdict(_Parts)
    for put in records.allocations:
        if put.removed_on or (put.source_kind, put.source_id) in undone:
            continue
        amount = put.amount.amount_minor + (put.discount.amount_minor if put.discount else 0)
        of = parts[put.invoice_id]
        kept = of.receipts if put.source_kind is AllocationSource.PAYMENT else of.credits
        kept.append((day_of(put.on), amount))
    for off in records.write_offs:
        of = parts[off.invoice_id]
        of.credits.append((day_of(off.on), off.amount.amount_minor))
        of.has_loss |= off.reason in _LOSSES
    return parts

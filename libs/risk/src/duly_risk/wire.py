"""One invoice, one payment and one closed invoice as bytes, and back. Frozen values remember the bytes they have."""

from __future__ import annotations

from collections.abc import Sequence

from duly.risk.v1 import state_pb2 as pb
from duly_risk.state import Allocation, Invoice, Reversal, Source, WriteOff


def invoice_bytes(invoice: Invoice) -> bytes:
    """An `InvoiceState`."""
    if invoice.encoded is None:
        object.__setattr__(invoice, "encoded", _invoice_message(invoice).SerializeToString(deterministic=True))
    assert invoice.encoded is not None
    return invoice.encoded


def invoice_from(encoded: bytes) -> Invoice:
    """The invoice of an `InvoiceState`. Raises DecodeError."""
    invoice = _invoice(pb.InvoiceState.FromString(encoded))
    object.__setattr__(invoice, "encoded", encoded)
    return invoice


def source_bytes(source: Source) -> bytes:
    """A `SourceState`."""
    if source.encoded is None:
        object.__setattr__(source, "encoded", _source_message(source).SerializeToString(deterministic=True))
    assert source.encoded is not None
    return source.encoded


def source_from(encoded: bytes) -> Source:
    """The payment or credit note of a `SourceState`. Raises DecodeError."""
    source = _source(pb.SourceState.FromString(encoded))
    object.__setattr__(source, "encoded", encoded)
    return source


def closed_bytes(invoice: Invoice, closed_day: int, sources: Sequence[Source]) -> bytes:
    """A `ClosedInvoices` of one: messages of it, one after the other, are a `ClosedInvoices` of all."""
    record = pb.ClosedInvoice(closed_day=closed_day, sources=[_source_message(source) for source in sources])
    record.invoice.MergeFromString(invoice_bytes(invoice))
    return pb.ClosedInvoices(invoices=[record]).SerializeToString(deterministic=True)


def closed_from(packed: bytes) -> tuple[list[Invoice], list[Source]]:
    """Invoices and their sources of a `ClosedInvoices`. Raises DecodeError."""
    records = pb.ClosedInvoices.FromString(packed).invoices
    return (
        [_invoice(record.invoice) for record in records],
        [_source(source) for record in records for source in record.sources],
    )


def _invoice_message(invoice: Invoice) -> pb.InvoiceState:
    return pb.InvoiceState(
        invoice_id=invoice.invoice_id,
        known=invoice.known,
        issue_day=invoice.issue_day,
        due_day=invoice.due_day,
        total_minor=invoice.total_minor,
        currency=invoice.currency,
        source_version=invoice.source_version,
        voided=invoice.voided,
        voided_day=invoice.voided_day,
        disputed_minor=invoice.disputed_minor,
        dispute_day=invoice.dispute_day,
        dispute_version=invoice.dispute_version,
        dispute_resolved=invoice.dispute_resolved,
        allocations=[_allocation_message(allocation) for allocation in invoice.allocations],
        write_offs=[
            pb.WriteOffState(
                write_off_id=off.write_off_id, amount_minor=off.amount_minor, on_day=off.on_day, loss=off.loss
            )
            for off in invoice.write_offs
        ],
    )


def _invoice(message: pb.InvoiceState) -> Invoice:
    return Invoice(
        message.invoice_id,
        message.known,
        message.issue_day,
        message.due_day,
        message.total_minor,
        message.currency,
        message.source_version,
        message.voided,
        message.voided_day,
        message.disputed_minor,
        message.dispute_day,
        message.dispute_version,
        message.dispute_resolved,
        tuple(map(_allocation, message.allocations)),
        tuple(WriteOff(off.write_off_id, off.amount_minor, off.on_day, off.loss) for off in message.write_offs),
    )


def _allocation_message(allocation: Allocation) -> pb.AllocationState:
    return pb.AllocationState(
        allocation_id=allocation.allocation_id,
        source_id=allocation.source_id,
        amount_minor=allocation.amount_minor,
        discount_minor=allocation.discount_minor,
        on_day=allocation.on_day,
        credit_note=allocation.credit_note,
        applied=allocation.applied,
        removed=allocation.removed,
    )


def _allocation(message: pb.AllocationState) -> Allocation:
    return Allocation(
        message.allocation_id,
        message.source_id,
        message.amount_minor,
        message.discount_minor,
        message.on_day,
        message.credit_note,
        message.applied,
        message.removed,
    )


def _source_message(source: Source) -> pb.SourceState:
    return pb.SourceState(
        source_id=source.source_id,
        credit_note=source.credit_note,
        known=source.known,
        amount_minor=source.amount_minor,
        currency=source.currency,
        day=source.day,
        voided=source.voided,
        reversals=[
            pb.ReversalState(reversal_id=reversal.reversal_id, amount_minor=reversal.amount_minor)
            for reversal in source.reversals
        ],
        archived_minor=source.archived_minor,
        settled_minor=source.settled_minor,
    )


def _source(message: pb.SourceState) -> Source:
    return Source(
        message.source_id,
        message.credit_note,
        message.known,
        message.amount_minor,
        message.currency,
        message.day,
        message.voided,
        tuple(Reversal(reversal.reversal_id, reversal.amount_minor) for reversal in message.reversals),
        message.archived_minor,
        message.settled_minor,
    )

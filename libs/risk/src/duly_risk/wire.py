"""One invoice, one payment and one closed invoice as bytes, and back. Frozen values remember the bytes they have."""

from __future__ import annotations

from collections.abc import Sequence

from google.protobuf.message import DecodeError

from duly.risk.v1 import state_pb2 as pb
from duly_risk.state import Allocation, Invoice, Reversal, Source, StateUnreadable, WriteOff


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


def closed_bytes(invoice: Invoice, closed_day: int, paid: bool, sources: Sequence[Source]) -> bytes:
    """A `ClosedInvoices` of one: messages of it, one after the other, are a `ClosedInvoices` of all.

    sources: by id.
    """
    row = _closed_frame(invoice, closed_day, paid, sources)
    return pb.ClosedInvoicesFrame(invoices=[row]).SerializeToString(deterministic=True)


def closed_from(packed: bytes) -> tuple[list[Invoice], list[Source]]:
    """Invoices and their sources of a `ClosedInvoices`. Raises StateUnreadable."""
    try:
        rows = pb.ClosedInvoicesFrame.FromString(packed).invoices
        return (
            [invoice_from(row.invoice) for row in rows],
            [source_from(source) for row in rows for source in row.sources],
        )
    except DecodeError as error:
        raise StateUnreadable(f"closed invoices: {error}") from error


def with_closed_inserted(
    packed: bytes, invoice: Invoice, closed_day: int, paid: bool, sources: Sequence[Source]
) -> tuple[bytes, int]:
    """A `ClosedInvoices` with one more in its place, and how many paid ones come before it.

    sources: each goes beside the last invoice that has an allocation from it. Raises StateUnreadable.
    """
    try:
        return _with_closed_inserted(packed, invoice, closed_day, paid, sources)
    except DecodeError as error:
        raise StateUnreadable(f"closed invoices: {error}") from error


def _with_closed_inserted(
    packed: bytes, invoice: Invoice, closed_day: int, paid: bool, sources: Sequence[Source]
) -> tuple[bytes, int]:
    rows = list(pb.ClosedInvoicesFrame.FromString(packed).invoices)
    key = closed_day, invoice.issue_day, invoice.invoice_id
    at = len(rows)
    while at and _comes_after(rows[at - 1], key):
        at -= 1
    rows.insert(at, _closed_frame(invoice, closed_day, paid, ()))
    for source in sources:
        # As it stands on the wire, with tag and length: no longer or shorter id looks like it.
        named = pb.AllocationState(source_id=source.source_id).SerializeToString()
        beside = rows[max(index for index in range(at, len(rows)) if index == at or named in rows[index].invoice)]
        known = {source_from(one).source_id: one for one in beside.sources} | {source.source_id: source_bytes(source)}
        beside.sources[:] = [known[source_id] for source_id in sorted(known)]
    inserted = pb.ClosedInvoicesFrame(invoices=rows).SerializeToString(deterministic=True)
    return inserted, sum(row.paid for row in rows[:at])


def _comes_after(row: pb.ClosedInvoiceFrame, key: tuple[int, int, str]) -> bool:
    days = row.closed_day, row.issue_day
    if days != key[:2]:
        return days > key[:2]
    return pb.InvoiceState.FromString(row.invoice).invoice_id > key[2]


def _closed_frame(invoice: Invoice, closed_day: int, paid: bool, sources: Sequence[Source]) -> pb.ClosedInvoiceFrame:
    return pb.ClosedInvoiceFrame(
        invoice=invoice_bytes(invoice),
        closed_day=closed_day,
        sources=[source_bytes(source) for source in sources],
        issue_day=invoice.issue_day,
        paid=paid,
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
    allocations, write_offs = message.allocations, message.write_offs  # of most open invoices there are none
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
        tuple(map(_allocation, allocations)) if allocations else (),
        tuple(map(_write_off, write_offs)) if write_offs else (),
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


def _write_off(message: pb.WriteOffState) -> WriteOff:
    return WriteOff(message.write_off_id, message.amount_minor, message.on_day, message.loss)


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

"""What each fact does to a state's records. Newer facts win by source version where there is one, else by log order."""

from __future__ import annotations

import re
from typing import assert_never

from duly_risk.archiving import is_archived
from duly_risk.bounds import bounded
from duly_risk.facts import (
    AllocationApplied,
    AllocationRemoved,
    CreditNoteVoided,
    DisputeStated,
    Fact,
    InvoiceStated,
    InvoiceVoided,
    InvoiceWrittenOff,
    NoBalanceChange,
    PaymentReversed,
    SourceReceived,
)
from duly_risk.packing import names, packed, unpacked, with_closed_packed
from duly_risk.state import Allocation, DebtorState, Invoice, Reversal, Source, WriteOff, replaced

_INSTANT = re.compile(r"\d{4}-\d\d-\d\d")


def apply_fact(state: DebtorState, fact: Fact) -> DebtorState:
    """The state's records after a fact that comes for the first time, packed and within the blob's bounds."""
    if _names_closed(state, fact):
        return bounded(packed(apply_records(unpacked(state), fact)))
    after = apply_records(state, fact)
    return bounded(with_closed_packed(after, _may_have_closed(after, fact)))


def _names_closed(state: DebtorState, fact: Fact) -> bool:
    """Whether the packed invoices are needed for a fact, or may be changed by it."""
    match fact:
        case NoBalanceChange():
            return False
        case SourceReceived() | PaymentReversed() | CreditNoteVoided():
            return names(state.closed, _source_id(fact))
        case AllocationApplied() if fact.source_id not in state.sources and names(state.closed, fact.source_id):
            return True
        case _:
            return fact.invoice_id not in state.invoices and names(state.closed, fact.invoice_id)


def _may_have_closed(after: DebtorState, fact: Fact) -> list[Invoice]:
    match fact:
        case NoBalanceChange():
            return []
        case SourceReceived() | PaymentReversed() | CreditNoteVoided():
            source_id = _source_id(fact)
            source = after.sources[source_id]
            if not source.voided and not source.reversals:
                return []  # it stood before and does so now
            return [one for one in after.invoices.values() if any(a.source_id == source_id for a in one.allocations)]
        case _:
            invoice = after.invoices.get(fact.invoice_id)
            return [] if invoice is None else [invoice]


def _source_id(fact: SourceReceived | PaymentReversed | CreditNoteVoided) -> str:
    match fact:
        case SourceReceived():
            return fact.source_id
        case PaymentReversed():
            return fact.payment_id
        case CreditNoteVoided():
            return fact.credit_note_id


def apply_records(state: DebtorState, fact: Fact) -> DebtorState:
    """The same unpacked, without bounds: every invoice stays. A fact that fits nothing yet waits for what it names."""
    match fact:
        case NoBalanceChange():
            return state
        case SourceReceived() | PaymentReversed() | CreditNoteVoided():
            source = _with_source_fact(state, fact)
            return state._replace(sources={**state.sources, source.source_id: source})
        case _:
            return _apply_to_invoice(state, fact)


def _apply_to_invoice(
    state: DebtorState,
    fact: InvoiceStated | InvoiceVoided | DisputeStated | InvoiceWrittenOff | AllocationApplied | AllocationRemoved,
) -> DebtorState:
    invoice = state.invoices.get(fact.invoice_id)
    if invoice is None and is_archived(state.archive, fact.invoice_id):
        return _late(state, fact)
    after = _with_invoice_fact(invoice or Invoice(fact.invoice_id), fact)
    return state._replace(invoices={**state.invoices, fact.invoice_id: after})


def _late(state: DebtorState, fact: object) -> DebtorState:
    """A fact about an invoice that left the blob: counted; only an allocation still uses up its payment."""
    sources = state.sources
    if isinstance(fact, AllocationApplied) and fact.source_id in sources:
        source = sources[fact.source_id]
        used = replaced(source, archived_minor=source.archived_minor + fact.amount_minor)
        sources = {**sources, fact.source_id: used}
    archive = replaced(state.archive, late_facts=state.archive.late_facts + 1)
    return state._replace(sources=sources, archive=archive)


def _with_source_fact(state: DebtorState, fact: SourceReceived | PaymentReversed | CreditNoteVoided) -> Source:
    match fact:
        case SourceReceived():
            source = state.sources.get(fact.source_id, Source(fact.source_id))
            return replaced(
                source,
                known=True,
                credit_note=fact.credit_note,
                amount_minor=fact.amount_minor,
                currency=fact.currency,
                day=fact.day,
            )
        case PaymentReversed():
            source = state.sources.get(fact.payment_id, Source(fact.payment_id))
            others = [known for known in source.reversals if known.reversal_id != fact.reversal_id]
            reversals = sorted([*others, Reversal(fact.reversal_id, fact.amount_minor)], key=lambda r: r.reversal_id)
            return replaced(source, reversals=tuple(reversals))
        case CreditNoteVoided():
            source = state.sources.get(fact.credit_note_id, Source(fact.credit_note_id, credit_note=True))
            return replaced(source, voided=True)
        case _:
            assert_never(fact)


def _with_invoice_fact(
    invoice: Invoice,
    fact: InvoiceStated | InvoiceVoided | DisputeStated | InvoiceWrittenOff | AllocationApplied | AllocationRemoved,
) -> Invoice:
    match fact:
        case InvoiceStated():
            return _stated(invoice, fact)
        case InvoiceVoided():
            return replaced(invoice, voided=True, voided_day=fact.on_day)
        case DisputeStated():
            return _disputed(invoice, fact)
        case InvoiceWrittenOff():
            off = WriteOff(fact.write_off_id, fact.amount_minor, fact.on_day, fact.loss)
            others = [known for known in invoice.write_offs if known.write_off_id != off.write_off_id]
            return replaced(invoice, write_offs=tuple(sorted([*others, off], key=lambda o: o.write_off_id)))
        case AllocationApplied():
            known = _allocation(invoice, fact.allocation_id)
            return _with_allocation(
                invoice,
                replaced(
                    known,
                    source_id=fact.source_id,
                    amount_minor=fact.amount_minor,
                    discount_minor=fact.discount_minor,
                    on_day=fact.on_day,
                    credit_note=fact.credit_note,
                    applied=True,
                ),
            )
        case AllocationRemoved():
            # A removal may come before its allocation; it stands for good, re-allocation has a new id.
            return _with_allocation(invoice, replaced(_allocation(invoice, fact.allocation_id), removed=True))
        case _:
            assert_never(fact)


def _stated(invoice: Invoice, fact: InvoiceStated) -> Invoice:
    if invoice.known and is_older(fact.source_version, invoice.source_version):
        return invoice
    return replaced(
        invoice,
        known=True,
        issue_day=fact.issue_day,
        due_day=fact.due_day,
        total_minor=fact.total_minor,
        currency=fact.currency,
        source_version=fact.source_version,
    )


def _disputed(invoice: Invoice, fact: DisputeStated) -> Invoice:
    known = (invoice.dispute_day, invoice.dispute_resolved)
    if is_older(fact.source_version, invoice.dispute_version):
        return invoice
    if not is_older(invoice.dispute_version, fact.source_version) and (fact.on_day, fact.resolved) < known:
        return invoice
    return replaced(
        invoice,
        disputed_minor=fact.amount_minor,
        dispute_day=fact.on_day,
        dispute_version=fact.source_version,
        dispute_resolved=fact.resolved,
    )


def _allocation(invoice: Invoice, allocation_id: str) -> Allocation:
    for known in invoice.allocations:
        if known.allocation_id == allocation_id:
            return known
    return Allocation(allocation_id)


def _with_allocation(invoice: Invoice, allocation: Allocation) -> Invoice:
    others = [known for known in invoice.allocations if known.allocation_id != allocation.allocation_id]
    return replaced(invoice, allocations=tuple(sorted([*others, allocation], key=lambda a: a.allocation_id)))


def is_older(version: str, than: str) -> bool:
    """Whether a source version is older than another. Counters and ISO 8601 stamps have an order, a hash has none."""
    if version.isdecimal() and than.isdecimal():
        return int(version) < int(than)
    if _INSTANT.match(version) and _INSTANT.match(than):
        return version < than
    return False

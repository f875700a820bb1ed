"""Ledger facts into the debtor's view; a fact that settles, disputes or postpones an invoice takes
waiting treatments back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date
from typing import NamedTuple

from duly.ledger.v1 import events_pb2 as pb
from duly.outreach.v1 import events_pb2 as outreach_pb
from outreach.application.outgoing import emit_caused
from outreach.application.ports import Received, Unit
from outreach.application.withdraw_treatments import withdraw_settled
from outreach.domain import ledger
from outreach.domain.debtor import ContactPoint, Debtor
from outreach.domain.ledger import Invoice, Source, WriteOff

_LOSSES = (pb.WRITE_OFF_REASON_BAD_DEBT, pb.WRITE_OFF_REASON_SETTLEMENT)
_POINT_CHANNELS = {pb.CONTACT_POINT_CHANNEL_EMAIL: "EMAIL", pb.CONTACT_POINT_CHANNEL_PHONE: "PHONE"}


class Change(NamedTuple):
    """One invoice before and after a fact."""

    before: Invoice
    after: Invoice


Fold = Callable[[Received, Debtor, Unit], Sequence[Change]]
Handler = Callable[[Received, Unit], None]


def ledger_fact(fold: Fold) -> Handler:
    """A handler that folds one kind of fact. History changes the view alone, but still stops what it settles."""

    def on_ledger_fact(event: Received, unit: Unit) -> None:
        debtor = unit.ledger.lock_debtor(event.tenant, event.debtor_id, event.offset)
        for ordinal, change in enumerate(fold(event, debtor, unit)):
            after = change.after
            if after == change.before:
                continue
            if after.open_minor == 0 and after.overdue_since is not None:
                after = replace(after, overdue_since=None)
            unit.ledger.save_invoice(event.tenant, event.debtor_id, after)
            if change.before.open_minor > 0 and after.is_paid and not event.envelope.backfill:
                _say_paid(event, after, unit, ordinal)
        if debtor.open_treatments:
            withdraw_settled(debtor, event.envelope, unit)

    return on_ledger_fact


def _say_paid(event: Received, invoice: Invoice, unit: Unit, ordinal: int) -> None:
    assert invoice.due_date is not None
    on = event.envelope.business_date or event.envelope.time.date()
    message = outreach_pb.InvoicePaid(
        invoice_id=invoice.invoice_id,
        debtor_id=event.debtor_id,
        business_date=on.isoformat(),
        dpd=(on - invoice.due_date).days,
    )
    emit_caused(unit, event.envelope, event.debtor_id, message, ordinal)


def _invoice(event: Received, unit: Unit, invoice_id: str) -> Invoice:
    return unit.ledger.invoice(event.tenant, event.debtor_id, invoice_id)


def fold_party(event: Received, debtor: Debtor, unit: Unit) -> Sequence[Change]:
    fact = event.message
    assert isinstance(fact, pb.PartyUpserted)
    version = event.envelope.source_version
    if ledger.is_older(version, debtor.party_version):
        return ()
    points = tuple(
        ContactPoint(point.contact_point_id, _POINT_CHANNELS[point.channel], point.verified)
        for point in fact.contact_points
        if point.channel in _POINT_CHANNELS
    )
    kind = "UNKNOWN" if fact.kind == pb.PARTY_KIND_UNSPECIFIED else pb.PartyKind.Name(fact.kind)
    changed = replace(
        debtor,
        kind=kind.removeprefix("PARTY_KIND_"),
        country=fact.country,
        zones=tuple(fact.zones),
        contact_points=points,
        party_version=version,
    )
    unit.ledger.save_debtor(changed)
    return ()


def fold_invoice(event: Received, debtor: Debtor, unit: Unit) -> Sequence[Change]:
    fact = event.message
    assert isinstance(fact, pb.InvoiceIssued | pb.InvoiceRevised)
    before = _invoice(event, unit, fact.invoice_id)
    due = date.fromisoformat(fact.due_date)
    version = event.envelope.source_version
    return (Change(before, ledger.stated(before, due, fact.total.currency, fact.total.amount_minor, version)),)


def fold_voided(event: Received, debtor: Debtor, unit: Unit) -> Sequence[Change]:
    fact = event.message
    assert isinstance(fact, pb.InvoiceVoided)
    before = _invoice(event, unit, fact.invoice_id)
    return (Change(before, replace(before, voided=True)),)


def fold_dispute(event: Received, debtor: Debtor, unit: Unit) -> Sequence[Change]:
    fact = event.message
    assert isinstance(fact, pb.InvoiceDisputed | pb.InvoiceDisputeResolved)
    before = _invoice(event, unit, fact.invoice_id)
    resolved = isinstance(fact, pb.InvoiceDisputeResolved)
    amount = 0 if isinstance(fact, pb.InvoiceDisputeResolved) else fact.amount.amount_minor
    return (Change(before, ledger.disputed(before, amount, fact.on, event.envelope.source_version, resolved)),)


def fold_write_off(event: Received, debtor: Debtor, unit: Unit) -> Sequence[Change]:
    fact = event.message
    assert isinstance(fact, pb.InvoiceWrittenOff)
    before = _invoice(event, unit, fact.invoice_id)
    off = WriteOff(fact.amount.amount_minor, fact.reason in _LOSSES)
    return (Change(before, ledger.written_off(before, fact.write_off_id, off)),)


def fold_source(event: Received, debtor: Debtor, unit: Unit) -> Sequence[Change]:
    """Money or credit came in; it stays unapplied until an allocation says for what."""
    fact = event.message
    assert isinstance(fact, pb.PaymentReceived | pb.CreditNoteIssued)
    source_id = fact.payment_id if isinstance(fact, pb.PaymentReceived) else fact.credit_note_id
    before = unit.ledger.source(event.tenant, event.debtor_id, source_id)
    amount = fact.amount
    after = replace(before, known=True, currency=amount.currency, amount_minor=amount.amount_minor)
    return _with_source(event, unit, before, after)


def fold_source_undone(event: Received, debtor: Debtor, unit: Unit) -> Sequence[Change]:
    fact = event.message
    assert isinstance(fact, pb.PaymentReversed | pb.CreditNoteVoided)
    if isinstance(fact, pb.CreditNoteVoided):
        before = unit.ledger.source(event.tenant, event.debtor_id, fact.credit_note_id)
        return _with_source(event, unit, before, replace(before, voided=True))
    before = unit.ledger.source(event.tenant, event.debtor_id, fact.payment_id)
    reversals = {**before.reversals, fact.reversal_id: fact.amount.amount_minor}
    return _with_source(event, unit, before, replace(before, reversals=reversals))


def _with_source(event: Received, unit: Unit, before: Source, after: Source) -> Sequence[Change]:
    unit.ledger.save_source(event.tenant, event.debtor_id, after)
    if after.stands == before.stands:
        return ()
    invoices = unit.ledger.invoices_paid_from(event.tenant, event.debtor_id, after.source_id)
    return [Change(one, ledger.with_source_standing(one, after.source_id, after.stands)) for one in invoices]


def fold_allocation(event: Received, debtor: Debtor, unit: Unit) -> Sequence[Change]:
    fact = event.message
    assert isinstance(fact, pb.AllocationApplied)
    before = _invoice(event, unit, fact.invoice_id)
    known = ledger.allocation_of(before, fact.allocation_id)
    source = unit.ledger.source(event.tenant, event.debtor_id, fact.source_id)
    applied = replace(
        known,
        source_id=fact.source_id,
        amount_minor=fact.amount.amount_minor,
        discount_minor=fact.discount.amount_minor,
        credit_note=fact.source_kind == pb.ALLOCATION_SOURCE_CREDIT_NOTE,
        applied=True,
        source_stands=source.stands,
    )
    _move_use(event, unit, source, known, applied)
    return (Change(before, ledger.with_allocation(before, fact.allocation_id, applied)),)


def fold_allocation_removed(event: Received, debtor: Debtor, unit: Unit) -> Sequence[Change]:
    fact = event.message
    assert isinstance(fact, pb.AllocationRemoved)
    before = _invoice(event, unit, fact.invoice_id)
    known = ledger.allocation_of(before, fact.allocation_id)
    removed = replace(known, removed=True)
    if known.source_id:
        source = unit.ledger.source(event.tenant, event.debtor_id, known.source_id)
        _move_use(event, unit, source, known, removed)
    return (Change(before, ledger.with_allocation(before, fact.allocation_id, removed)),)


def _move_use(event: Received, unit: Unit, source: Source, before: ledger.Allocation, after: ledger.Allocation) -> None:
    """Keep what the source has left in step with the allocation's own change."""
    used = (after.amount_minor if after.uses_source else 0) - (before.amount_minor if before.uses_source else 0)
    if used:
        changed = replace(source, used_minor=source.used_minor + used)
        unit.ledger.save_source(event.tenant, event.debtor_id, changed)


def fold_drift(event: Received, debtor: Debtor, unit: Unit) -> Sequence[Change]:
    """Our balance and the source's differ (I10): no contact until they agree again."""
    assert isinstance(event.message, pb.LedgerDriftDetected | pb.LedgerDriftCleared)
    unit.ledger.save_debtor(replace(debtor, drift=isinstance(event.message, pb.LedgerDriftDetected)))
    return ()

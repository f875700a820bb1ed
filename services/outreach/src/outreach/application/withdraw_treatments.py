"""Nothing is sent for what is paid, disputed or not due any more: a fact takes back treatments that still wait."""

from __future__ import annotations

from duly_contracts.envelope import Envelope

from duly.gateway.v1 import contact_service_pb2 as gateway_pb
from duly.outreach.v1 import events_pb2 as pb
from outreach.application.outgoing import emit_caused
from outreach.application.ports import Unit
from outreach.domain.debtor import Debtor, claimable_minor
from outreach.domain.treatment import CancelReason, Treatment, why_withdrawn


def withdraw_settled(debtor: Debtor, cause: Envelope, unit: Unit) -> None:
    """Cancel each waiting treatment that lists an invoice which is no longer claimable or overdue, or is disputed."""
    tenant, debtor_id = debtor.tenant, debtor.debtor_id
    waiting = unit.treatments.waiting(tenant, [debtor_id]).get(debtor_id, ())
    invoices = unit.ledger.open_invoices(tenant, [debtor_id]).get(debtor_id, ())
    claimable = claimable_minor(invoices, unit.ledger.unapplied(tenant, [debtor_id]).get(debtor_id, {}))
    by_id = {invoice.invoice_id: invoice for invoice in invoices}
    business_date = cause.business_date or cause.time.date()
    ordinal = 0
    for treatment in waiting:
        reason = why_withdrawn(treatment, by_id, claimable, business_date)
        if reason is not None:
            cancel_treatment(treatment, reason, cause, unit, ordinal)
            ordinal += 1


def cancel_treatment(treatment: Treatment, reason: CancelReason, cause: Envelope, unit: Unit, ordinal: int = 0) -> None:
    """Say that the contact is off, and tell the gateway if it may have heard of it."""
    unit.treatments.cancel(treatment, reason, cause.id)
    message = pb.ContactCancelled(
        contact_id=treatment.contact_id,
        treatment_id=treatment.treatment_id,
        debtor_id=treatment.debtor_id,
        reason=pb.CancelReason.Value(f"CANCEL_REASON_{reason}"),
        cause_event_id=cause.id,
    )
    cancelled = emit_caused(unit, cause, treatment.debtor_id, message, ordinal)
    if unit.requests.withdraw(treatment):
        request = gateway_pb.CancelContactRequest(
            tenant_id=treatment.tenant,
            idempotency_key=f"cancel:{treatment.contact_id}",
            contact_id=treatment.contact_id,
            reason=reason,
            causation_id=cancelled.id,
        )
        unit.requests.add_cancel(request, treatment)

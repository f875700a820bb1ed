"""CancelContact, and the calling-off that a stop brings about."""

from __future__ import annotations

from dataclasses import replace

from duly.gateway.v1 import contact_service_pb2 as pb
from gateway.application import validation as check
from gateway.application.answers import state_number
from gateway.application.errors import ContactNotFound
from gateway.application.idempotency import once
from gateway.application.ports import Store, Transactions
from gateway.domain.contact import AttemptState, Contact, ContactId, ContactState, TenantId


class CancelContact:
    """Ends a contact of which nothing has left. A contact that is under way or done keeps its state: the answer says
    which, so the caller knows that it came too late.
    """

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions

    def __call__(self, request: pb.CancelContactRequest) -> pb.CancelContactResponse:
        check.required_text("tenant_id", request.tenant_id)
        check.required_text("contact_id", request.contact_id)
        check.optional_text("reason", request.reason)
        with self._transactions.begin() as store:
            return once(
                store, request, pb.CancelContactResponse(), lambda response: self._cancel(request, store, response)
            )

    def _cancel(self, request: pb.CancelContactRequest, store: Store, response: pb.CancelContactResponse) -> None:
        tenant, contact_id = TenantId(request.tenant_id), ContactId(request.contact_id)
        seen = store.contact(tenant, contact_id)
        if seen is None:
            raise ContactNotFound("no such contact")
        store.lock_debtor(tenant, seen.debtor_id)
        contact = store.contact(tenant, contact_id)
        assert contact is not None  # contacts are never deleted
        response.contact_id = contact_id
        response.state = state_number(call_off(store, contact).state)


def call_off(store: Store, contact: Contact) -> Contact:
    """Cancel the contact and give its reservation back, if nothing has left yet. Called under the debtor's lock."""
    if not contact.state.can_be_called_off:
        return contact
    attempt = store.last_attempt(contact.tenant, contact.contact_id)
    if attempt is not None and attempt.state is AttemptState.RESERVED:
        store.save_attempt(replace(attempt, state=AttemptState.CANCELLED))
    cancelled = replace(contact, state=ContactState.CANCELLED, until=None, retry_at=None)
    store.save_contact(cancelled)
    return cancelled

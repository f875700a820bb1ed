"""GetContact, ListContacts, EvaluateGate: they change nothing."""

from __future__ import annotations

import base64
import binascii

from duly_runtime.clock import PolicyClock

from duly.gateway.v1 import contact_service_pb2 as pb
from gateway.application import validation as check
from gateway.application.answers import contact_message, decision_message
from gateway.application.errors import ContactNotFound, DebtorNotFound, InvalidRequest
from gateway.application.gate import ContactGate, Question
from gateway.application.ports import Store, Transactions
from gateway.domain.contact import Contact, ContactId, ContactState, DebtorId, TenantId

SEQ_MAX = 2**63 - 1  # PostgreSQL's bigint


class LookUpContacts:
    """Reads contacts."""

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions

    def get(self, request: pb.GetContactRequest) -> pb.GetContactResponse:
        tenant = TenantId(check.required_text("tenant_id", request.tenant_id))
        with self._transactions.begin() as store:
            contact = store.contact(tenant, ContactId(check.required_text("contact_id", request.contact_id)))
            if contact is None:
                raise ContactNotFound("no such contact")
            return pb.GetContactResponse(contact=_message(store, contact))

    def list(self, request: pb.ListContactsRequest) -> pb.ListContactsResponse:
        tenant = TenantId(check.required_text("tenant_id", request.tenant_id))
        size = check.page_size(request.page_size)
        with self._transactions.begin() as store:
            rows = store.contacts(
                tenant,
                check.optional_text("debtor_id", request.debtor_id),
                _state(request.state),
                _after(request.page_token),
                size + 1,
            )
            return pb.ListContactsResponse(
                contacts=[_message(store, contact) for contact in rows[:size]],
                next_page_token=_token(rows[size - 1].seq) if len(rows) > size else "",
            )


class EvaluateGate:
    """What would the gate say now, to a contact that does not exist?"""

    def __init__(self, transactions: Transactions, gate: ContactGate, policy_clock: PolicyClock) -> None:
        self._transactions = transactions
        self._gate = gate
        self._policy_clock = policy_clock

    def __call__(self, request: pb.EvaluateGateRequest) -> pb.EvaluateGateResponse:
        question = Question(
            tenant=TenantId(check.required_text("tenant_id", request.tenant_id)),
            contact_id=ContactId("dry-run"),
            debtor_id=DebtorId(check.required_text("debtor_id", request.debtor_id)),
            invoice_ids=check.invoice_ids(request.invoice_ids),
            channel=check.channel_of(request.channel),
            contact_point_id="",
            purpose=check.required_text("purpose", request.purpose),
            action=check.required_text("action", request.action),
        )
        with self._transactions.begin() as store:
            answer = self._gate.ask(question, store, self._policy_clock.now())
        if answer is None:
            raise DebtorNotFound("no such debtor")
        return pb.EvaluateGateResponse(decision=decision_message(answer.decision))


def _message(store: Store, contact: Contact) -> pb.Contact:
    return contact_message(contact, store.decision(contact.tenant, contact.decision_id))


def _state(number: int) -> ContactState | None:
    names = pb.ContactState.DESCRIPTOR.values_by_number
    if number not in names:
        raise InvalidRequest("state", f"{number} is not known")
    return None if number == 0 else ContactState(names[number].name.removeprefix("CONTACT_STATE_"))


def _token(seq: int) -> str:
    return base64.urlsafe_b64encode(str(seq).encode()).decode()


def _after(token: str) -> int:
    try:
        seq = int(base64.urlsafe_b64decode(token.encode("ascii"))) if token else 0
    except (ValueError, binascii.Error) as error:
        raise InvalidRequest("page_token", "is not one that was given out") from error
    if not 0 <= seq <= SEQ_MAX:
        raise InvalidRequest("page_token", "is not one that was given out")
    return seq

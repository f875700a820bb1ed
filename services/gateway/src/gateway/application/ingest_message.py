"""IngestMessage: what a debtor answered. A stop word acts in the transaction that stores the message."""

from __future__ import annotations

from datetime import datetime

from duly_contracts.ids import named_id
from duly_policy import Channel
from duly_runtime.clock import PolicyClock

from duly.contact.v1 import events_pb2 as contact_events
from duly.gateway.v1 import inbox_service_pb2 as pb
from gateway.application import validation as check
from gateway.application.answers import timestamp
from gateway.application.cancel_contact import call_off
from gateway.application.errors import ContactNotFound, DebtorNotFound, InvalidRequest
from gateway.application.events import emit_plain
from gateway.application.idempotency import once
from gateway.application.ports import Store, StoredMessage, Transactions
from gateway.domain.contact import ContactId, DebtorId, TenantId
from gateway.domain.stop_words import means_stop

BODY_LENGTH_MAX = 100_000
STOP = "stop"


class IngestMessage:
    """Stores the message, tells it as `reply.received`, and stops the debtor's contacts if it says so."""

    def __init__(self, transactions: Transactions, policy_clock: PolicyClock) -> None:
        self._transactions = transactions
        self._policy_clock = policy_clock

    def __call__(self, request: pb.IngestMessageRequest) -> pb.IngestMessageResponse:
        check.required_text("tenant_id", request.tenant_id)
        check.required_text("body", request.body, BODY_LENGTH_MAX)
        check.required_text("idempotency_key", request.idempotency_key)
        channel = check.channel_of(request.channel)
        if not request.contact_id and not request.debtor_id:
            raise InvalidRequest("debtor_id", "give the contact answered, or the debtor")
        now = self._policy_clock.now()
        with self._transactions.begin() as store:
            return once(
                store,
                request,
                pb.IngestMessageResponse(),
                lambda response: self._ingest(request, channel, store, now, response),
            )

    def _ingest(
        self,
        request: pb.IngestMessageRequest,
        channel: Channel,
        store: Store,
        now: datetime,
        response: pb.IngestMessageResponse,
    ) -> None:
        tenant = TenantId(request.tenant_id)
        debtor_id, cause = _whose(request, store)
        if not store.lock_debtor(tenant, debtor_id):
            raise DebtorNotFound("no such debtor")
        message = StoredMessage(
            tenant=tenant,
            message_id=named_id("message", tenant, request.idempotency_key),
            contact_id=request.contact_id,
            debtor_id=debtor_id,
            channel=channel,
            body=request.body,
            received_at=now,
            stopped=means_stop(request.body),
        )
        store.add_message(message)
        reply_id = emit_plain(store, _reply(message), message.message_id, tenant, debtor_id, now, cause)
        if message.stopped:
            _stop(store, message, reply_id)
        response.message_id = message.message_id
        response.stopped = message.stopped


def _whose(request: pb.IngestMessageRequest, store: Store) -> tuple[DebtorId, str]:
    """The debtor, and the event that caused the contact answered. A contact of another debtor is no contact of his."""
    if not request.contact_id:
        return DebtorId(check.optional_text("debtor_id", request.debtor_id)), ""
    contact = store.contact(
        TenantId(request.tenant_id), ContactId(check.optional_text("contact_id", request.contact_id))
    )
    if contact is None or (request.debtor_id and contact.debtor_id != request.debtor_id):
        raise ContactNotFound("no such contact")
    return contact.debtor_id, contact.causation_id


def _reply(message: StoredMessage) -> contact_events.ReplyReceived:
    return contact_events.ReplyReceived(
        message_id=message.message_id,
        contact_id=message.contact_id,
        debtor_id=message.debtor_id,
        channel=check.channel_number(message.channel),
        received_at=timestamp(message.received_at),
        body=message.body,
    )


def _stop(store: Store, message: StoredMessage, cause: str) -> None:
    """Wider than the law asks: a stop on one channel stops every contact with this debtor (DULY-STOP)."""
    store.suppress(message.tenant, message.debtor_id, "", STOP, message.message_id)
    for contact in store.contacts_to_call_off(message.tenant, message.debtor_id):
        call_off(store, contact)
    revoked = contact_events.ConsentRevoked(
        debtor_id=message.debtor_id,
        contact_point_id=store.contact_point_of(message.tenant, message.debtor_id, message.channel),
        channel=check.channel_number(message.channel),
        evidence_ref=message.message_id,
        at=timestamp(message.received_at),
    )
    emit_plain(
        store, revoked, message.message_id, message.tenant, message.debtor_id, message.received_at, causation=cause
    )

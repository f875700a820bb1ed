"""What the use cases need from outside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from duly_policy import Channel, GateDecision
from google.protobuf.message import Message

from gateway.domain.contact import Attempt, Contact, ContactId, ContactState, DebtorId, Outcome, TenantId
from gateway.domain.debts import Claim
from gateway.domain.picture import DebtorPicture


@dataclass(frozen=True, slots=True)
class EventContext:
    """The envelope of an event that a use case emits. at: policy instant, the event's business time."""

    event_id: str
    tenant: TenantId
    debtor_id: DebtorId
    at: datetime
    business_date: str
    causation_id: str
    correlation_id: str
    traceparent: str


@dataclass(frozen=True, slots=True)
class RecordedDecision:
    """A gate decision as it is kept: with the input it was made from."""

    tenant: TenantId
    contact_id: ContactId
    decision: GateDecision
    input_json: str


@dataclass(frozen=True, slots=True)
class DueContact:
    tenant: TenantId
    debtor_id: DebtorId
    contact_id: ContactId


@dataclass(frozen=True, slots=True)
class StoredMessage:
    tenant: TenantId
    message_id: str
    contact_id: str
    debtor_id: DebtorId
    channel: Channel
    body: str
    received_at: datetime
    stopped: bool


class Store(Protocol):
    """One transaction on the gateway's database. Nothing of it is visible before it commits."""

    def claim_key(self, tenant: str, key: str, request_hash: bytes) -> tuple[bytes, bytes] | None:
        """None: the key is ours now. Else (request hash, response) of the request that had it first.

        A transaction that holds the key still is waited for; so a running key is never seen.
        """

    def finish_key(self, tenant: str, key: str, response: bytes) -> None: ...

    def lock_debtor(self, tenant: TenantId, debtor_id: DebtorId) -> bool:
        """Serialises everything that counts caps or moves balances of one debtor. False: the debtor is not known."""

    def picture(
        self, tenant: TenantId, debtor_id: DebtorId, channel: Channel, contact_point_id: str, now: datetime
    ) -> DebtorPicture | None:
        """All that the gate may look at; None for a debtor without a party fact. Waits for a kill switch being set."""

    def add_contact(self, contact: Contact) -> bool:
        """False: the contact id or its treatment has one already."""

    def save_contact(self, contact: Contact) -> None: ...

    def contact(self, tenant: TenantId, contact_id: ContactId) -> Contact | None: ...

    def contacts(
        self, tenant: TenantId, debtor_id: str, state: ContactState | None, after_seq: int, limit: int
    ) -> Sequence[Contact]:
        """By seq rising, those beyond `after_seq`."""

    def contacts_to_call_off(self, tenant: TenantId, debtor_id: DebtorId) -> Sequence[Contact]:
        """Contacts of a debtor of which nothing has left yet."""

    def save_attempt(self, attempt: Attempt) -> None:
        """Insert or replace by (contact, ordinal)."""

    def last_attempt(self, tenant: TenantId, contact_id: ContactId) -> Attempt | None: ...

    def record_decision(self, recorded: RecordedDecision) -> None:
        """Append-only; the same decision again changes nothing."""

    def decision(self, tenant: TenantId, decision_id: str) -> str | None:
        """The canonical JSON of a recorded decision."""

    def record_late_outcome(self, attempt: Attempt, outcome: str) -> None: ...

    def suppress(self, tenant: TenantId, debtor_id: DebtorId, address: str, reason: str, evidence: str) -> None:
        """Address '' = the debtor altogether. Kept for good; the same again changes nothing."""

    def contact_point_of(self, tenant: TenantId, debtor_id: DebtorId, channel: Channel) -> str:
        """Id of the point a contact on this channel would use; '' for none."""

    def add_message(self, message: StoredMessage) -> None: ...

    def set_kill_switch(self, tenant: str, on: bool, by: str, reason: str, at: datetime) -> None:
        """tenant '' = everybody. Waits for claims that have read the switch before."""

    def business_date(self, tenant: str) -> str:
        """The tenant's newest business date read; '' before the first tick."""

    def emit(self, message: Message, context: EventContext) -> None: ...

    def move_clock(self, instant: datetime) -> None: ...


class Transactions(Protocol):
    """Where transactions come from."""

    def begin(self) -> AbstractContextManager[Store]:
        """Commits at the end of the block, rolls back when it raises."""

    def due(self, now: datetime, wall_now: datetime, limit: int) -> Sequence[DueContact]:
        """Contacts to hand over: reserved and out of back-off, or waiting until an instant that has come."""

    def expired(self, wall_now: datetime, limit: int) -> Sequence[Attempt]:
        """In-flight attempts whose lease is over."""

    def unknown_attempts(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Letter:
    """What a template is filled with. Amounts stay integers until the template formats them."""

    contact_id: ContactId
    debtor_name: str
    creditor_name: str
    claims: tuple[Claim, ...]
    totals: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Rendered:
    """content_sha256: over subject, text and HTML; what was said, whatever carried it."""

    subject: str
    text: str
    html: str
    content_sha256: str


class RenderFailed(ValueError):
    """The template cannot be filled with this letter."""

    code = "render_failed"


class Templates(Protocol):
    def version_of(self, template_id: str, version: str) -> str | None:
        """The version to use: the given one, the newest for '', None where there is none such."""

    def render(self, template_id: str, version: str, letter: Letter) -> Rendered:
        """Raises RenderFailed."""


@dataclass(frozen=True, slots=True)
class Handover:
    """A claimed attempt, committed as in flight, with what is to be sent. at: policy instant, the mail's date."""

    contact: Contact
    attempt: Attempt
    address: str
    rendered: Rendered


class ChannelAdapter(Protocol):
    """One provider. One call, one outcome; no decision, no retry inside."""

    @property
    def provider(self) -> str: ...

    def send(self, handover: Handover) -> Outcome: ...

    def close(self) -> None: ...


Channels = Mapping[Channel, ChannelAdapter]

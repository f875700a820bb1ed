"""Contacts and their attempts as values, and the states they may be in."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NewType

from duly_policy import Channel

TenantId = NewType("TenantId", str)
DebtorId = NewType("DebtorId", str)
ContactId = NewType("ContactId", str)
AttemptId = NewType("AttemptId", str)

Amounts = tuple[tuple[str, int], ...]  # (currency, minor units), sorted by currency


class ContactState(StrEnum):
    """Names are those of `duly.gateway.v1.ContactState`."""

    WAITING = "WAITING"
    RESERVED = "RESERVED"
    IN_FLIGHT = "IN_FLIGHT"
    ACCEPTED = "ACCEPTED"
    REFUSED = "REFUSED"
    UNKNOWN = "UNKNOWN"
    CANCELLED = "CANCELLED"
    DENIED = "DENIED"
    HELD = "HELD"

    @property
    def can_be_called_off(self) -> bool:
        """Nothing has left yet: a stop, a payment or a person may still end it."""
        return self in (ContactState.WAITING, ContactState.RESERVED, ContactState.HELD)

    @property
    def is_final(self) -> bool:
        """Nothing changes it any more."""
        return not self.can_be_called_off and self is not ContactState.IN_FLIGHT


class AttemptState(StrEnum):
    RESERVED = "RESERVED"
    IN_FLIGHT = "IN_FLIGHT"
    ACCEPTED = "ACCEPTED"
    REFUSED = "REFUSED"
    UNKNOWN = "UNKNOWN"
    CANCELLED = "CANCELLED"


@dataclass(frozen=True, slots=True)
class Contact:
    """One intended message. Instants are of the policy clock, but `retry_at`, which is real time (back-off)."""

    tenant: TenantId
    contact_id: ContactId
    treatment_id: str
    case_id: str
    debtor_id: DebtorId
    invoice_ids: tuple[str, ...]
    channel: Channel
    contact_point_id: str
    purpose: str
    action: str
    step_no: int
    template_id: str
    template_version: str
    not_before: datetime | None
    not_after: datetime | None
    causation_id: str
    correlation_id: str
    traceparent: str
    state: ContactState
    decision_id: str = ""
    until: datetime | None = None
    retry_at: datetime | None = None
    sent_at: datetime | None = None
    amount_claimed: Amounts = ()
    attempts: int = 0
    seq: int = 0


@dataclass(frozen=True, slots=True)
class Attempt:
    """One hand-over to a provider.

    fence: rises with each claim; an answer that carries an older one is recorded, never applied.
    at: policy instant that the caps count. lease_until: real time; past it an in-flight attempt is unknown.
    """

    tenant: TenantId
    attempt_id: AttemptId
    contact_id: ContactId
    debtor_id: DebtorId
    ordinal: int
    state: AttemptState
    channel: Channel
    at: datetime
    fence: int = 0
    tries: int = 0
    lease_until: datetime | None = None
    decision_id: str = ""
    ledger_version: int = 0
    amount_claimed: Amounts = ()
    content_sha256: str = ""
    provider: str = ""
    provider_code: str = ""


@dataclass(frozen=True, slots=True)
class Accepted:
    """The provider took it and gave it this id."""

    provider_id: str


@dataclass(frozen=True, slots=True)
class Refused:
    """A definite no. permanent False: the same attempt may be tried later."""

    code: str
    permanent: bool


@dataclass(frozen=True, slots=True)
class NotSent:
    """The content never left us: a further try cannot double it."""

    code: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """The content may have arrived. Counts in the caps, is never tried again blindly."""

    phase: str


Outcome = Accepted | Refused | NotSent | Unknown

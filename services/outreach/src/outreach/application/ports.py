"""What the use cases need of the world: one unit of work with its stores, and the gateway."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Protocol

from duly_contracts.envelope import Envelope
from duly_policy import PastAttempt
from google.protobuf.message import Message

from duly.gateway.v1 import contact_service_pb2 as gateway_pb
from outreach.domain.debtor import Debtor, OpenInvoice
from outreach.domain.ledger import Invoice, Source
from outreach.domain.planning import Plan
from outreach.domain.treatment import CancelReason, Case, Treatment, TreatmentState, WorkItem


@dataclass(frozen=True, slots=True)
class Received:
    """One event and where it stood. debtor_id is empty for events of a whole tenant (the tick)."""

    envelope: Envelope
    message: Message
    key: bytes
    tenant: str
    debtor_id: str
    partition: int
    offset: int


class LedgerView(Protocol):
    """Debtors and what they owe, folded from `ledger-events`."""

    def lock_debtor(self, tenant: str, debtor_id: str, ledger_version: int | None = None) -> Debtor:
        """The debtor, made if unknown, locked until the end of the unit. Comes first in every use case."""

    def save_debtor(self, debtor: Debtor) -> None: ...

    def invoice(self, tenant: str, debtor_id: str, invoice_id: str) -> Invoice:
        """The invoice, or an unknown one."""

    def save_invoice(self, tenant: str, debtor_id: str, invoice: Invoice) -> None: ...

    def source(self, tenant: str, debtor_id: str, source_id: str) -> Source:
        """The payment or credit note, or an unknown one."""

    def save_source(self, tenant: str, debtor_id: str, source: Source) -> None: ...

    def invoices_paid_from(self, tenant: str, debtor_id: str, source_id: str) -> Sequence[Invoice]: ...

    def lock_due(
        self, tenant: str, partition: int, tick_slice: int, slices: int, business_date: date
    ) -> Sequence[Debtor]:
        """Debtors of a tick's slice with an overdue invoice or an open case, locked in key order."""

    def open_invoices(self, tenant: str, debtor_ids: Sequence[str]) -> Mapping[str, Sequence[OpenInvoice]]: ...

    def unapplied(self, tenant: str, debtor_ids: Sequence[str]) -> Mapping[str, Mapping[str, int]]:
        """Unapplied cash in minor units by currency, for debtors that have any."""

    def mark_overdue(self, tenant: str, rows: Sequence[tuple[str, str, str]], business_date: date) -> None:
        """(debtor, invoice, case): `invoice.overdue` was said, and in which case."""

    def raise_steps(self, tenant: str, debtor_id: str, steps: Mapping[str, int], handed: bool) -> None:
        """Ladder positions after something was sent, or given to a person. Never lowers one."""


class CaseBook(Protocol):
    """Delinquency episodes."""

    def latest(self, tenant: str, debtor_ids: Sequence[str]) -> Mapping[str, Case]: ...

    def save(self, tenant: str, cases: Sequence[Case]) -> None: ...


class TreatmentBook(Protocol):
    """Treatments, the decisions behind them and what came of them."""

    def known(self, tenant: str, treatment_ids: Sequence[str]) -> frozenset[str]:
        """Those that exist already: what was decided before must not be decided again."""

    def add(self, treatment: Treatment) -> None:
        """Ids are unique for good; adding a known one fails the whole unit."""

    def record_decision(self, plan: Plan) -> None:
        """Keep the question, the answer and the versions behind it; once per treatment and answer."""

    def waiting(self, tenant: str, debtor_ids: Sequence[str]) -> Mapping[str, Sequence[Treatment]]:
        """Treatments of which nothing was sent yet."""

    def of_contact(self, tenant: str, contact_id: str) -> Treatment | None: ...

    def move(self, treatment: Treatment, to: TreatmentState, until: datetime | None = None) -> None: ...

    def mark_requested(self, tenant: str, contact_id: str) -> None:
        """The gateway has it, unless something else happened to it meanwhile."""

    def cancel(self, treatment: Treatment, reason: CancelReason, cause_event_id: str) -> None: ...

    def record_attempt(self, tenant: str, attempt_id: str, debtor_id: str, attempt: PastAttempt) -> None:
        """One hand-over to a provider, the newest word on it."""

    def attempts(
        self, tenant: str, debtor_ids: Sequence[str], since: datetime
    ) -> Mapping[str, Sequence[PastAttempt]]: ...


class CallKind(StrEnum):
    REQUEST = "REQUEST"
    CANCEL = "CANCEL"


@dataclass(frozen=True, slots=True)
class Call:
    """One call to make: the very bytes that were stored when it was decided, so that every try is the same request.

    attempts: tries, this one included. faults: earlier tries that the gateway answered with a fault of this call.
    """

    seq: int
    tenant: str
    debtor_id: str
    contact_id: str
    kind: CallKind
    payload: bytes
    attempts: int
    faults: int
    traceparent: str


class RequestQueue(Protocol):
    """Calls to the gateway, stored with their keys before they are made. Instants here are of the real clock."""

    def claim(self, owner: str, now: datetime, lease_until: datetime, limit: int) -> Sequence[Call]:
        """Lease due calls, oldest first: of each debtor the earliest, and none while an earlier one is under way."""

    def finish(self, call: Call, answer: str) -> None:
        """Done for good: the gateway's state of the contact, or the reason why it refused."""

    def retry(self, call: Call, at: datetime, reason: str, fault: bool) -> None:
        """To be tried again. fault: the gateway answered, and the answer is about this call."""

    def give_back(self, call: Call) -> None:
        """It was claimed and not tried."""

    def release(self, owner: str) -> None:
        """Give back the leases of a process that is gone; its successor under the same name calls this at start."""

    def add_request(self, request: gateway_pb.RequestContactRequest, treatment: Treatment) -> None: ...

    def withdraw(self, treatment: Treatment) -> bool:
        """Drop a request; True when it was tried before, so that the gateway may know of it."""

    def add_cancel(self, request: gateway_pb.CancelContactRequest, treatment: Treatment) -> None: ...


class TickBook(Protocol):
    """How far the business calendar has come, and what it stops."""

    def advance(self, tenant: str, partition: int, tick_slice: int, business_date: date, instant: datetime) -> bool:
        """Remember a tick; False for a repeated or older one. Moves the policy clock in the same transaction."""

    def set_kill_switch(self, scope: str, scope_id: str, on: bool) -> None: ...

    def kill_switch_on(self, tenant: str) -> bool: ...


class Unit(Protocol):
    """One transaction: state, outgoing events and calls to make commit together."""

    @property
    def ledger(self) -> LedgerView: ...

    @property
    def cases(self) -> CaseBook: ...

    @property
    def treatments(self) -> TreatmentBook: ...

    @property
    def requests(self) -> RequestQueue: ...

    @property
    def ticks(self) -> TickBook: ...

    def batched(self) -> AbstractContextManager[object]:
        """Inside, writes go out together instead of waiting for each other."""

    def known_work_items(self, tenant: str, work_item_ids: Sequence[str]) -> frozenset[str]: ...

    def add_work_item(self, item: WorkItem) -> bool:
        """False when it exists already."""

    def emit(self, message: Message, key: bytes, envelope: Envelope) -> None: ...

    def count_treatment(self, action: str) -> None: ...

    def count_gate_answer(self, answer: str) -> None: ...


OpenUnit = Callable[[], AbstractContextManager[Unit]]


class GatewayUnavailable(RuntimeError):
    """The gateway did not answer, or says: later. The same call may be repeated, and no other would fare better."""

    code = "gateway_unavailable"


class CallFaulted(RuntimeError):
    """The gateway answered this one call with a fault that may pass. `reason` is its status."""

    code = "call_faulted"

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class RequestRefused(ValueError):
    """The gateway will never take this call. `reason` is its status."""

    code = "request_refused"

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(text)
        self.reason = reason


class ContactGateway(Protocol):
    """`duly.gateway.v1.ContactService`, as far as outreach uses it.

    Both raise GatewayUnavailable, CallFaulted, RequestRefused.
    """

    def request_contact(
        self, request: gateway_pb.RequestContactRequest, traceparent: str = ""
    ) -> gateway_pb.RequestContactResponse: ...

    def cancel_contact(
        self, request: gateway_pb.CancelContactRequest, traceparent: str = ""
    ) -> gateway_pb.CancelContactResponse: ...

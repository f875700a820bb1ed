"""Every operation of the API, once: gRPC and REST both read this table. A row says who may call it and what it runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from duly_runtime.auth import Principal, TokenVerifier
from google.protobuf.message import Message

from duly.gateway.v1 import contact_service_pb2 as contact
from duly.gateway.v1 import control_service_pb2 as control
from duly.gateway.v1 import debtor_service_pb2 as debtor
from duly.gateway.v1 import inbox_service_pb2 as inbox
from gateway.application.cancel_contact import CancelContact
from gateway.application.debtor_queries import ShowDebtor
from gateway.application.ingest_message import IngestMessage
from gateway.application.kill_switch import SetKillSwitch
from gateway.application.look_up_contacts import EvaluateGate, LookUpContacts
from gateway.application.request_contact import RequestContact
from gateway.application.validation import refuse_nul

_PACKAGE = "duly.gateway.v1"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, as the token says, with the token itself and the trace it asks in."""

    principal: Principal
    authorization: str
    traceparent: str = ""


@dataclass(frozen=True, slots=True)
class Operation:
    """service, method: gRPC names. request, response: message classes, the request with `tenant_id`."""

    service: str
    method: str
    request: type[Message]
    response: type[Message]
    scope: str
    run: Callable[[Any, Caller], Message]

    @property
    def full_service(self) -> str:
        return f"{_PACKAGE}.{self.service}"

    def call(self, request: Message, caller: Caller) -> Message:
        """Authorise, then run. Raises PermissionDenied and what `entrypoints/errors.py` lists."""
        refuse_nul(request)
        caller.principal.require(getattr(request, "tenant_id"), self.scope)  # noqa: B009 - all requests have one
        return self.run(request, caller)


@dataclass(frozen=True, slots=True)
class UseCases:
    """The gateway without its edges."""

    request_contact: RequestContact
    contacts: LookUpContacts
    cancel_contact: CancelContact
    evaluate_gate: EvaluateGate
    ingest_message: IngestMessage
    set_kill_switch: SetKillSwitch
    debtors: ShowDebtor


def operations(cases: UseCases, reserved: Callable[[], None]) -> Mapping[str, Operation]:
    """By method name. reserved: told after a commit that may have made a contact due."""

    def request_contact(request: contact.RequestContactRequest, caller: Caller) -> Message:
        response = cases.request_contact(request, caller.traceparent)
        reserved()
        return response

    rows = (
        Operation("ContactService", "RequestContact", contact.RequestContactRequest, contact.RequestContactResponse,
                  "contacts:write", request_contact),
        Operation("ContactService", "GetContact", contact.GetContactRequest, contact.GetContactResponse,
                  "contacts:read", lambda request, _: cases.contacts.get(request)),
        Operation("ContactService", "ListContacts", contact.ListContactsRequest, contact.ListContactsResponse,
                  "contacts:read", lambda request, _: cases.contacts.list(request)),
        Operation("ContactService", "CancelContact", contact.CancelContactRequest, contact.CancelContactResponse,
                  "contacts:write", lambda request, _: cases.cancel_contact(request)),
        Operation("ContactService", "EvaluateGate", contact.EvaluateGateRequest, contact.EvaluateGateResponse,
                  "contacts:read", lambda request, _: cases.evaluate_gate(request)),
        Operation("InboxService", "IngestMessage", inbox.IngestMessageRequest, inbox.IngestMessageResponse,
                  "inbox:write", lambda request, _: cases.ingest_message(request)),
        Operation("ControlService", "SetKillSwitch", control.SetKillSwitchRequest, control.SetKillSwitchResponse,
                  "control:write", lambda request, caller: cases.set_kill_switch(request, caller.principal.subject)),
        Operation("DebtorService", "GetDebtor", debtor.GetDebtorRequest, debtor.GetDebtorResponse,
                  "debtors:read", lambda request, caller: cases.debtors.get(request, caller.authorization)),
        Operation("DebtorService", "GetTimeline", debtor.GetTimelineRequest, debtor.GetTimelineResponse,
                  "debtors:read", lambda request, caller: cases.debtors.timeline(request, caller.authorization)),
    )  # fmt: skip
    return {row.method: row for row in rows}


def identify(verifier: TokenVerifier, authorization: str | None, traceparent: str) -> Caller:
    """Raises Unauthenticated."""
    return Caller(verifier.verify(authorization), authorization or "", traceparent)

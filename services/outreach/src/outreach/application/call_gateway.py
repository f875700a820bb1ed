"""Makes the stored calls to the gateway: same key and same bytes at every try, so that a repeated call has one effect.

A call is claimed by a lease in one transaction, made outside of any, and its answer is recorded in another. A crash in
between repeats the call when the lease ends (or at once, when the process comes back under its name).

A debtor's later calls wait for the earlier one, so each has an end: a request by its `not_after`; a cancellation that
the gateway keeps answering with a fault by the same instant and by a number of tries. A gateway that does not answer at
all has nobody's call, and they wait for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, timedelta

from duly_contracts.envelope import Envelope
from duly_contracts.events import event_of
from duly_runtime.clock import Clock, PolicyClock
from google.protobuf.message import Message

from duly.gateway.v1 import contact_service_pb2 as gateway_pb
from duly.outreach.v1 import events_pb2 as pb
from outreach.application.ports import (
    Call,
    CallFaulted,
    CallKind,
    ContactGateway,
    GatewayUnavailable,
    OpenUnit,
    RequestRefused,
    Unit,
)
from outreach.application.work import create_work_item
from outreach.domain.treatment import Treatment, TreatmentState, WorkItem, work_item_id_of

_BATCH = 20
_BATCH_SECONDS_MAX = 10.0
_LEASE = timedelta(seconds=20)  # longer than a batch and the deadline of its last call
_BACKOFF_SECONDS_MAX = 60.0
_EXPIRED = "EXPIRED"
_NOT_FOUND = "NOT_FOUND"
# After 31 s of back-off: a request that timed out here has long ended there, so the contact was never made.
_NOT_FOUND_TRIES_MAX = 7
_FAULT_TRIES_MAX = 12  # some 5 minutes


@dataclass(frozen=True, slots=True)
class CallGateway:
    """owner: name of this process, never that of another which runs; under a lasting one it takes up its own calls."""

    open_unit: OpenUnit
    gateway: ContactGateway
    clock: Clock
    policy_clock: PolicyClock
    owner: str

    def take_over(self) -> None:
        """At start: calls that the last process of this name had claimed are due again."""
        with self.open_unit() as unit:
            unit.requests.release(self.owner)

    def __call__(self) -> bool:
        """Make the calls that are due, at most a batch. True when there were any."""
        now = self.clock.now()
        with self.open_unit() as unit:
            calls = unit.requests.claim(self.owner, now, now + _LEASE, _BATCH)
        started = self.clock.monotonic()
        unavailable = ""
        for call in calls:
            if not unavailable and self.clock.monotonic() - started < _BATCH_SECONDS_MAX:
                unavailable = self._make(call)
            else:  # the gateway is away or slow: leave it alone and give the rest back
                self._give_back(call)
        return bool(calls)

    def _make(self, call: Call) -> str:
        """One call and its record; the reason when the gateway is away, else ''."""
        try:
            answer = self._answer(call)
        except GatewayUnavailable as error:
            with self.open_unit() as unit:
                self._retry(call, call.attempts, str(error), unit)
            return str(error)
        except CallFaulted as error:
            with self.open_unit() as unit:
                self._faulted(call, error.reason, unit)
            return ""
        except RequestRefused as error:
            with self.open_unit() as unit:
                self._refused(call, error.reason, unit)
            return ""
        with self.open_unit() as unit:
            _record(call, answer, unit)
        return ""

    def _answer(self, call: Call) -> str:
        if call.kind is CallKind.CANCEL:
            cancel = gateway_pb.CancelContactRequest.FromString(call.payload)
            return gateway_pb.ContactState.Name(self.gateway.cancel_contact(cancel, call.traceparent).state)
        request = gateway_pb.RequestContactRequest.FromString(call.payload)
        if self.policy_clock.now() > request.not_after.ToDatetime(UTC):
            raise RequestRefused(_EXPIRED, "past the time it was planned for")
        return gateway_pb.ContactState.Name(self.gateway.request_contact(request, call.traceparent).state)

    def _give_back(self, call: Call) -> None:
        with self.open_unit() as unit:
            unit.ledger.lock_debtor(call.tenant, call.debtor_id)
            unit.requests.give_back(call)

    def _retry(self, call: Call, tries: int, reason: str, unit: Unit, fault: bool = False) -> None:
        unit.ledger.lock_debtor(call.tenant, call.debtor_id)
        delay = timedelta(seconds=min(_BACKOFF_SECONDS_MAX, 0.25 * 2 ** min(tries, 10)))
        unit.requests.retry(call, self.clock.now() + delay, reason, fault)

    def _faulted(self, call: Call, reason: str, unit: Unit) -> None:
        """Try again, but a cancellation not for ever. Past `not_after` the gateway sends nothing anyhow."""
        faults = call.faults + 1
        if call.kind is CallKind.REQUEST:
            self._retry(call, faults, reason, unit, fault=True)
            return
        unit.ledger.lock_debtor(call.tenant, call.debtor_id)
        treatment = unit.treatments.of_contact(call.tenant, call.contact_id)
        too_late = treatment is not None and self.policy_clock.now() > treatment.not_after
        if not too_late and faults < (_NOT_FOUND_TRIES_MAX if reason == _NOT_FOUND else _FAULT_TRIES_MAX):
            self._retry(call, faults, reason, unit, fault=True)
            return
        unit.requests.finish(call, reason)
        if treatment is not None and not too_late and reason != _NOT_FOUND:
            create_work_item(_not_cancelled_item(treatment, reason), _cancelled_envelope(treatment, call), unit)

    def _refused(self, call: Call, reason: str, unit: Unit) -> None:
        """It will never be taken. A cancellation has nothing left to cancel; a request becomes a person's matter."""
        unit.ledger.lock_debtor(call.tenant, call.debtor_id)
        unit.requests.finish(call, reason)
        treatment = unit.treatments.of_contact(call.tenant, call.contact_id)
        if call.kind is CallKind.CANCEL or treatment is None or treatment.state is not TreatmentState.PLANNED:
            return
        unit.treatments.move(treatment, TreatmentState.FAILED)
        if reason != _EXPIRED:
            request = gateway_pb.RequestContactRequest.FromString(call.payload)
            create_work_item(_refused_item(treatment, reason), _planned_envelope(treatment, request), unit)


def _record(call: Call, answer: str, unit: Unit) -> None:
    """The answer is stored; what the gateway decides about the contact comes as an event."""
    unit.ledger.lock_debtor(call.tenant, call.debtor_id)
    with unit.batched():
        unit.requests.finish(call, answer)
        if call.kind is CallKind.REQUEST:
            unit.treatments.mark_requested(call.tenant, call.contact_id)


def _refused_item(treatment: Treatment, reason: str) -> WorkItem:
    kind = "contact_request_refused"
    return WorkItem(
        work_item_id=work_item_id_of(treatment.tenant, treatment.case_id, kind, treatment.step_no),
        tenant=treatment.tenant,
        debtor_id=treatment.debtor_id,
        kind=kind,
        reasons=(f"the gateway refused the request: {reason}",),
        due=treatment.business_date,
        treatment_id=treatment.treatment_id,
    )


def _not_cancelled_item(treatment: Treatment, reason: str) -> WorkItem:
    kind = "contact_cancel_failed"
    return WorkItem(
        work_item_id=work_item_id_of(treatment.tenant, treatment.contact_id, kind),
        tenant=treatment.tenant,
        debtor_id=treatment.debtor_id,
        kind=kind,
        reasons=(f"the gateway did not take the cancellation of contact {treatment.contact_id}: {reason}",),
        due=treatment.business_date,
        treatment_id=treatment.treatment_id,
    )


def _planned_envelope(treatment: Treatment, request: gateway_pb.RequestContactRequest) -> Envelope:
    return _envelope_behind(treatment, pb.ContactPlanned(), request.causation_id, request.correlation_id)


def _cancelled_envelope(treatment: Treatment, call: Call) -> Envelope:
    cause = gateway_pb.CancelContactRequest.FromString(call.payload).causation_id
    return _envelope_behind(treatment, pb.ContactCancelled(), cause, cause)


def _envelope_behind(treatment: Treatment, message: Message, event_id: str, correlation_id: str) -> Envelope:
    """The event of ours behind a call, as far as a following event needs it."""
    return Envelope(
        id=event_id,
        type=event_of(message).type,
        source=f"/tenants/{treatment.tenant}/services/outreach",
        subject=treatment.debtor_id,
        time=treatment.planned_at,
        tenant=treatment.tenant,
        business_date=treatment.business_date,
        correlation_id=correlation_id,
    )

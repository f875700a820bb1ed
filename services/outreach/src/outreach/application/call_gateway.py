"""Makes the stored calls to the gateway: same key and same bytes at every try, so that a repeated call has one effect.

A call is claimed by a lease in one transaction, made outside of any, and its answer is recorded in another. A crash in
between repeats the call when the lease ends (or at once, when the process comes back under its name).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, timedelta

from duly_contracts.envelope import Envelope
from duly_contracts.events import event_of
from duly_runtime.clock import Clock, PolicyClock

from duly.gateway.v1 import contact_service_pb2 as gateway_pb
from duly.outreach.v1 import events_pb2 as pb
from outreach.application.ports import (
    Call,
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


@dataclass(frozen=True, slots=True)
class CallGateway:
    """owner: name of this process among its replicas, the same after a restart."""

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
                self._retry(call, 0.0, unavailable or "batch_time_over")
        return bool(calls)

    def _make(self, call: Call) -> str:
        """One call and its record; the reason when it must be tried again, else ''."""
        try:
            answer = self._answer(call)
        except GatewayUnavailable as error:
            self._retry(call, min(_BACKOFF_SECONDS_MAX, 0.25 * 2 ** min(call.attempts, 10)), str(error))
            return str(error)
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

    def _retry(self, call: Call, delay_seconds: float, reason: str) -> None:
        with self.open_unit() as unit:
            unit.ledger.lock_debtor(call.tenant, call.debtor_id)
            unit.requests.retry(call, self.clock.now() + timedelta(seconds=delay_seconds), reason)

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


def _planned_envelope(treatment: Treatment, request: gateway_pb.RequestContactRequest) -> Envelope:
    """The `contact.planned` behind a request, as far as a following event needs it."""
    return Envelope(
        id=request.causation_id,
        type=event_of(pb.ContactPlanned()).type,
        source=f"/tenants/{treatment.tenant}/services/outreach",
        subject=treatment.debtor_id,
        time=treatment.planned_at,
        tenant=treatment.tenant,
        business_date=treatment.business_date,
        correlation_id=request.correlation_id,
    )

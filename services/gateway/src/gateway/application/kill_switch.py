"""SetKillSwitch: after its commit no hand-over in its scope begins."""

from __future__ import annotations

from duly_runtime.clock import Clock

from duly.contact.v1 import events_pb2 as contact_events
from duly.gateway.v1 import control_service_pb2 as pb
from gateway.application import validation as check
from gateway.application.answers import timestamp
from gateway.application.events import emit_plain
from gateway.application.idempotency import once
from gateway.application.ports import Store, Transactions
from gateway.domain.contact import DebtorId, TenantId


class SetKillSwitch:
    """On or off for one tenant. The instant is real time: a switch must work before the first tick too."""

    def __init__(self, transactions: Transactions, clock: Clock) -> None:
        self._transactions = transactions
        self._clock = clock

    def __call__(self, request: pb.SetKillSwitchRequest, by: str) -> pb.SetKillSwitchResponse:
        """by: who is calling, as the token says."""
        check.required_text("tenant_id", request.tenant_id)
        check.required_text("reason", request.reason, 1000)
        check.required_text("idempotency_key", request.idempotency_key)
        with self._transactions.begin() as store:
            return once(
                store, request, pb.SetKillSwitchResponse(), lambda response: self._set(request, by, store, response)
            )

    def _set(self, request: pb.SetKillSwitchRequest, by: str, store: Store, response: pb.SetKillSwitchResponse) -> None:
        now = self._clock.now()
        store.set_kill_switch(request.tenant_id, request.on, by, request.reason, now)
        changed = contact_events.KillSwitchChanged(
            scope="tenant",
            scope_id=request.tenant_id,
            on=request.on,
            by=by,
            reason=request.reason,
            at=timestamp(now),
        )
        emit_plain(store, changed, request.idempotency_key, TenantId(request.tenant_id), DebtorId(""), now)
        response.on = request.on

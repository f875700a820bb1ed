"""The dispatcher loop: hands over what is due, a few debtors at a time, one contact per debtor at a time."""

from __future__ import annotations

from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor

from duly_runtime.clock import PolicyClockUnset
from duly_runtime.database import TRANSIENT_ERRORS
from duly_runtime.logging import get_logger
from duly_runtime.loops import Wake
from duly_runtime.metrics import GATEWAY_ATTEMPTS, GATEWAY_CONTACTS, Metrics

from gateway.application.dispatch import Dispatch, Dispatched
from gateway.application.ports import DueContact

_log = get_logger(__name__)
_BATCH = 64


class DispatcherLoop:
    """One batch of due contacts per step. Woken by a commit that reserved something and by ticks.

    Contacts of one debtor go to one worker in the order of their ids: which of two waits for the other's place under
    the cap must not depend on threads.
    """

    name = "dispatcher"

    def __init__(self, dispatch: Dispatch, wake: Wake, metrics: Metrics, workers: int) -> None:
        self._dispatch = dispatch
        self._wake = wake
        self._metrics = metrics
        self._workers = ThreadPoolExecutor(workers, thread_name_prefix="hand-over")

    def step(self, wait_seconds: float) -> bool:
        try:
            worked = self._expire()
            due = self._dispatch.due(_BATCH)
        except PolicyClockUnset:
            return self._wake.wait(wait_seconds)
        except TRANSIENT_ERRORS as error:
            _log.warning("gateway.dispatch_paused", error=str(error))
            self._wake.wait(wait_seconds)
            return False
        if due:
            by_debtor: dict[tuple[str, str], list[DueContact]] = defaultdict(list)
            for contact in sorted(due, key=lambda contact: contact.contact_id):
                by_debtor[contact.tenant, contact.debtor_id].append(contact)
            worked = any(list(self._workers.map(self._hand_over_all, by_debtor.values()))) or worked
        return worked or self._wake.wait(wait_seconds)

    def close(self) -> None:
        self._workers.shutdown(wait=True)

    def _hand_over_all(self, contacts: list[DueContact]) -> bool:
        worked = False
        for contact in contacts:
            try:
                done = self._dispatch.hand_over(contact)
            except TRANSIENT_ERRORS as error:
                # Before the claim's commit nothing happened; after it the lease turns the attempt into unknown.
                _log.warning("gateway.hand_over_interrupted", contact_id=contact.contact_id, error=str(error))
                return worked
            if done is not None:
                worked = True
                self._count(done, contact.contact_id)
        return worked

    def _expire(self) -> bool:
        expired = self._dispatch.expire(_BATCH)
        for done in expired:
            self._count(done, "")
        return bool(expired)

    def _count(self, done: Dispatched, contact_id: str) -> None:
        if done.fault:
            _log.error("gateway.contact_faulty", contact_id=contact_id, fault=done.fault)
        if done.late:
            _log.warning("gateway.late_outcome_recorded", contact_id=contact_id)
            return
        if done.provider:
            self._metrics.count(
                GATEWAY_ATTEMPTS, channel=done.channel, provider=done.provider, outcome=done.state.lower()
            )
        self._metrics.count(GATEWAY_CONTACTS, state=done.state.lower())

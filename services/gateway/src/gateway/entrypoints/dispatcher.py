"""The dispatcher loop: hands over what is due, a few debtors at a time, one contact per debtor at a time."""

from __future__ import annotations

import traceback
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor

from duly_runtime.clock import PolicyClockUnset
from duly_runtime.database import TRANSIENT_ERRORS
from duly_runtime.logging import get_logger
from duly_runtime.loops import Wake
from duly_runtime.metrics import GATEWAY_ATTEMPTS, GATEWAY_UNKNOWN, Metrics

from gateway.application.dispatch import Dispatch, Dispatched
from gateway.application.ports import DueContact, Handover
from gateway.domain.contact import ContactState

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
        self._unknown_changed = True  # what was left by an earlier process is counted first

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
        if self._unknown_changed:
            self._measure_unknown()
        return worked or self._wake.wait(wait_seconds)

    def close(self) -> None:
        self._workers.shutdown(wait=True)

    def _hand_over_all(self, contacts: list[DueContact]) -> bool:
        worked = False
        for contact in contacts:
            try:
                done = self._hand_over(contact)
            except TRANSIENT_ERRORS as error:
                # Before the claim's commit nothing happened; after it the lease turns the attempt into unknown.
                _log.warning("gateway.hand_over_interrupted", contact_id=contact.contact_id, error=str(error))
                return worked
            except Exception as error:  # even its containment failed: the others go on, the lease says what it is
                _log.error("gateway.contact_stuck", contact_id=contact.contact_id, **_where(error))
                continue
            if done is not None:
                worked = True
                self._count(done, contact.contact_id)
        return worked

    def _hand_over(self, due: DueContact) -> Dispatched | None:
        claimed: Handover | Dispatched | None = None
        try:
            claimed = self._dispatch.claim(due)
            return self._dispatch.send(claimed) if isinstance(claimed, Handover) else claimed
        except TRANSIENT_ERRORS:
            raise
        except Exception as error:  # one contact's fault must not end the process with the others in flight
            _log.error("gateway.contact_faulty", contact_id=due.contact_id, **_where(error))
            handover = claimed if isinstance(claimed, Handover) else None
            return self._dispatch.contain(due, handover, f"fault: {type(error).__name__}")

    def _expire(self) -> bool:
        worked = False
        for seen in self._dispatch.expired(_BATCH):
            try:
                done = self._dispatch.expire(seen)
            except TRANSIENT_ERRORS:
                raise
            except Exception as error:  # see _hand_over
                _log.error("gateway.contact_stuck", contact_id=seen.contact_id, **_where(error))
                continue
            if done is not None:
                worked = True
                self._count(done, "")
        return worked

    def _measure_unknown(self) -> None:
        self._unknown_changed = False
        try:
            self._metrics.set(GATEWAY_UNKNOWN, self._dispatch.unknown_attempts())
        except TRANSIENT_ERRORS:
            self._unknown_changed = True

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
        if done.state is ContactState.UNKNOWN:
            self._unknown_changed = True


def _where(error: Exception) -> dict[str, str]:
    """What and where, without the error's words: they may quote an address."""
    place = traceback.extract_tb(error.__traceback__)[-1]
    return {"fault": type(error).__name__, "where": f"{place.filename.rpartition('/')[2]}:{place.lineno}"}

"""The loop that makes the stored calls to the gateway."""

from __future__ import annotations

from duly_runtime.database import TRANSIENT_ERRORS
from duly_runtime.logging import get_logger
from duly_runtime.loops import Wake

from outreach.application.call_gateway import CallGateway

_log = get_logger(__name__)


class BothWakes(Wake):
    """Set after each commit that left events: the relay has something to send, the requester maybe to call."""

    def __init__(self, *wakes: Wake) -> None:
        super().__init__()
        self._wakes = wakes

    def set(self) -> None:
        for wake in self._wakes:
            wake.set()


class RequesterLoop:
    """Woken right after the commit that queued a call; looks by itself for calls to retry."""

    name = "requester"

    def __init__(self, call_gateway: CallGateway, wake: Wake) -> None:
        self._call_gateway = call_gateway
        self._wake = wake

    def step(self, wait_seconds: float) -> bool:
        try:
            if self._call_gateway():
                return True
        except TRANSIENT_ERRORS as error:
            _log.warning("outreach.requests_failed", error=str(error))
            self._wake.wait(min(1.0, wait_seconds * 5))
            return False
        return self._wake.wait(wait_seconds)

    def close(self) -> None:
        """Nothing to let go."""

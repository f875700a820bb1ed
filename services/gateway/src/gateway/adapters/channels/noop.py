"""Takes everything, sends nothing: for load tests and shadow stages."""

from __future__ import annotations

from gateway.application.ports import Handover
from gateway.domain.contact import Accepted, Outcome


class NoopChannel:
    provider = "noop"

    def send(self, handover: Handover) -> Outcome:
        return Accepted(f"noop-{handover.attempt.attempt_id}")

    def close(self) -> None:
        """Nothing to let go."""

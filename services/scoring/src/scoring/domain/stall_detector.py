"""Tells what has stalled from what is idle or gets on."""

from __future__ import annotations

from collections.abc import Mapping

STALL_LIMIT_SECONDS = 120.0
RECOVERY_LIMIT_SECONDS = 120.0


class StallDetector:
    """Fed with what the broker says, never with what this process believes: Faust counts failed commits as done."""

    def __init__(self, limit_seconds: float = STALL_LIMIT_SECONDS) -> None:
        self._limit_seconds = limit_seconds
        self._committed: dict[int, int] = {}
        self._moved_at: dict[int, float] = {}

    def observe(self, now: float, ends: Mapping[int, int], committed: Mapping[int, int], excused: bool) -> list[int]:
        """Partitions with records to read whose committed offset has not moved for longer than the limit.

        now: monotonic seconds. excused: recovering or rebalancing, when nothing is expected to move.
        """
        for partition, end in ends.items():
            at = committed.get(partition, 0)
            if excused or at >= end or at != self._committed.get(partition):
                self._moved_at[partition] = now
            self._committed[partition] = at
        return sorted(p for p in ends if now - self._moved_at[p] > self._limit_seconds)

    def forget(self) -> None:
        """The broker did not answer: whatever was measured before says nothing."""
        self._committed.clear()
        self._moved_at.clear()


class RecoveryDetector:
    """Tells a recovery that waits for what will never come from one that takes long."""

    def __init__(self, limit_seconds: float = RECOVERY_LIMIT_SECONDS) -> None:
        self._limit_seconds = limit_seconds
        self._progress: object = None
        self._moved_at = 0.0

    def observe(self, now: float, progress: object) -> bool:
        """Whether nothing has changed for longer than the limit. progress: whatever changes as it gets on; None: done.

        now: monotonic seconds.
        """
        if progress is None or progress != self._progress:
            self._moved_at = now
        self._progress = progress
        return now - self._moved_at > self._limit_seconds

    def forget(self) -> None:
        """The broker did not answer: nobody could have got on."""
        self._progress = None

"""How far the stream has come, readable from the admin server's thread."""

from __future__ import annotations

from collections.abc import Mapping
from threading import Lock


class Positions:
    """Next offset per partition: everything before it is in the topics that follow from it."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._next: dict[int, int] = {}
        self._in_work = 0
        self.facts = 0
        self.scores = 0

    def assigned(self, committed: Mapping[int, int]) -> None:
        """Start from what the group has committed: effects before it were acknowledged by another life of us."""
        with self._lock:
            self._next = dict(committed)

    def revoked(self) -> None:
        with self._lock:
            self._next = {}
            self._in_work = 0

    def begin(self, records: int) -> None:
        """Records have been read and are worked on."""
        with self._lock:
            self._in_work += records

    def done(self, next_offsets: Mapping[int, int], records: int, facts: int, scores: int) -> None:
        """Records and everything that follows from them is acknowledged."""
        with self._lock:
            self._next.update(next_offsets)
            self._in_work = max(0, self._in_work - records)
            self.facts += facts
            self.scores += scores

    def snapshot(self) -> tuple[dict[int, int], int]:
        """(next offset per partition, records read but not finished)."""
        with self._lock:
            return dict(self._next), self._in_work

"""What the scoring step needs from the outside."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol


class StateStore(Protocol):
    """State blobs by partition of `ledger-events` and debtor key. One writer."""

    def get(self, partition: int, key: bytes) -> bytes | None: ...

    def put(self, partition: int, key: bytes, blob: bytes) -> None: ...

    def places(self) -> Iterable[tuple[int, bytes]]:
        """Partition and key of every debtor, in any order."""


class MemoryStates:
    """`StateStore` in a dict: the pure fold's and the scenario tests'."""

    def __init__(self) -> None:
        self.blobs: dict[tuple[int, bytes], bytes] = {}

    def get(self, partition: int, key: bytes) -> bytes | None:
        return self.blobs.get((partition, key))

    def put(self, partition: int, key: bytes, blob: bytes) -> None:
        self.blobs[partition, key] = blob

    def places(self) -> Iterable[tuple[int, bytes]]:
        return list(self.blobs)

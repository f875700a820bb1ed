"""What the scoring step needs from the outside."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from duly_risk.model import HazardModel


class Models(Protocol):
    """Who scores what, fixed for a batch: both answers depend on tenant and business date alone."""

    def serving(self, tenant: str, day: int) -> HazardModel:
        """The model of a score with that business date (days since 1970-01-01)."""
        ...

    def shadow(self, tenant: str, day: int) -> HazardModel | None:
        """The challenger that scores it as well, role SHADOW; None = nobody."""
        ...


class StateStore(Protocol):
    """State blobs by partition of `ledger-events` and debtor key. One writer."""

    def get(self, partition: int, key: bytes) -> bytes | None: ...

    def put(self, partition: int, key: bytes, blob: bytes) -> None: ...

    def places(self) -> Iterable[tuple[int, bytes]]:
        """Partition and key of every debtor, in any order."""

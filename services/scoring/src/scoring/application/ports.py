"""What the scoring step needs from the outside."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class OneModel:
    """`Models` for tests and scenarios: one model for everything."""

    model: HazardModel
    challenger: HazardModel | None = None

    def serving(self, tenant: str, day: int) -> HazardModel:
        return self.model

    def shadow(self, tenant: str, day: int) -> HazardModel | None:
        return self.challenger


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

"""The ports of the step in memory: for tests, scenarios and benches."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from duly_risk.model import HazardModel


@dataclass(frozen=True, slots=True)
class OneModel:
    """`Models`: one model for everything."""

    model: HazardModel
    challenger: HazardModel | None = None

    def serving(self, tenant: str, day: int) -> HazardModel:
        return self.model

    def shadow(self, tenant: str, day: int) -> HazardModel | None:
        return self.challenger


class MemoryStates:
    """`StateStore` in a dict."""

    def __init__(self) -> None:
        self.blobs: dict[tuple[int, bytes], bytes] = {}

    def get(self, partition: int, key: bytes) -> bytes | None:
        return self.blobs.get((partition, key))

    def put(self, partition: int, key: bytes, blob: bytes) -> None:
        self.blobs[partition, key] = blob

    def places(self) -> Iterable[tuple[int, bytes]]:
        return list(self.blobs)

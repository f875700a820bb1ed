"""The topic registry (`topics.yaml`) as data."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import yaml

from duly_contracts.events import EVENTS, EventType


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic. retention_days: -1 = kept for good. writers: services that may write it."""

    name: str
    key: str
    partitions: int
    cleanup: str
    retention_days: int
    writers: tuple[str, ...]
    consumers: tuple[str, ...]

    @property
    def events(self) -> tuple[EventType, ...]:
        return tuple(event for event in EVENTS if event.topic == self.name)

    def config(self) -> dict[str, str]:
        """Broker-side topic settings."""
        retention_ms = -1 if self.retention_days < 0 else self.retention_days * 86_400_000
        return {"cleanup.policy": self.cleanup, "retention.ms": str(retention_ms), "max.message.bytes": "1048576"}


@cache
def topics() -> dict[str, Topic]:
    """All topics by name, in the order of the registry."""
    document = yaml.safe_load(files("duly_contracts").joinpath("topics.yaml").read_text())
    return {row["name"]: _topic(row) for row in document["topics"]}


def dlq_of(topic: str) -> str:
    """Name of a topic's dead-letter topic."""
    return f"{topic}-dlq"


def _topic(row: dict[str, object]) -> Topic:
    owner = row["owner"]
    consumers = row["consumers"]
    return Topic(
        name=str(row["name"]),
        key=str(row["key"]),
        partitions=int(str(row["partitions"])),
        cleanup=str(row["cleanup"]),
        retention_days=int(str(row["retention_days"])),
        writers=tuple(owner) if isinstance(owner, list) else (str(owner),),
        consumers=tuple(consumers) if isinstance(consumers, list) else (),
    )

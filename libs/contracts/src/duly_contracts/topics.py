"""The topic registry (`topics.yaml`) as data."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import yaml

from duly_contracts.events import EVENTS, EventType

_DAY_MS = 86_400_000
_LONG_MAX = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic. retention_days: -1 = kept for good. writers: services that may write it.

    compaction_lag_days: how long every record of a compacted topic stays, -1 = for good.
    """

    name: str
    key: str
    partitions: int
    cleanup: str
    retention_days: int
    writers: tuple[str, ...]
    consumers: tuple[str, ...]
    compaction_lag_days: int = 0

    @property
    def events(self) -> tuple[EventType, ...]:
        return tuple(event for event in EVENTS if event.topic == self.name)

    def config(self) -> dict[str, str]:
        """Broker-side topic settings."""
        retention_ms = -1 if self.retention_days < 0 else self.retention_days * _DAY_MS
        config = {"cleanup.policy": self.cleanup, "retention.ms": str(retention_ms), "max.message.bytes": "1048576"}
        if self.compaction_lag_days:
            lag_ms = _LONG_MAX if self.compaction_lag_days < 0 else self.compaction_lag_days * _DAY_MS
            config["min.compaction.lag.ms"] = str(lag_ms)
        return config


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
        compaction_lag_days=int(str(row.get("compaction_lag_days", 0))),
    )

"""The barrier: has every service done all there is to do? Decided from what services and log say, never from time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from duly_contracts.topics import topics
from duly_runtime.clock import Clock

from duly_simulator.edge import wait

SETTLE_DEADLINE_SECONDS = 180.0
PAUSE_SECONDS_MIN, PAUSE_SECONDS_MAX = 0.01, 0.05
# Topics that a service reads outside its stream, so that they are no work to wait for: its own state at start, and the
# choice of a model.
_NOT_WAITED_FOR = frozenset({"scoring-debtors-changelog", "model-control"})
_LAGS_NAMED_MAX = 10

Offsets = Mapping[str, Mapping[int, int]]


class NotSettled(RuntimeError):
    """The deadline passed. `lags`: what was still to be done, one sentence each, most urgent first."""

    code = "not_settled"

    def __init__(self, seconds: float, lags: list[str]) -> None:
        self.lags = tuple(lags)
        shown = "; ".join(lags[:_LAGS_NAMED_MAX]) or "positions kept moving"
        more = f"; and {len(lags) - _LAGS_NAMED_MAX} more" if len(lags) > _LAGS_NAMED_MAX else ""
        super().__init__(f"not settled after {seconds:.0f} s: {shown}{more}")


@dataclass(frozen=True, slots=True)
class ServiceStatus:
    """What a service says at `/status`. positions: topic -> partition -> next offset to apply."""

    positions: Offsets
    outbox: int
    work: int


class StatusReader(Protocol):
    """Asks every service at once."""

    def read(self) -> Mapping[str, ServiceStatus | None]:
        """Service -> its status; None where it does not answer."""


class EndReader(Protocol):
    """Asks the log."""

    def read(self) -> Offsets | None:
        """Topic -> partition -> end offset, for the topics of `waited_topics()`; None where the log does not answer."""


def waited_topics() -> dict[str, tuple[str, ...]]:
    """Topic -> the services that must have applied it, from the topic registry."""
    return {
        topic.name: topic.consumers
        for topic in topics().values()
        if topic.consumers and topic.name not in _NOT_WAITED_FOR
    }


def lags_of(statuses: Mapping[str, ServiceStatus | None], ends: Offsets | None) -> list[str]:
    """Everything that is not done, in words; empty = all done. A partition that was never written may be missing."""
    lags = [f"{service} does not answer" for service, status in statuses.items() if status is None]
    if ends is None:
        return [*lags, "the log does not answer"]
    for service, status in statuses.items():
        if status and status.outbox:
            lags.append(f"{service} has {status.outbox} unsent in its outbox")
        if status and status.work:
            lags.append(f"{service} has {status.work} due and not done")
    for topic, services in waited_topics().items():
        for service in services:
            status = statuses.get(service)
            if status:
                lags += _topic_lags(service, topic, status.positions.get(topic, {}), ends.get(topic, {}))
    return lags


@dataclass(slots=True)
class Barrier:
    """Waits until two sweeps in a row find nothing to do and the same ends.

    A sweep reads the services first and the log after them. So whatever a service wrote before it called itself idle is
    in the ends it is compared with, and work handed from one service to another between two reads shows in the second
    sweep.
    """

    statuses: StatusReader
    ends: EndReader
    clock: Clock
    pause: Callable[[float], None] = field(default=wait)
    deadline_seconds: float = SETTLE_DEADLINE_SECONDS

    def settle(self) -> float:
        """Returns the seconds it took. Raises NotSettled, naming service, topic and partition that lag."""
        began = self.clock.monotonic()
        quiet: Offsets | None = None
        delay = PAUSE_SECONDS_MIN
        while True:
            statuses = self.statuses.read()
            ends = self.ends.read()
            lags = lags_of(statuses, ends)
            if not lags and ends == quiet:
                return self.clock.monotonic() - began
            took = self.clock.monotonic() - began
            if took > self.deadline_seconds:
                raise NotSettled(took, lags)
            if lags:
                quiet = None
                self.pause(delay)
                delay = min(delay * 1.5, PAUSE_SECONDS_MAX)
            else:
                quiet = ends


def _topic_lags(service: str, topic: str, positions: Mapping[int, int], ends: Mapping[int, int]) -> list[str]:
    return [
        f"{service} is at {positions.get(partition, 0)} of {end} in {topic}/{partition}"
        for partition, end in sorted(ends.items())
        if positions.get(partition, 0) != end
    ]

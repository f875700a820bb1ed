"""Settled means: nothing to do, found twice in a row, with the log standing still in between."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest
from duly_simulator.settle import Barrier, NotSettled, Offsets, ServiceStatus, lags_of, waited_topics
from duly_testing.clock import FakeClock

SERVICES = ("ledger-sync", "scoring", "outreach", "gateway", "insights")


class World:
    """Services and a log that change by script, one step per sweep; the last step stays."""

    def __init__(self, *steps: Callable[[World], None]) -> None:
        self.clock = FakeClock()
        self.ends: dict[str, dict[int, int]] | None = {name: {0: 0, 1: 0} for name in waited_topics()}
        self.statuses: dict[str, ServiceStatus | None] = {}
        self.sweeps = 0
        self._steps = list(steps)
        self.write("ledger-events", 1, 5)
        self.catch_up()

    def write(self, topic: str, partition: int, end: int) -> None:
        assert self.ends is not None
        self.ends[topic][partition] = end

    def catch_up(self) -> None:
        """Everybody has applied everything; partitions without a record are not reported."""
        for service in SERVICES:
            positions = {
                topic: {partition: end for partition, end in (self.ends or {})[topic].items() if end}
                for topic, consumers in waited_topics().items()
                if service in consumers
            }
            self.statuses[service] = ServiceStatus(positions, outbox=0, work=0)

    def change(self, service: str, **values: object) -> None:
        now = self.statuses[service]
        assert now is not None
        self.statuses[service] = ServiceStatus(**{"positions": now.positions, "outbox": 0, "work": 0, **values})  # type: ignore[arg-type]

    def read_statuses(self) -> Mapping[str, ServiceStatus | None]:
        if self._steps:
            self._steps.pop(0)(self)
        self.sweeps += 1
        return dict(self.statuses)

    def read_ends(self) -> Offsets | None:
        return None if self.ends is None else {topic: dict(ends) for topic, ends in self.ends.items()}

    def barrier(self) -> Barrier:
        return Barrier(Reader(self.read_statuses), Reader(self.read_ends), self.clock, self.clock.advance)  # type: ignore[arg-type]


class Reader:
    def __init__(self, read: Callable[[], object]) -> None:
        self.read = read


def nothing(world: World) -> None:
    pass


def test_an_idle_world_settles_in_two_sweeps_without_waiting() -> None:
    world = World()
    assert world.barrier().settle() == 0
    assert world.sweeps == 2


def test_a_lagging_position_is_waited_for() -> None:
    world = World(lambda w: w.change("scoring", positions={"ledger-events": {1: 4}}), nothing, lambda w: w.catch_up())
    assert 0 < world.barrier().settle() < 0.1
    assert world.sweeps == 4


@pytest.mark.parametrize("debt", [{"outbox": 1}, {"work": 1}])
def test_an_outbox_or_due_work_holds_the_day_open(debt: dict[str, int]) -> None:
    world = World(lambda w: w.change("outreach", **debt), lambda w: w.catch_up())
    world.barrier().settle()
    assert world.sweeps == 3


def test_a_service_that_does_not_answer_is_not_settled() -> None:
    world = World(lambda w: w.statuses.update(gateway=None), lambda w: w.catch_up())
    world.barrier().settle()
    assert world.sweeps == 3


def test_a_log_that_does_not_answer_is_not_settled() -> None:
    ends = World().ends

    def back(world: World) -> None:
        world.ends = ends

    world = World(lambda w: setattr(w, "ends", None), back)
    world.barrier().settle()
    assert world.sweeps == 3


def test_ends_that_move_between_two_quiet_sweeps_begin_the_count_again() -> None:
    def more(world: World) -> None:
        world.write("risk-scores", 0, 1)
        world.catch_up()

    world = World(nothing, more)
    world.barrier().settle()
    assert world.sweeps == 3


def test_quiet_sweeps_must_follow_each_other() -> None:
    world = World(nothing, lambda w: w.change("gateway", work=1), lambda w: w.catch_up())
    world.barrier().settle()
    assert world.sweeps == 4


def test_the_deadline_names_what_lags() -> None:
    world = World()
    world.change("insights", positions={"ledger-events": {1: 3}}, outbox=0)
    world.change("gateway", work=2)
    with pytest.raises(NotSettled) as caught:
        world.barrier().settle()
    assert "gateway has 2 due and not done" in caught.value.lags
    assert "insights is at 3 of 5 in ledger-events/1" in caught.value.lags
    assert str(caught.value).startswith("not settled after 180 s: gateway has 2 due and not done; insights is at 3")
    assert world.sweeps < 180 / 0.04


def test_a_position_beyond_the_end_is_a_lag_too() -> None:
    """A log that was emptied under a running service must not pass for a settled one."""
    world = World()
    world.change("scoring", positions={"ledger-events": {1: 9}})
    assert lags_of(world.read_statuses(), world.read_ends()) == ["scoring is at 9 of 5 in ledger-events/1"]


def test_what_is_waited_for_comes_from_the_topic_registry() -> None:
    assert waited_topics() == {
        "ingress-raw": ("ledger-sync",),
        "ledger-events": ("scoring", "outreach", "gateway", "insights"),
        "risk-scores": ("outreach", "gateway", "insights"),
        "outreach-events": ("insights",),
        "contact-events": ("outreach", "insights"),
        "inbound-messages": ("outreach", "insights"),
    }

"""Guards decide on clocks and numbers that a test can hand them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from duly_runtime.poison_meter import PoisonMeter, TooMuchPoison
from scoring.adapters import faust_app, guards
from scoring.adapters.faust_app import FailStopSensor
from scoring.adapters.guards import Watchdog, ZombieGuard
from scoring.domain.stall_detector import RecoveryDetector, StallDetector


class Ended(Exception):
    pass


def _end(code: int, event: str, **fields: object) -> Any:
    raise Ended(code, event)


def test_a_process_that_was_frozen_ends_with_72(fake_clock: Any) -> None:
    guard = ZombieGuard(fake_clock, _end)
    fake_clock.advance(19)
    guard.checkpoint()
    fake_clock.advance(21)
    with pytest.raises(Ended) as ended:
        guard.checkpoint()
    assert ended.value.args == (72, "scoring.zombie_ended")


def test_a_loop_that_does_not_come_by_is_not_alive(fake_clock: Any) -> None:
    guard = ZombieGuard(fake_clock, _end)
    fake_clock.advance(61)
    assert guard.stalled(60) == ["stream"]
    assert guard.stalled(62) == []


def test_one_partition_can_stall_alone() -> None:
    detector = StallDetector(120)
    for second in range(0, 121, 10):
        assert detector.observe(second, {0: 100, 1: 100}, {0: second, 1: 7}, excused=False) == []
    assert detector.observe(130, {0: 200, 1: 100}, {0: 130, 1: 7}, excused=False) == [1]


def test_neither_idleness_nor_recovery_is_a_stall() -> None:
    detector = StallDetector(120)
    for second in range(0, 1000, 10):
        assert detector.observe(second, {0: 5, 1: 9}, {0: 5, 1: 3}, excused=True) == []
        assert detector.observe(second, {0: 5}, {0: 5}, excused=False) == []


def test_a_broker_that_was_away_starts_the_measurement_anew() -> None:
    detector = StallDetector(120)
    detector.observe(0, {0: 5}, {0: 1}, excused=False)
    detector.forget()
    assert detector.observe(500, {0: 5}, {0: 1}, excused=False) == []


def test_a_recovery_that_gets_on_may_take_for_ever_and_one_that_does_not_is_stuck() -> None:
    detector = RecoveryDetector(120)
    for second in range(0, 1000, 10):
        assert not detector.observe(second, ("recovering state", 1, second // 100))
    assert [detector.observe(second, ("recovering state", 1, 9)) for second in (1020, 1021)] == [False, True]
    assert not detector.observe(1022, ("recovering state", 2, 9))
    assert not detector.observe(1200, None)
    assert not detector.observe(9000, None)
    assert not detector.observe(9001, ("recovering state", 2, 9))


class Broker:
    """The group as a watchdog sees it: two partitions, nothing to read."""

    def __init__(self, away: bool = False) -> None:
        self.without_us = False
        self._away = away

    def offsets(self) -> tuple[dict[int, int], dict[int, int]]:
        return {0: 5, 1: 5}, {0: 5, 1: 5}

    def put_out(self) -> None:
        if self._away:
            raise OSError("no coordinator")
        self.without_us = True


@pytest.mark.parametrize("away", [False, True])
def test_a_recovery_of_partitions_that_are_no_more_ends_with_71_and_leaves_the_group_so_that_the_next_life_has_others(
    fake_clock: Any, monkeypatch: pytest.MonkeyPatch, away: bool
) -> None:
    seen: list[tuple[int, str, Any]] = []
    monkeypatch.setattr(guards, "end_process", lambda code, event, **said: seen.append((code, event, said["missing"])))
    broker = Broker(away)
    worker = SimpleNamespace(progress=lambda: ("recovering state", 1, 0), held=lambda: {1, 2, 3})
    watchdog = Watchdog(broker, worker, fake_clock)
    watchdog._look(*broker.offsets())
    fake_clock.advance(119)
    watchdog._look(*broker.offsets())
    assert seen == []
    fake_clock.advance(2)
    watchdog._look(*broker.offsets())
    assert (seen, broker.without_us) == ([(71, "scoring.recovery_stuck", [2, 3])], not away)


def test_a_send_that_failed_ends_the_process_although_faust_would_only_log_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faust_app, "end_process", _end)
    with pytest.raises(Ended) as ended:
        FailStopSensor().on_send_error(None, OSError("the broker is gone"), None)
    assert ended.value.args == (70, "scoring.send_failed")


def test_a_hundred_bad_records_in_a_row_are_too_many() -> None:
    meter = PoisonMeter()
    for _ in range(99):
        meter.poison()
    meter.good()
    with pytest.raises(TooMuchPoison):
        meter.poison()
        meter.poison()
        for _ in range(98):
            meter.poison()


def test_one_bad_record_in_a_hundred_is_bearable_and_more_is_not() -> None:
    meter = PoisonMeter()
    for _ in range(200):
        for _ in range(99):
            meter.good()
        meter.poison()
    with pytest.raises(TooMuchPoison):
        for _ in range(101):
            meter.poison()
            meter.good()

"""Guards decide on clocks and numbers that a test can hand them."""

from __future__ import annotations

from typing import Any

import pytest
from duly_runtime.poison_meter import PoisonMeter, TooMuchPoison
from scoring.adapters.guards import ZombieGuard
from scoring.domain.stall_detector import StallDetector


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

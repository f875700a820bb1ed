"""The admin server says what is true: stalled loops, readiness, positions, metrics."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest
from duly_runtime.admin import AdminServer, Probes, Status
from duly_runtime.clock import TickPolicyClock
from duly_runtime.loops import LoopRunner, Wake
from duly_runtime.metrics import CATALOGUE, LOOP_STEPS, MODEL_PROMOTED, MODEL_PROMOTION, Metrics
from duly_testing.clock import FakeClock
from duly_testing.eventually import eventually

pytestmark = pytest.mark.sockets


class _Counting:
    name = "counting"

    def __init__(self) -> None:
        self.steps = 0
        self.wake = Wake()

    def step(self, wait_seconds: float) -> bool:
        self.steps += 1
        return self.wake.wait(wait_seconds)

    def close(self) -> None:
        self.steps = -1


class _World:
    def __init__(self) -> None:
        self.clock, self.metrics, self.loop = FakeClock(), Metrics(), _Counting()
        self.runner = LoopRunner([self.loop], self.clock, self.metrics)
        self.reason = ""
        probes = Probes(lambda: self.runner.stalled(60), lambda: self.reason, self.status)
        self.admin = AdminServer("127.0.0.1", 0, probes, self.metrics)

    def status(self) -> Status:
        return Status("test", {"ledger-events": {0: 7}}, outbox=2, work=1)

    def get(self, path: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.admin.port}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()


@pytest.fixture
def world() -> Iterator[_World]:
    made = _World()
    made.admin.start()
    made.runner.start()
    yield made
    made.runner.stop(5)
    made.admin.close()


def test_alive_means_that_every_loop_moves(world: _World) -> None:
    eventually(lambda: world.loop.steps > 1)
    assert world.get("/live")[0] == 200


def test_a_loop_that_stands_still_is_named() -> None:
    world = _World()
    world.runner._last_step["stuck"] = 0.0
    world.clock.advance(61)
    world.admin.start()
    assert world.get("/live") == (503, "stalled: stuck\n")
    world.admin.close()


def test_readiness_gives_its_reason(world: _World) -> None:
    assert world.get("/ready")[0] == 200
    world.reason = "recovering"
    assert world.get("/ready") == (503, "recovering\n")


def test_status_carries_positions_and_open_work(world: _World) -> None:
    status = json.loads(world.get("/status")[1])
    assert status["positions"] == {"ledger-events": {"0": 7}}
    assert (status["outbox"], status["work"]) == (2, 1)


def test_metrics_are_exposed(world: _World) -> None:
    world.metrics.count(LOOP_STEPS, loop="x", outcome="worked")
    assert "duly_loop_steps_total" in world.get("/metrics")[1]


def test_unknown_paths_are_named_as_such(world: _World) -> None:
    assert world.get("/etc/passwd")[0] == 404


def test_metric_names_follow_the_convention() -> None:
    for spec in CATALOGUE:
        assert spec.name.startswith("duly_")
        assert (spec.kind == "counter") == spec.name.endswith("_total")
        assert not {"debtor", "contact", "invoice"} & set(spec.labels)
        # A service meets any number of tenants. `duly monitor` reports one a run, and its file has to name it; a person
        # promotes a model for one, and an alert has to say for whom.
        named = spec in (MODEL_PROMOTION, MODEL_PROMOTED) or spec.name.startswith("duly_monitor_")
        assert "tenant" not in spec.labels or named


def test_the_policy_clock_never_goes_back(fake_clock: FakeClock) -> None:
    clock = TickPolicyClock()
    later = fake_clock.now()
    clock.advance(later)
    fake_clock.advance(-3600)
    clock.advance(fake_clock.now())
    assert clock.now() == later

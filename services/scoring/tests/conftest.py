"""The seeded ledger, the rules model, a worker and its broker, for every test of scoring."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from duly_risk.fallback import RulesModel
from duly_runtime.log import Record
from scoring_chaos.broker import Broker
from scoring_chaos.ledger_log import Ledger, play
from scoring_chaos.worker import Worker


@pytest.fixture
def book() -> Ledger:
    """An empty ledger."""
    return Ledger()


@pytest.fixture
def play_ledger() -> Callable[..., Ledger]:
    """`play`, for tests that choose their own size."""
    return play


@pytest.fixture
def rules() -> RulesModel:
    """A model that needs no registry."""
    return RulesModel()


@pytest.fixture
def corrupted() -> Callable[[Record], Record]:
    """The same place in the log, but a value nobody can decode."""
    return lambda record: replace(record, value=b"\xff\xff\xff")


@pytest.fixture
def worker(kafka_bootstrap: str, tmp_path: Path) -> Iterator[Worker]:
    """A worker as it ships, not started."""
    made = Worker(kafka_bootstrap, tmp_path)
    yield made
    if not made.ended():
        made.kill()


@pytest.fixture
def broker(kafka_bootstrap: str) -> Iterator[Broker]:
    """What the test itself asks of the broker."""
    made = Broker(kafka_bootstrap)
    yield made
    made.close()

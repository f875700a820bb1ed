"""Cases run with both shells and both stores, in two pairs; their topics have few partitions, so that each is busy."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from duly_chaos.broker import Broker
from duly_chaos.campaign import PARTITIONS
from duly_chaos.checker import check
from duly_chaos.ledger_log import Ledger
from duly_chaos.worker import Kind, Worker, kinds
from duly_risk.fallback import RulesModel
from scoring.adapters.memory import OneModel


@pytest.fixture(params=[kinds()[0], kinds()[-1]], ids=str)
def kind(request: pytest.FixtureRequest) -> Kind:
    """The worker as it ships, and the one that differs in everything. Seeds take all of them in turn."""
    return request.param


@pytest.fixture
def broker(kafka_server: Any) -> Iterator[Broker]:
    """The shared broker with the topics of scoring alone, empty."""
    with closing(Broker(kafka_server.address)) as made:
        made.fresh_topics(PARTITIONS)
        yield made


@pytest.fixture
def make_worker(broker: Broker, tmp_path: Path, kind: Kind) -> Iterator[Callable[[str], Worker]]:
    """Workers by instance id, not started; what still runs at the end is killed."""
    made: list[Worker] = []

    def make(instance_id: str) -> Worker:
        made.append(Worker(broker.bootstrap, tmp_path, kind, instance_id))
        return made[-1]

    yield make
    for worker in made:
        if not worker.ended():
            worker.kill()


@pytest.fixture
def worker(make_worker: Callable[[str], Worker]) -> Worker:
    """One worker."""
    return make_worker("scoring-0")


@pytest.fixture
def nothing_lost(broker: Broker) -> Callable[[Ledger], None]:
    """Asserts that all the worker wrote is what the pure fold of the log gives."""

    def holds(book: Ledger) -> None:
        assert check(broker, book, OneModel(RulesModel())).wrong == ()

    return holds

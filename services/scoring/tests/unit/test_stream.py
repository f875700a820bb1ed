"""The loop body: outputs, then blobs, then the position; any other end of it ends the process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from types import SimpleNamespace
from typing import Any

import pytest
from duly_contracts.keys import debtor_key, partition_of
from duly_runtime.metrics import Metrics
from scoring.adapters.guards import EXIT_UNTRUSTED, ZombieGuard
from scoring.application.ports import MemoryStates
from scoring.application.score_batch import Scorer
from scoring.entrypoints import stream as stream_module
from scoring.entrypoints.positions import Positions
from scoring.entrypoints.stream import Stream

PARTITION = partition_of(debtor_key("acme", "D-1"), 12)


class Ended(BaseException):
    """Instead of the end of the process."""


class Store(MemoryStates):
    """Blobs in a dict; says when one is written."""

    def __init__(self, happened: list[str]) -> None:
        super().__init__()
        self._happened = happened

    def open_batch(self, events: Any) -> None: ...

    def put(self, partition: int, key: bytes, blob: bytes) -> None:
        self._happened.append("blob")
        super().put(partition, key, blob)


class Bench:
    """The agent of a stream over fakes of Faust. sending, writing: the acknowledgements of an output and of a blob."""

    def __init__(self, model: Any, clock: Any) -> None:
        self.happened: list[str] = []
        self.store = Store(self.happened)
        self.positions = Positions()
        self.sending: Callable[[], Awaitable[None]] = lambda: self._acknowledged("output acknowledged")
        self.writing: Callable[[], Awaitable[None]] = lambda: self._acknowledged("blob acknowledged")
        self.model: Callable[[], Any] = lambda: model
        self.agent: Any = None
        app = SimpleNamespace(
            on_partitions_revoked=SimpleNamespace(connect=lambda fn, weak: None),
            task=lambda fn: fn,
            agent=lambda topic, name, concurrency: self._keep_agent,
            topic=lambda name, **kwargs: SimpleNamespace(send=self._send),
        )
        table = SimpleNamespace(on_recover=lambda fn: None, take_unacked=lambda: [self.writing()])
        stream = Stream(
            app, table, "ledger-events", Scorer(self.store, 12), self.store,  # type: ignore[arg-type]
            SimpleNamespace(current=lambda: self.model()), self.positions, ZombieGuard(clock), ThreadPoolExecutor(1),
            clock, Metrics(), 128, 0.1,
        )  # fmt: skip
        stream.attach()

    def run(self, *batches: list[Any]) -> None:
        """Batches through the agent, as Faust hands them out: the next one acknowledges the one before."""
        asyncio.run(self.agent(SimpleNamespace(take_events=lambda n, within: self._handed_out(batches))))

    async def _handed_out(self, batches: tuple[list[Any], ...]) -> AsyncIterator[list[Any]]:
        for batch in batches:
            yield [SimpleNamespace(message=record) for record in batch]
            self.happened.append(f"acknowledged at {self.positions.snapshot()[0].get(PARTITION)}")

    def _keep_agent(self, agent: Any) -> Any:
        self.agent = agent
        return agent

    async def _send(self, **record: Any) -> Awaitable[None]:
        self.happened.append("output")
        return asyncio.ensure_future(self.sending())

    async def _acknowledged(self, what: str) -> None:
        await asyncio.sleep(0.01)
        self.happened.append(what)


@pytest.fixture
def bench(rules: Any, fake_clock: Any) -> Bench:
    return Bench(rules, fake_clock)


@pytest.fixture
def ended(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, str]]:
    seen: list[tuple[int, str]] = []

    def end(code: int, event: str, **fields: Any) -> None:
        seen.append((code, event))
        raise Ended(event)

    monkeypatch.setattr(stream_module, "end_process", end)
    return seen


async def _fail() -> None:
    raise OSError("the broker is gone")


def test_outputs_are_in_the_log_before_a_blob_is_written_and_blobs_before_the_position_moves(
    bench: Bench, book: Any, ended: list[tuple[int, str]]
) -> None:
    bench.run([book.invoice("D-1", "INV-1", date(2031, 3, 3))])
    assert bench.happened == ["output", "output acknowledged", "blob", "blob acknowledged", "acknowledged at 1"]
    assert ended == []


@pytest.mark.parametrize("fault", ["a send", "a write", "the step"])
def test_a_batch_that_fails_ends_the_process_and_is_never_acknowledged(
    bench: Bench, book: Any, ended: list[tuple[int, str]], fault: str
) -> None:
    if fault == "a send":
        bench.sending = _fail
    elif fault == "a write":
        bench.writing = _fail
    else:
        bench.model = lambda: 1 / 0
    with pytest.raises(Ended):
        bench.run([book.invoice("D-1", "INV-1", date(2031, 3, 3))], [book.invoice("D-1", "INV-2", date(2031, 3, 4))])
    assert ended[0] == (EXIT_UNTRUSTED, "scoring.batch_failed")
    assert not [step for step in bench.happened if step.startswith("acknowledged")]
    assert fault != "a send" or bench.store.blobs == {}

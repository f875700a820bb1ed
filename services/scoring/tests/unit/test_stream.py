"""Both shells: outputs, then blobs, then the position; any other end of a batch ends the process."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from types import SimpleNamespace
from typing import Any, NoReturn

import pytest
from duly_contracts.keys import debtor_key, partition_of
from duly_runtime.exit_codes import EXIT_UNTRUSTED
from duly_runtime.metrics import Metrics
from prometheus_client import CollectorRegistry
from scoring.adapters.batch_line import BatchLine, PendingStates
from scoring.adapters.guards import ZombieGuard
from scoring.adapters.shell import Tally
from scoring.adapters.take_shell import TakeShell
from scoring.application.score_batch import BatchOutcome, Scorer
from scoring.entrypoints.positions import Positions
from scoring.entrypoints.scoring_step import ScoringStep
from scoring.entrypoints.stream import Stream

PARTITION = partition_of(debtor_key("acme", "D-1"), 12)
DAY = date(2031, 3, 3)
_TURNS = 50  # of the event loop, more than any await between two steps of a shell takes


class Ended(BaseException):
    """Instead of the end of the process."""


class Watched(dict[Any, Any]):
    """A dict that can be referred to weakly."""


class Blobs:
    """The table's store, in a dict; says when something is written."""

    def __init__(self, happened: list[str]) -> None:
        self.blobs: dict[tuple[int, bytes], bytes] = {}
        self._happened = happened

    def get(self, partition: int, key: bytes) -> bytes | None:
        return self.blobs.get((partition, key))

    def put(self, partition: int, blobs: dict[bytes, bytes], changelog_offset: int | None = None) -> None:
        self._happened.append("blob")
        self.blobs.update({(partition, key): blob for key, blob in blobs.items()})

    def note(self, partition: int, key: bytes) -> None: ...

    def persist_offset(self, partition: int, first: int, last: int) -> None: ...


class Bench:
    """A stream over fakes of Faust. sending, writing: the acknowledgements of an output and of a blob."""

    def __init__(self, model: Any, clock: Any) -> None:
        self.happened: list[str] = []
        self.ended: list[tuple[int, str]] = []
        self.blobs = Blobs(self.happened)
        self.positions = Positions()
        self.sending: Callable[[], Awaitable[None]] = lambda: self.acknowledged("output acknowledged")
        self.writing: Callable[[], Awaitable[None]] = lambda: self.acknowledged("blob acknowledged")
        self.model: Callable[[], Any] = lambda: model
        self.app: Any = SimpleNamespace(
            source_topic="ledger-events",
            on_partitions_revoked=SimpleNamespace(connect=lambda fn, weak: None),
            task=lambda fn: fn,
            conf=SimpleNamespace(producer_request_timeout=60.0),
        )
        self.table: Any = SimpleNamespace(
            on_recover=lambda fn: None, take_unacked=lambda: [self.writing()], blobs=self.blobs
        )
        self._clock = clock

    def attach(self, shell: Any) -> None:
        self.scorer, self.registry = Scorer(shell.states, 12), CollectorRegistry()
        step = ScoringStep(self.scorer, SimpleNamespace(current=lambda: self.model()))
        executor = ThreadPoolExecutor(1)
        guard, metrics = ZombieGuard(self._clock, self._end), Metrics(self.registry)
        Stream(
            self.app, self.table, shell, step, self.positions, guard, executor, self._clock, metrics, self._end
        ).attach()

    async def acknowledged(self, what: str) -> None:
        """The broker's answer, once all that does not wait for it has had its turns: no time has to pass for that."""
        for _ in range(_TURNS):
            await asyncio.sleep(0)
        self.happened.append(what)

    def _end(self, code: int, event: str, **fields: Any) -> NoReturn:
        self.ended.append((code, event))
        raise Ended(event)

    def let_go(self) -> None:
        self.happened.append(f"acknowledged at {self.positions.snapshot()[0].get(PARTITION)}")


class TakeBench(Bench):
    """The stock shell; Faust hands out batches, and the next one acknowledges the one before."""

    def __init__(self, model: Any, clock: Any) -> None:
        super().__init__(model, clock)
        self.app.agent = lambda topic, name, concurrency: self._keep_agent
        self.app.topic = lambda name, **kwargs: SimpleNamespace(send=self._send)
        self._agent: Any = None
        self.shell = TakeShell(self.app, self.table, 128, 0.1)
        self.shell._states.put = lambda partition, key, blob: self.blobs.put(partition, {key: blob})  # type: ignore[method-assign]
        self.attach(self.shell)

    def run(self, *batches: list[Any]) -> None:
        asyncio.run(self._agent(SimpleNamespace(take_events=lambda n, within: self._handed_out(batches))))

    async def _handed_out(self, batches: tuple[list[Any], ...]) -> AsyncIterator[list[Any]]:
        for batch in batches:
            yield [SimpleNamespace(message=record) for record in batch]
            self.let_go()

    def _keep_agent(self, agent: Any) -> Any:
        self._agent = agent
        return agent

    async def _send(self, **record: Any) -> Awaitable[None]:
        self.happened.append("output")
        return asyncio.ensure_future(self.sending())


class Producer:
    """aiokafka's, as far as the line uses it. A batch takes `batch_rows` records."""

    def __init__(self, bench: Bench, batch_rows: int = 1000) -> None:
        self.sent: list[tuple[str, int, int]] = []
        self._bench = bench
        self._rows = batch_rows

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def partitions_for(self, topic: str) -> set[int]:
        return set(range(12))

    def create_batch(self) -> Any:
        rows: list[bytes] = []

        def append(key: bytes, value: bytes, timestamp: None, headers: list[Any]) -> Any:
            return None if len(rows) >= self._rows else rows.append(key) or len(rows)  # type: ignore[func-returns-value]

        return SimpleNamespace(append=append, close=lambda: None, record_count=lambda: len(rows))

    async def send_batch(self, batch: Any, topic: str, partition: int) -> Awaitable[Any]:
        self.sent.append((topic, partition, batch.record_count()))
        is_output = topic != "changelog"
        if is_output:
            self._bench.happened.append("output")

        async def ack() -> Any:
            await (self._bench.sending() if is_output else self._bench.writing())
            return SimpleNamespace(partition=partition, offset=0)

        return asyncio.ensure_future(ack())


class BatchBench(Bench):
    """The batch shell's line, without the consumer before it."""

    def __init__(self, model: Any, clock: Any) -> None:
        super().__init__(model, clock)
        self.table.changelog_topic_name = "changelog"
        self.producer = Producer(self)
        self.app.producer = SimpleNamespace(_ensure_producer=lambda: self.producer, _new_producer=lambda: self.producer)
        self.states = PendingStates(self.table)
        self.ends: dict[int, int] = {}
        self.attach(self)

    def attach(self, shell: Any) -> None:
        if isinstance(shell, BatchBench):
            super().attach(SimpleNamespace(states=self.states, attach=self._make_line))

    def _make_line(self, handler: Any) -> None:
        self.line = BatchLine(self.app, self.table, self.states, handler, 4)

    def run(self, *batches: list[Any]) -> None:
        async def work() -> None:
            await self.line.start(self.finished)
            for batch in batches:
                await self.line.room()
                await self.take(batch)
            await asyncio.wait_for(self.line.empty(), 60)
            await self.line.close()

        asyncio.run(self._until_first(work()))

    async def _until_first(self, work: Any) -> None:
        """A stage that fails would end the process: here it ends the work."""
        working = asyncio.ensure_future(work)
        await asyncio.sleep(0)
        done, _ = await asyncio.wait([working, *self.line._stages], return_when=asyncio.FIRST_COMPLETED)
        working.cancel()
        for task in done:
            task.result()

    async def take(self, batch: list[Any]) -> None:
        await self.line.take(batch, {record.partition: record.offset + 1 for record in batch})

    def finished(self, ends: Any) -> None:
        self.ends.update(ends)
        asyncio.get_running_loop().call_soon(self.let_go)


@pytest.fixture(params=[TakeBench, BatchBench], ids=["take", "batch"])
def bench(request: pytest.FixtureRequest, rules: Any, fake_clock: Any) -> Any:
    return request.param(rules, fake_clock)


@pytest.fixture
def line(rules: Any, fake_clock: Any) -> BatchBench:
    return BatchBench(rules, fake_clock)


async def _fail() -> None:
    raise OSError("the broker is gone")


def test_outputs_are_in_the_log_before_a_blob_is_written_and_blobs_before_the_position_moves(
    bench: Any, book: Any
) -> None:
    bench.run([book.invoice("D-1", "INV-1", DAY)])
    assert bench.happened == ["output", "output acknowledged", "blob", "blob acknowledged", "acknowledged at 1"]
    assert bench.ended == []


def test_a_process_that_was_frozen_in_a_step_sends_nothing_of_it(
    bench: Any, book: Any, rules: Any, fake_clock: Any
) -> None:
    def frozen() -> Any:
        fake_clock.advance(21)
        return rules

    bench.model = frozen
    with pytest.raises(Ended):
        bench.run([book.invoice("D-1", "INV-1", DAY)])
    assert bench.happened == []


def test_a_batch_that_is_cancelled_ends_the_process_as_faust_would_acknowledge_it(
    rules: Any, fake_clock: Any, book: Any
) -> None:
    bench = TakeBench(rules, fake_clock)
    sending: list[asyncio.Task[Any]] = []

    async def cancelled() -> None:
        sending[0].cancel()
        await asyncio.Event().wait()

    async def work() -> None:
        batches = ([book.invoice("D-1", "INV-1", DAY)],)
        sending.append(
            asyncio.ensure_future(
                bench._agent(SimpleNamespace(take_events=lambda n, within: bench._handed_out(batches)))
            )
        )
        await sending[0]

    bench.sending = cancelled  # type: ignore[assignment]
    with pytest.raises(Ended):
        asyncio.run(work())
    assert bench.ended[0] == (EXIT_UNTRUSTED, "scoring.batch_failed")
    assert bench.blobs.blobs == {}


@pytest.mark.parametrize("unanswered", ["a send", "a write"])
def test_a_broker_that_never_answers_ends_the_process_in_the_end(bench: Any, book: Any, unanswered: str) -> None:
    async def never() -> None:
        await asyncio.Event().wait()

    bench.app.conf.producer_request_timeout = 0.1
    if unanswered == "a send":
        bench.sending = never
    else:
        bench.writing = never
    with pytest.raises(Ended):
        bench.run([book.invoice("D-1", "INV-1", DAY)])
    assert bench.ended[0] == (EXIT_UNTRUSTED, "scoring.batch_failed")
    assert not [step for step in bench.happened if step.startswith("acknowledged")]


@pytest.mark.parametrize("fault", ["a send", "a write", "the step"])
def test_a_batch_that_fails_ends_the_process_and_is_never_acknowledged(bench: Any, book: Any, fault: str) -> None:
    if fault == "a send":
        bench.sending = _fail
    elif fault == "a write":
        bench.writing = _fail
    else:
        bench.model = lambda: 1 / 0
    with pytest.raises(Ended):
        bench.run([book.invoice("D-1", "INV-1", DAY)], [book.invoice("D-1", "INV-2", date(2031, 3, 4))])
    assert bench.ended[0] == (EXIT_UNTRUSTED, "scoring.batch_failed")
    assert not [step for step in bench.happened if step.startswith("acknowledged")]
    assert fault != "a send" or bench.blobs.blobs == {}


def test_a_tick_that_several_debtors_cannot_bear_counts_as_one_record(bench: Any, book: Any) -> None:
    tick = next(one for one in book.tick(DAY) if one.partition == PARTITION)
    keys = [key for number in range(99) if partition_of(key := debtor_key("acme", f"D-{number}"), 12) == PARTITION]
    bench.blobs.blobs = {(PARTITION, key): b"\xff" for key in keys[:3]}
    bench.scorer.rebuild(bench.blobs.blobs)
    bench.run([tick])
    assert bench.ended == []
    labels = {"topic": "ledger-events"}
    put_aside = {**labels, "reason": "state_unreadable"}
    assert bench.registry.get_sample_value("duly_dlq_records_total", put_aside) == 3
    assert bench.registry.get_sample_value("duly_stream_events_total", {**labels, "outcome": "handled"}) == 0


def test_a_later_chunk_sees_the_states_of_earlier_ones_in_flight_but_none_is_stored_before_its_outputs(
    line: BatchBench, book: Any, rules: Any, fake_clock: Any
) -> None:
    batches = [[book.invoice("D-1", f"INV-{number}", DAY)] for number in range(3)]
    together = BatchBench(rules, fake_clock)
    together.run([record for batch in batches for record in batch])

    async def work() -> None:
        gate = asyncio.Event()
        line.sending = gate.wait  # type: ignore[assignment]
        await line.line.start(line.finished)
        for batch in batches:
            await line.take(batch)
        assert line.blobs.blobs == {}
        assert line.ends == {}
        gate.set()
        await line.line.empty()
        await line.line.close()

    asyncio.run(work())
    assert line.blobs.blobs == together.blobs.blobs
    assert line.ends == {PARTITION: 3}
    assert line.positions.snapshot() == ({PARTITION: 3}, 0)
    assert line.states._pending == {}


def test_no_more_than_four_portions_are_in_flight(line: BatchBench, book: Any) -> None:
    async def work() -> None:
        gate = asyncio.Event()
        line.sending = gate.wait  # type: ignore[assignment]
        await line.line.start(line.finished)
        for number in range(4):
            await asyncio.wait_for(line.line.room(), 60)
            await line.take([book.invoice("D-1", f"INV-{number}", DAY)])
        room = asyncio.ensure_future(line.line.room())
        done, _ = await asyncio.wait([room], timeout=0.05)
        assert not done
        gate.set()
        await asyncio.wait_for(room, 60)
        await line.line.empty()
        await line.line.close()

    asyncio.run(work())
    assert line.ends == {PARTITION: 4}


def test_a_caller_that_is_cancelled_leaves_the_chunk_to_be_finished(line: BatchBench, book: Any) -> None:
    async def work() -> None:
        await line.line.start(line.finished)
        caller = asyncio.ensure_future(line.take([book.invoice("D-1", "INV-1", DAY)]))
        while not line.happened:
            await asyncio.sleep(0)
        caller.cancel()
        await asyncio.wait_for(line.line.empty(), 60)
        assert caller.cancelled()
        await line.line.close()

    asyncio.run(work())
    assert (line.ends, line.happened[-2:]) == ({PARTITION: 1}, ["blob acknowledged", "acknowledged at 1"])


def test_a_stage_that_is_cancelled_before_the_stop_ends_the_process(line: BatchBench, book: Any) -> None:
    async def work() -> None:
        await line.line.start(line.finished)
        await asyncio.sleep(0)
        line.line._stages[0].cancel()
        with pytest.raises(Ended):
            await line.line._stages[0]
        await line.line.close()

    asyncio.run(work())
    assert line.ended == [(EXIT_UNTRUSTED, "scoring.batch_failed")]


def test_what_does_not_fit_one_batch_goes_in_several_in_order(line: BatchBench, book: Any) -> None:
    line.producer = Producer(line, batch_rows=2)
    line.run([book.invoice("D-1", f"INV-{number}", DAY) for number in range(5)])
    assert [sent for sent in line.producer.sent if sent[0] == "risk-scores"] == [
        ("risk-scores", PARTITION, count) for count in (2, 2, 1)
    ]


def test_what_a_large_tick_has_written_is_let_go_before_its_end(
    line: BatchBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[weakref.ref[Watched]] = []
    kept: list[int] = []

    def portions(_: Any) -> Iterator[BatchOutcome]:
        for _ in range(20):
            blobs = Watched({(PARTITION, debtor_key("acme", "D-1")): b"state"})
            written.append(weakref.ref(blobs))
            yield BatchOutcome(blobs=blobs)
        kept.append(sum(blobs() is not None for blobs in written))

    handler: Any = line.line._handler
    monkeypatch.setattr(handler._step, "portions", portions)
    line.run([])
    assert 0 < kept[0] <= 7  # four in flight, and what each of three stages has in its hands


def test_a_batch_of_several_portions_is_told_as_their_sum() -> None:
    tally = Tally()
    for outcome in (
        BatchOutcome(facts=1, scores=2, blobs={(0, b"a"): b"123"}),
        BatchOutcome(),
        BatchOutcome(facts=3, blobs={(0, b"b"): b"1"}, shadow_faults=["first", "second"]),
        BatchOutcome(shadow_faults=["third"]),
    ):
        tally.add(outcome)
    assert tally == Tally(facts=4, scores=2, blob_bytes_max=3, shadow_faults=3, first_shadow_fault="first")


def test_a_tick_stops_between_portions_when_partitions_move_and_is_not_acknowledged(
    line: BatchBench, book: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    portions = iter(range(5))

    async def work() -> None:
        await line.line.start(line.finished)
        handler: Any = line.line._handler
        outcomes = handler._step.portions([book.invoice("D-1", "INV-1", DAY)])
        only = next(outcomes)
        asked: list[int] = []

        async def outcome(_: Any) -> Any:
            asked.append(next(portions))
            if len(asked) == 2:
                emptied.append(asyncio.ensure_future(line.line.empty()))
                await asyncio.sleep(0)
            return only

        emptied: list[Any] = []
        monkeypatch.setattr(handler, "next_outcome", outcome)
        await line.take([book.invoice("D-1", "INV-2", DAY)])
        await asyncio.wait_for(emptied[0], 10)
        assert asked == [0, 1]
        await line.line.close()

    asyncio.run(work())
    assert line.ends == {}

"""F17: both shells over a broker in memory that dies, fails and delays at every await, from one seed; no Kafka.

Real are the shells, the stream around them and the step. Simulated are Faust's hand-over of records, the producer, the
table's changelog and the process: when it dies, of what was on its way a part has arrived, in order per partition.
"""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, NoReturn

import faust.streams
from duly_contracts.keys import partition_of
from duly_runtime.log import Record
from duly_runtime.metrics import Metrics
from duly_testing.clock import FakeClock
from scoring.adapters.batch_line import BatchLine, PendingStates
from scoring.adapters.batch_shell import chunks_of
from scoring.adapters.faust_app import applied_offset
from scoring.adapters.guards import ZombieGuard
from scoring.adapters.table_store import MemoryBlobs, recover
from scoring.adapters.take_shell import TakeShell
from scoring.application.ports import Models
from scoring.application.score_batch import Scorer
from scoring.entrypoints.positions import Positions
from scoring.entrypoints.scoring_step import ScoringStep
from scoring.entrypoints.stream import Stream

from duly_chaos.broker import CHANGELOG, LEDGER
from duly_chaos.ledger_log import Ledger

TAKE, BATCH = "take", "batch"


class Died(BaseException):
    """The process is gone: nothing of it has an effect any more."""


@dataclass(slots=True)
class Disk:
    """What outlives the process. records: by topic and partition, in the order the broker took them.

    local: the store of a worker that keeps one, which may be ahead of the changelog; None = it begins empty.
    """

    local: SimpleNamespace | None = None
    records: dict[tuple[str, int], list[Record]] = field(default_factory=lambda: defaultdict(list))
    committed: dict[int, int] = field(default_factory=dict)

    def topic(self, name: str) -> list[Record]:
        return [record for (topic, _), found in sorted(self.records.items()) if topic == name for record in found]

    def append(self, topic: str, partition: int, rows: Sequence[tuple[bytes, bytes, Any]]) -> int:
        """The offset of the first."""
        found = self.records[topic, partition]
        first = len(found)
        found += [
            Record(topic, partition, first + at, key, value, tuple(headers))
            for at, (key, value, headers) in enumerate(rows)
        ]
        return first


@dataclass(slots=True)
class Fate:
    """When a life ends. dies_at: the await at which it does, 0 = never; fails_at: the send that the broker refuses."""

    rng: random.Random
    dies_at: int = 0
    fails_at: int = 0
    awaits: int = 0
    sends: int = 0
    dead: bool = False

    async def moment(self) -> None:
        """One await: others may run meanwhile, or the process is gone."""
        self.awaits += 1
        if self.awaits == self.dies_at:
            self.die()
        if self.dead:
            raise Died
        for _ in range(self.rng.choice((0, 1, 1, 3))):
            await asyncio.sleep(0)

    def die(self) -> NoReturn:
        self.dead = True
        raise Died


class SimProducer:
    """aiokafka's producer as far as the shells use it: in order per partition, acknowledged some time later."""

    def __init__(self, disk: Disk, fate: Fate, partitions: int) -> None:
        self._disk = disk
        self._fate = fate
        self._partitions = partitions
        self._flying: dict[tuple[str, int], deque[tuple[list[Any], asyncio.Future[Any]]]] = defaultdict(deque)
        self._tasks: dict[tuple[str, int], asyncio.Task[None]] = {}
        self._refused: set[tuple[str, int]] = set()  # partitions without a leader

    def _ensure_producer(self) -> SimProducer:
        return self

    def _new_producer(self) -> SimProducer:
        return self

    async def start(self) -> None:
        await self._fate.moment()

    async def stop(self) -> None:
        await self._fate.moment()

    async def partitions_for(self, topic: str) -> set[int]:
        await self._fate.moment()
        return set(range(self._partitions))

    def create_batch(self) -> SimBatch:
        return SimBatch(self._fate.rng.choice((1, 3, 1000)))

    async def send_batch(self, batch: SimBatch, topic: str, partition: int) -> asyncio.Future[Any]:
        return await self.send_rows(batch.rows, topic, partition)

    async def send_rows(self, rows: list[Any], topic: str, partition: int) -> asyncio.Future[Any]:
        await self._fate.moment()
        acked: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._fate.sends += 1
        place = (topic, partition)
        if self._fate.sends == self._fate.fails_at:
            self._refused.add(place)
        if place in self._refused:
            acked.set_exception(OSError("the broker refused it"))
            return acked
        self._flying[place].append((rows, acked))
        if place not in self._tasks or self._tasks[place].done():
            self._tasks[place] = asyncio.create_task(self._carry(place))
        return acked

    async def _carry(self, place: tuple[str, int]) -> None:
        while self._flying[place]:
            await self._fate.moment()
            rows, acked = self._flying[place].popleft()
            first = self._disk.append(*place, rows)
            await self._fate.moment()
            acked.set_result(SimpleNamespace(partition=place[1], offset=first))

    def wreck(self) -> None:
        """The process is gone; of each partition's queue the first few may have arrived."""
        for place, queue in self._flying.items():
            for rows, _ in list(queue)[: self._fate.rng.randrange(len(queue) + 1)]:
                self._disk.append(*place, rows)


class SimBatch:
    """Full after `size` records, however large they are."""

    def __init__(self, size: int) -> None:
        self._size = size
        self.rows: list[tuple[bytes, bytes, Any]] = []

    def append(self, *, key: bytes, value: bytes, timestamp: None, headers: Any) -> object | None:
        if len(self.rows) == self._size:
            return None
        self.rows.append((key, value, headers))
        return object()

    def record_count(self) -> int:
        return len(self.rows)

    def close(self) -> None: ...


class SimTable:
    """The Faust table as far as the shells use it."""

    changelog_topic_name = CHANGELOG

    def __init__(self, producer: SimProducer, disk: Disk) -> None:
        self._producer = producer
        self._unacked: list[Any] = []
        self.blobs = MemoryBlobs(disk.local or empty_store())
        for (topic, partition), records in disk.records.items():
            if topic == CHANGELOG:
                recover(self.blobs, applied_offset, partition, records)

    def __setitem__(self, key: bytes, blob: bytes) -> None:
        partition = faust.streams._current_event.get()().message.partition
        self.blobs.put(partition, {key: blob})
        self._unacked.append(asyncio.ensure_future(self._written(key, blob, partition)))

    def take_unacked(self) -> list[Any]:
        unacked, self._unacked = self._unacked, []
        return unacked

    def on_recover(self, callback: Any) -> None: ...

    async def _written(self, key: bytes, blob: bytes, partition: int) -> None:
        await (await self._producer.send_rows([(key, blob, [])], CHANGELOG, partition))


def empty_store() -> SimpleNamespace:
    """Of a worker that keeps one."""
    return SimpleNamespace(data={}, _key_partition={})


class Inline(Executor):
    """The step thread, without a thread: a run is the same for the same seed."""

    def submit(self, work: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        done: Future[Any] = Future()
        try:
            done.set_result(work(*args, **kwargs))
        except Exception as error:
            done.set_exception(error)
        return done


class Life:
    """One process over the disk, from the committed offsets on, until all is applied or it dies."""

    _app: Any  # Faust's, as far as the shells use it

    def __init__(self, shell: str, book: Ledger, disk: Disk, fate: Fate, model: Models) -> None:
        self._shell = shell
        self._book = book
        self._disk = disk
        self._fate = fate
        self._model = model
        self._committing: dict[int, int] = {}

    def run(self) -> bool:
        """Whether it came to the end of the log."""
        loop = asyncio.new_event_loop()
        loop.set_exception_handler(lambda loop, context: None)  # of tasks that died with the process
        try:
            return loop.run_until_complete(self._until_dead(loop))
        finally:
            loop.close()

    async def _until_dead(self, loop: asyncio.AbstractEventLoop) -> bool:
        producer = SimProducer(self._disk, self._fate, self._book.partitions)
        work = asyncio.ensure_future(self._work(producer))
        watch = asyncio.ensure_future(self._watch())
        await asyncio.wait([work, watch], return_when=asyncio.FIRST_COMPLETED)
        finished = not self._fate.dead and work.done() and work.exception() is None
        assert finished or self._fate.dead, work.exception()
        self._fate.dead = True
        producer.wreck()
        for task in (others := asyncio.all_tasks(loop) - {asyncio.current_task()}):
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        return finished

    async def _watch(self) -> None:
        while not self._fate.dead:
            await asyncio.sleep(0)

    async def _work(self, producer: SimProducer) -> None:
        table: Any = SimTable(producer, self._disk)
        self._app = SimpleNamespace(
            producer=producer,
            source_topic=LEDGER,
            on_partitions_revoked=SimpleNamespace(connect=lambda handler, weak: None),
            task=lambda work: work,
            conf=SimpleNamespace(producer_request_timeout=60.0),
            topic=lambda name, **kwargs: SimpleNamespace(send=_sender(producer, name, self._book.partitions)),
            agent=lambda topic, name, concurrency: self._keep_agent,
        )
        shell: Any = TakeShell(self._app, table, 128, 0.1) if self._shell == TAKE else _Line(self._app, table)
        models: Any = SimpleNamespace(current=lambda: self._model)
        scorer: Any = _Portioned(Scorer(shell.states, self._book.partitions), self._fate.rng)
        step, clock = ScoringStep(scorer, models), FakeClock()
        guard = ZombieGuard(clock, self._end)
        Stream(self._app, table, shell, step, Positions(), guard, Inline(), clock, Metrics(), self._end).attach()
        step.recovered(shell.states)
        if self._shell == TAKE:
            await self._agent(SimpleNamespace(take_events=lambda count, within: self._handed_out()))
        else:
            await self._through(shell.line)
        await self._commit()

    async def _through(self, line: BatchLine) -> None:
        await line.start(self._may_commit)
        for chunk in self._chunks():
            await self._fate.moment()
            await line.room()
            await line.take(chunk, {record.partition: record.offset + 1 for record in chunk})
            if self._fate.rng.random() < 0.3:
                await self._commit()
        await line.empty()
        await line.close()

    async def _handed_out(self) -> AsyncIterator[list[Any]]:
        for chunk in self._chunks():
            await self._fate.moment()
            yield [_Event(record) for record in chunk]
            self._may_commit({record.partition: record.offset + 1 for record in chunk})
            if self._fate.rng.random() < 0.3:
                await self._commit()

    def _chunks(self) -> Iterator[list[Record]]:
        """The log from the committed offsets on, cut at random, partitions in any order to each other."""
        waiting: dict[int, deque[Record]] = defaultdict(deque)
        for record in self._book.records:
            if record.offset >= self._disk.committed.get(record.partition, 0):
                waiting[record.partition].append(record)
        while any(waiting.values()):
            places = [partition for partition, records in waiting.items() if records]
            self._fate.rng.shuffle(places)
            fetched: Mapping[int, list[Record]] = {
                place: [
                    waiting[place].popleft() for _ in range(min(len(waiting[place]), self._fate.rng.randrange(1, 9)))
                ]
                for place in places[: self._fate.rng.randrange(1, 4)]
            }
            yield from chunks_of(fetched, self._fate.rng.choice((2, 5, 512)))

    def _may_commit(self, ends: Mapping[int, int]) -> None:
        self._committing.update(ends)

    async def _commit(self) -> None:
        ends = dict(self._committing)
        await self._fate.moment()
        self._disk.committed.update(ends)
        await self._fate.moment()

    def _keep_agent(self, agent: Any) -> Any:
        self._agent = agent
        return agent

    def _end(self, *args: Any, **kwargs: Any) -> NoReturn:
        self._fate.die()


class _Line:
    """The batch shell without Faust's consumer, which `Life` stands for."""

    def __init__(self, app: Any, table: Any) -> None:
        self._app = app
        self._table = table
        self.states = PendingStates(table)
        self.line: BatchLine

    def attach(self, handler: Any) -> None:
        self.line = BatchLine(self._app, self._table, self.states, handler, 4)


class _Portioned:
    """Portions of a few debtors, so that ticks are cut."""

    def __init__(self, scorer: Scorer, rng: random.Random) -> None:
        self._scorer = scorer
        self._rng = rng
        self.rebuild = scorer.rebuild

    def portions(self, records: Sequence[Record], model: Models) -> Iterator[Any]:
        return self._scorer.portions(records, model, self._rng.choice((1, 2, 512)))


class _Event:  # weakly referable, as Faust's own
    def __init__(self, record: Record) -> None:
        self.message = record


def _sender(producer: SimProducer, topic: str, partitions: int) -> Callable[..., Awaitable[Any]]:
    async def send(*, key: bytes, value: bytes, headers: Any) -> Any:
        return await producer.send_rows([(key, value, headers)], topic, partition_of(key, partitions))

    return send


@dataclass(frozen=True, slots=True)
class Simulated:
    """disk: what is left. lives: how many it took. awaits: of the last, undisturbed one."""

    disk: Disk
    lives: int
    awaits: int


def simulate(
    seed: int, shell: str, book: Ledger, model: Models, dies_at: Sequence[int], disk: Disk | None = None
) -> Simulated:
    """Lives that die at the given awaits, with a refused send now and then, and one that comes to the end.

    disk: what there is before; None: nothing, and the seed says whether a local store outlives the lives.
    """
    rng = random.Random(seed)
    disk = Disk(local=rng.choice((None, empty_store()))) if disk is None else disk
    lives = 0
    for at in (*dies_at, 0):
        lives += 1
        fate = Fate(rng, at, rng.randrange(1, 40) if at and rng.random() < 0.3 else 0)
        finished = Life(shell, book, disk, fate, model).run()
    assert finished, "a life that nothing disturbs must come to the end of the log"
    return Simulated(disk, lives, fate.awaits)

"""F17: both shells over a broker in memory that dies, fails and delays at every await, from one seed; no Kafka.

Real are the shells, the stream around them and the step. Simulated are, here, Faust's hand-over of records and the
process; in `simulated_broker`, the producer and the table's changelog.
"""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, NoReturn

from duly_contracts.keys import partition_of
from duly_runtime.log import Record
from duly_runtime.metrics import Metrics
from duly_testing.clock import FakeClock
from scoring.adapters.batch_line import BatchLine, PendingStates
from scoring.adapters.batch_shell import chunks_of
from scoring.adapters.guards import ZombieGuard
from scoring.adapters.take_shell import TakeShell
from scoring.application.ports import Models
from scoring.application.score_batch import Scorer
from scoring.entrypoints.positions import Positions
from scoring.entrypoints.scoring_step import ScoringStep
from scoring.entrypoints.stream import Stream

from duly_chaos.broker import LEDGER
from duly_chaos.ledger_log import Ledger
from duly_chaos.simulated_broker import Disk, Fate, SimProducer, SimTable, empty_store

TAKE, BATCH = "take", "batch"


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

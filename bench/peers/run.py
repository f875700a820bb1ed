"""One life of one engine: started on an empty state, watched, stopped, and all that it wrote checked."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
from duly_localstack.errors import last_lines
from duly_localstack.process import end, spawn
from duly_runtime.clock import Clock
from duly_runtime.log import Record
from duly_simulator.edge import wait

from bench.engine_job import Expected, mismatches
from bench.peers.broker import Stored, Topics
from bench.peers.engines import Engine, Names
from bench.peers.job import Job
from bench.stage import BenchFailed

WORKER_CORE = 0
WARM_UP_SHARE = 0.1
ROOT = Path(__file__).parent.parent.parent
_PINNED = Path(__file__).with_name("pinned.py")
_SAMPLE_SECONDS = 0.1
_STALLED_SECONDS = 60.0
_STOP_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Source:
    """A topic of events, the truth about them, and how many there are."""

    topic: str
    records: Sequence[Record]
    truth: Expected


@dataclass(frozen=True, slots=True)
class Model:
    """Files of the Booster: XGBoost's own, its trees for the walk, and the compiled walk."""

    booster: Path
    trees: Path
    library: Path


@dataclass(frozen=True, slots=True)
class Ground:
    """Where engines run. peers_python: of the peers' environment. nice: of a worker from its first score on."""

    topics: Topics
    bootstrap_servers: str
    broker_pid: int
    folder: Path
    model: Model
    peers_python: Path
    clock: Clock
    nice: int = 0


@dataclass(frozen=True, slots=True)
class Check:
    """What a life wrote, against the pure fold. uncommitted: events whose offsets it did not commit at its end."""

    wrong_keys: int
    scores: int
    expected_scores: int
    uncommitted: int

    @property
    def fault(self) -> str:
        """Empty: every score once and in order, every final state right, all offsets committed."""
        if self.wrong_keys:
            return f"{self.wrong_keys} keys wrong, {self.scores - self.expected_scores:+d} scores"
        return f"{self.uncommitted} events not committed" if self.uncommitted else ""


@dataclass(frozen=True, slots=True)
class Round:
    """cpu_us: of the worker, per event. broker_busy: share of its core that the broker used meanwhile."""

    events_per_second: float
    cpu_us: float
    broker_busy: float
    check: Check


@dataclass(frozen=True, slots=True)
class Sample:
    """seconds: monotonic; scores: appended so far; worker, broker: CPU seconds."""

    seconds: float
    scores: int
    worker: float
    broker: float


class Worker:
    """One life. names: group, changelog; scores: its topic."""

    def __init__(self, ground: Ground, engine: Engine, life: int, source: str) -> None:
        self.engine = engine
        self.names: Names = engine.names(life, source)
        self.source = source
        self.scores = f"scores-{life}"
        self.folder = ground.folder / f"{life:03d}-{engine.name}"
        self.log = self.folder / "worker.log"
        self._data = self.folder / "data"
        self._ground = ground
        self._child: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._data.mkdir(parents=True)
        self._ground.topics.create(self.scores)
        if not self.names.makes_changelog:
            self._ground.topics.create(self.names.changelog, compacted=True)
        job_file = self.folder / "job.json"
        self._job().write(job_file)
        python = self._ground.peers_python if self.engine.quix else Path(sys.executable)
        program = [str(python), "-m", f"bench.peers.{self.engine.program}", str(job_file)]
        command = [sys.executable, str(_PINNED), str(WORKER_CORE), *program]
        path = {"PYTHONPATH": ""} if self.engine.quix else {}
        self._child = spawn(command, log_file=self.log, env={"OMP_NUM_THREADS": "1", **path}, cwd=ROOT)

    def sample(self) -> Sample:
        """Raises BenchFailed if the process has ended."""
        if self._child is None or self._child.poll() is not None:
            raise BenchFailed(f"{self.engine.name} ended too soon. Log: {self.log}\n{last_lines(self.log)}")
        now, total = self._ground.clock.monotonic(), self._ground.topics.total(self.scores)
        try:
            return Sample(now, total, _cpu_seconds(self._child.pid), _cpu_seconds(self._ground.broker_pid))
        except psutil.Error as error:
            raise BenchFailed(f"{self.engine.name} or the broker ended: {error}. Log: {self.log}") from error

    def until(self, scores: int) -> list[Sample]:
        """Samples until that many scores are there. Raises BenchFailed if none come for a minute."""
        samples = [self.sample()]
        moved = samples[0].seconds
        while samples[-1].scores < scores:
            wait(_SAMPLE_SECONDS)
            samples.append(self.sample())
            if samples[-1].scores > samples[-2].scores:
                if not samples[-2].scores:
                    self._raise_priority()
                moved = samples[-1].seconds
            elif samples[-1].seconds - moved > _STALLED_SECONDS:
                raise BenchFailed(
                    f"{self.engine.name} stopped at {samples[-1].scores} of {scores} scores. Log: {self.log}"
                )
        return samples

    def _raise_priority(self) -> None:
        """Of all threads, once the engine works: its start is nobody's figure."""
        if self._ground.nice and self._child is not None:
            raise_priority(self._child.pid, self._ground.nice)

    def stop(self) -> None:
        """As an operator would: SIGTERM, and time to finish."""
        if self._child is not None:
            end(self._child, grace_seconds=_STOP_SECONDS)
            self._child = None

    def forget(self) -> None:
        """Its topics."""
        self._ground.topics.delete(self.scores, self.names.changelog)

    def _job(self) -> Job:
        model = self._ground.model
        return Job(
            bootstrap_servers=self._ground.bootstrap_servers,
            source=self.source,
            scores=self.scores,
            changelog=self.names.changelog,
            group=self.names.group,
            predictor=self.engine.predictor,
            model=str(model.booster),
            trees=str(model.trees),
            library=str(model.library),
            folder=str(self._data),
            options=self.names.options,
        )


@contextmanager
def worker(ground: Ground, engine: Engine, life: int, source: str) -> Iterator[Worker]:
    """Started; at the end stopped, its topics gone."""
    made = Worker(ground, engine, life, source)
    try:
        made.start()
        yield made
    finally:
        made.stop()
        made.forget()


def throughput(ground: Ground, engine: Engine, life: int, source: Source) -> Round:
    """Work through a topic that is full before the engine starts."""
    count = len(source.records)
    with worker(ground, engine, life, source.topic) as run:
        samples = run.until(count)
        run.stop()
        scores = list(ground.topics.read(run.scores))
        return rated(scores, samples, checked(ground.topics, run, source, scores))


def rated(scores: Sequence[Stored], samples: Sequence[Sample], check: Check) -> Round:
    """The first tenth of the scores is warm-up. Rate: by the broker's times; CPU: by samples ten times a second."""
    times = sorted(score.at for score in scores)
    warm = int(len(times) * WARM_UP_SHARE)
    seconds = max(1, times[-1] - times[warm]) / 1000
    begin = next(sample for sample in samples if sample.scores >= warm)
    last = samples[-1]
    if begin is last:
        begin = samples[0]
    events, spent = last.scores - begin.scores, last.seconds - begin.seconds
    return Round(
        events_per_second=(len(times) - warm) / seconds,
        cpu_us=(last.worker - begin.worker) / events * 1e6,
        broker_busy=(last.broker - begin.broker) / spent if spent else 0.0,
        check=check,
    )


def checked(topics: Topics, run: Worker, source: Source, scores: Sequence[Stored]) -> Check:
    """Every score and every final state against the pure fold, and what is committed against what there is."""
    states = {run.engine.key_of(stored.key): stored.value for stored in topics.read(run.names.changelog)}
    pairs = [(score.key, score.value) for score in scores]
    committed = topics.committed(run.names.group, source.topic)
    ends: Mapping[int, int] = _ends(source.records)
    return Check(
        wrong_keys=mismatches(source.truth, states, pairs, repeats=False),
        scores=len(pairs),
        expected_scores=len(source.records),
        uncommitted=sum(max(0, end - committed.get(partition, 0)) for partition, end in ends.items()),
    )


@contextmanager
def pinned(core: int) -> Iterator[bool]:
    """This process on one core while open; False where the system cannot pin."""
    if not hasattr(os, "sched_setaffinity"):
        yield False
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield True
    finally:
        os.sched_setaffinity(0, before)


def raise_priority(pid: int, nice: int) -> None:
    """Of all threads of a process, and of its session where Linux weighs these first; below 0 needs root."""
    with suppress(OSError):
        Path(f"/proc/{pid}/autogroup").write_text(str(nice), "utf-8")
    for thread in psutil.Process(pid).threads():
        with suppress(ProcessLookupError):
            os.setpriority(os.PRIO_PROCESS, thread.id, nice)


def _ends(records: Sequence[Record]) -> dict[int, int]:
    return {record.partition: record.offset + 1 for record in records}


def _cpu_seconds(pid: int) -> float:
    process = psutil.Process(pid)
    times = [each.cpu_times() for each in (process, *process.children(recursive=True))]
    return sum(each.user + each.system for each in times)

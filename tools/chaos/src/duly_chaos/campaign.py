"""One seed: a small log, a worker that is killed again and again while it reads it, and the verdict."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from duly_risk.fallback import RulesModel
from duly_testing.eventually import eventually
from scoring.adapters.memory import OneModel

from duly_chaos.broker import Broker
from duly_chaos.checker import Verdict, check
from duly_chaos.faulty import POINTS
from duly_chaos.ledger_log import Ledger, play
from duly_chaos.worker import PATIENCE_SECONDS, Kind, Worker

PARTITIONS = 6
KILLED = -9


@dataclass(slots=True)
class Run:
    """What was done and what came of it. ends: how the lives ended, by name."""

    seed: int
    kind: Kind
    ends: Counter[str] = field(default_factory=Counter)
    verdict: Verdict | None = None


def run_seed(seed: int, broker: Broker, folder: Path, kind: Kind) -> Run:
    """Kill, restart, compare. Raises AssertionError if a life does not come to its end."""
    rng = random.Random(seed)
    debtors = rng.randrange(30, 80)
    book = play(seed, debtors, 45, live_days=rng.randrange(6, 20), partitions=PARTITIONS)
    broker.fresh_topics(PARTITIONS)
    run, worker = Run(seed, kind), Worker(broker.bootstrap, folder, kind, batch_records=rng.choice([8, 64, 512]))
    try:
        for part in parts_of(book, rng.randrange(2, 4), rng):
            broker.send(part.records)
            run.ends[_live(worker, part, rng, 20 if kind.shell == "batch" else 200)] += 1
        worker.start()
        worker.until_applied(book.ends)
        assert worker.stop() == 0, worker.last_words()
    finally:
        if not worker.ended():
            worker.kill()
    run.verdict = check(broker, book, OneModel(RulesModel()))
    return run


def parts_of(book: Ledger, parts: int, rng: random.Random | None = None) -> Iterator[Ledger]:
    """The log in pieces, each with the ends it leads to. rng: None = pieces of one size."""
    count = len(book.records)
    equal = [count * number // parts for number in range(1, parts)]
    cuts = equal if rng is None else sorted(rng.sample(range(1, count), parts - 1))
    ends: dict[int, int] = {}
    for start, stop in zip([0, *cuts], [*cuts, count], strict=True):
        records = book.records[start:stop]
        for record in records:
            ends[record.partition] = record.offset + 1
        yield Ledger(book.partitions, records, dict(ends))


def _live(worker: Worker, part: Ledger, rng: random.Random, sends: int) -> str:
    """One life that is ended: at a point inside a batch, at some moment, or politely. How it ended.

    sends: how often it hands something to the producer, about.
    """
    point = rng.choice(POINTS) if rng.random() < 0.75 else ""
    if point:
        passes = rng.randrange(1, 4) if point.startswith("commit") else rng.randrange(1, sends)
        worker.start([f"kill:{point}:{passes}"])
        eventually(lambda: worker.ended() or worker.positions() == part.ends, PATIENCE_SECONDS)
    else:
        worker.start()
        target = rng.randrange(1, max(2, len(part.records) // 2))
        eventually(lambda: worker.facts() >= target or worker.positions() == part.ends, PATIENCE_SECONDS)
    politely = rng.random() < 0.5
    if not worker.ended() and not politely:
        worker.kill()
        return "any moment"
    code = worker.wait(10) if worker.ended() else worker.stop()
    if point and code == KILLED:  # also while it stops: the last commit of a life is one
        return point
    assert code == 0, f"exit {code}: {worker.last_words()}"
    return "stopped"

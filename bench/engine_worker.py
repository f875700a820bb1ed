"""One worker of the engine job on Faust: `python -m bench.engine_worker SHELL BOOTSTRAP FOLDER STORE`.

SHELL: `batch` and `take` are scoring's own, with the toy step in place of the scorer; `naive` is Faust as its
documentation shows it: one agent, one event at a time, a table, one prediction and one send per event.
Prints a line of JSON four times a second: {"done": events whose offset is let go, "cpu": seconds of CPU, "rss": bytes,
"threads": seconds of CPU by thread: `MainThread` sends, stores and commits, `step` folds and scores, the third fetches}.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import faust
import numpy as np
import psutil
import uvloop
from duly_contracts.topics import topics
from duly_runtime.clock import SystemClock
from duly_runtime.log import Record
from duly_runtime.metrics import Metrics
from scoring.adapters.faust_app import debtors_table, make_app
from scoring.adapters.guards import ZombieGuard
from scoring.adapters.kafka_preflight import LEDGER
from scoring.application.ports import StateStore
from scoring.application.score_batch import BatchOutcome
from scoring.bootstrap import Worker, make_shell
from scoring.config import Settings
from scoring.entrypoints.positions import Positions
from scoring.entrypoints.stream import Stream

from bench.engine_job import SCORES_TOPIC, STATE, ToyStep, toy_booster


class _Step:
    def __init__(self, toy: ToyStep) -> None:
        self._toy = toy

    def portions(self, records: Sequence[Record]) -> Iterator[BatchOutcome]:
        yield self._toy.score(records)

    def recovered(self, states: StateStore) -> int:
        return sum(1 for _ in states.places())


def applied_in(blob: bytes) -> int:
    """The applied offset in a toy state."""
    return int(np.frombuffer(blob, dtype=STATE, count=1)["applied"][0])


def run(shell: str, bootstrap: str, folder: Path, store: str) -> None:
    """Until a signal."""
    positions = Positions()
    app = _naive(bootstrap, folder, positions) if shell == "naive" else _ours(shell, bootstrap, folder, store, positions)
    threading.Thread(target=_tell, args=(positions,), daemon=True).start()
    Worker(app, asyncio.new_event_loop()).execute_from_commandline()


def _ours(shell: str, bootstrap: str, folder: Path, store: str, positions: Positions) -> Any:
    settings = Settings(kafka_bootstrap_servers=bootstrap, data_dir=folder, shell=shell, store=store)  # type: ignore[arg-type]
    app = make_app(
        bootstrap_servers=bootstrap,
        source=LEDGER,
        data_dir=folder,
        instance_id=settings.instance_id,
        store=store,
        app_version=1,
        session_timeout_seconds=45.0,
        recovery_delay_seconds=0.0,
        replication_factor=1,
    )
    table, clock = debtors_table(app, applied_in), SystemClock()
    shell_ = make_shell(settings, app, table)
    step = _Step(ToyStep(shell_.states, toy_booster()))
    executor = ThreadPoolExecutor(1, thread_name_prefix="step")
    Stream(app, table, shell_, step, positions, ZombieGuard(clock), executor, clock, Metrics()).attach()
    return app


def _naive(bootstrap: str, folder: Path, positions: Positions) -> Any:
    app = faust.App(
        "scoring", broker=f"kafka://{bootstrap}", datadir=str(folder), store="memory://", web_enabled=False,
        autodiscover=False, topic_allow_declare=False, topic_disable_leader=True, consumer_auto_offset_reset="earliest",
    )  # fmt: skip
    raw = {"key_type": bytes, "value_type": bytes, "key_serializer": "raw", "value_serializer": "raw"}
    table = app.Table("debtors", key_type=bytes, value_type=bytes, partitions=topics()[LEDGER].partitions)
    scores = app.topic(SCORES_TOPIC, **raw)
    step = ToyStep(None, toy_booster())  # type: ignore[arg-type]  # single events bring their own state

    async def score(stream: Any) -> None:
        async for event in stream.events():
            known = table.get(event.key)
            state, score = step.score_one(known, event.message.offset, event.value)
            table[event.key] = state
            if score is not None:
                await scores.send(key=event.key, value=score)
            at = {event.message.partition: event.message.offset + 1}
            positions.done(at, 1, 1, 1)

    app.agent(app.topic(LEDGER, **raw))(score)
    return app


def _tell(positions: Positions) -> None:
    process, every = psutil.Process(), threading.Event()
    while not every.wait(0.25):
        cpu = process.cpu_times()
        names = {thread.native_id: thread.name for thread in threading.enumerate()}
        threads = {names.get(row.id, "other"): row.user_time + row.system_time for row in process.threads()}
        rss = process.memory_info().rss
        line = {"done": positions.facts, "cpu": cpu.user + cpu.system, "rss": rss, "threads": threads}
        print(json.dumps(line), flush=True)


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    run(sys.argv[1], sys.argv[2], Path(sys.argv[3]), sys.argv[4])

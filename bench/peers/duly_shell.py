"""Scoring's own worker with the toy step: app, table, shell, guards and stream are the product's, as it ships.

Options: settings of scoring (`shell`, `store`, `app_version`); all others are its defaults.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import uvloop
from duly_runtime.clock import SystemClock
from duly_runtime.log import Record
from duly_runtime.logging import configure_logging
from duly_runtime.metrics import Metrics
from scoring.adapters.faust_app import app_id, debtors_table
from scoring.adapters.guards import ZombieGuard
from scoring.adapters.local_state import state_folder
from scoring.application.ports import StateStore
from scoring.application.score_batch import BatchOutcome
from scoring.bootstrap import Worker, app_of, calm_collector, make_shell
from scoring.config import Settings
from scoring.entrypoints.positions import Positions
from scoring.entrypoints.stream import Stream

from bench.engine_job import ToyStep
from bench.peers.job import Job
from bench.toy import applied_offset


class Portions:
    """`entrypoints.stream.Step` of the toy: each batch is one portion."""

    def __init__(self, step: ToyStep) -> None:
        self._step = step

    def portions(self, records: Sequence[Record]) -> Iterator[BatchOutcome]:
        yield self._step.score(records)

    def recovered(self, states: StateStore) -> int:
        return sum(1 for _ in states.places())


def main() -> None:
    job = Job.read()
    place = {"kafka_bootstrap_servers": job.bootstrap_servers, "data_dir": Path(job.folder)}
    settings = Settings.model_validate({**place, **job.options})
    state_folder(settings.data_dir, app_id(settings.app_version)).mkdir(parents=True)
    configure_logging("scoring", "WARNING")
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    app = app_of(settings, job.source)
    table, clock = debtors_table(app, applied=applied_offset), SystemClock()
    shell = make_shell(settings, app, table)
    step = Portions(ToyStep(shell.states, job.booster(), job.scores))
    guard, thread = ZombieGuard(clock), ThreadPoolExecutor(max_workers=1, thread_name_prefix="step")
    Stream(app, table, shell, step, Positions(), guard, thread, clock, Metrics()).attach()
    calm_collector()
    Worker(app, asyncio.new_event_loop()).execute_from_commandline()


if __name__ == "__main__":
    main()

"""Faust as its documentation shows it: an agent over events, a table, a send and a write for each event.

Stock settings, but for two without which it cannot run here: raw serializers (with the types alone every record is
dropped as undecodable) and no web server (its port would be taken). Option `tuned`: quiet loggers (Faust and aiokafka
build debug records for every send, also where nobody reads them), uvloop, a lingering producer, fewer passes of the
cycle collector, and the commit interval of the others.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import faust

from bench.peers.job import COMMIT_SECONDS, PARTITIONS, Job, calm_collector
from bench.toy import score_one


def make_app(job: Job) -> faust.App:
    tuned = {"producer_linger": 0.005, "broker_commit_interval": COMMIT_SECONDS} if job.options.get("tuned") else {}
    app = faust.App(
        job.group,
        broker=f"kafka://{job.bootstrap_servers}",
        datadir=job.folder,
        store="memory://",
        topic_partitions=PARTITIONS,
        web_enabled=False,
        **tuned,
    )
    booster = job.booster()
    source, scores = (
        app.topic(name, key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw")
        for name in (job.source, job.scores)
    )
    states = app.Table("states", key_type=bytes, value_type=bytes)

    @app.agent(source)  # type: ignore[untyped-decorator]
    async def score(stream: Any) -> None:
        async for event in stream.events():
            state, scored = score_one(states.get(event.key), event.message.offset, event.value, booster)
            if scored is not None:
                await scores.send(key=event.key, value=scored)
            states[event.key] = state

    return app


def main() -> None:
    job = Job.read()
    if job.options.get("tuned"):
        import uvloop

        asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
        for name in ("faust", "mode", "aiokafka", "asyncio"):
            logging.getLogger(name).setLevel(logging.WARNING)
    worker = faust.Worker(make_app(job), loglevel="warn")
    if job.options.get("tuned"):
        calm_collector()
    worker.execute_from_commandline()


if __name__ == "__main__":
    main()

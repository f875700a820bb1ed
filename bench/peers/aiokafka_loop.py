"""A loop written by hand for this one job: `getmany`, one vectorised step, one `send_batch` per partition and topic.

State is a dict with a compacted changelog; offsets are committed once a second, up to the last chunk whose scores and
states are acknowledged. Up to four chunks are on their way at once. What a stream engine has beyond that is left out:
recovery of the state, partitions that move, an output that is acknowledged before the state that follows from it, a
step beside the event loop. So it shows what the client allows, not what a service can be built on.
"""

from __future__ import annotations

import asyncio
import signal
from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any

import numpy as np
import uvloop
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from bench.peers.job import COMMIT_SECONDS, Job, calm_collector
from bench.toy import EVENT, NEW_STATE, SCORE, STATE, fold

CHUNK_RECORDS = 512
CHUNKS_IN_FLIGHT = 4
_POLL_MS = 100

Row = tuple[bytes, bytes]


class Step:
    """The fold over chunks, states by key."""

    def __init__(self, booster: Any) -> None:
        self._booster = booster
        self._states: dict[bytes, bytes] = {}

    def score(self, records: Sequence[Any]) -> tuple[dict[int, list[Row]], dict[int, dict[bytes, bytes]]]:
        """(scores in order, touched states), both by partition. records: in offset order within each partition."""
        scores: dict[int, list[Row]] = defaultdict(list)
        touched: dict[int, dict[bytes, bytes]] = defaultdict(dict)
        order: list[Any] = []
        folded: list[tuple[Any, Any]] = []
        for round_ in _rounds(records):
            held = np.frombuffer(b"".join([self._states.get(record.key, NEW_STATE) for record in round_]), STATE).copy()
            found = np.frombuffer(b"".join([record.value for record in round_]), EVENT)
            folded.append(fold(held, found, np.array([record.offset for record in round_], np.int64)))
            blobs, width = held.tobytes(), STATE.itemsize
            for at, record in enumerate(round_):
                blob = self._states[record.key] = blobs[at * width : (at + 1) * width]
                touched[record.partition][record.key] = blob
            order += round_
        scored = np.concatenate([part for part, _ in folded])
        rows = np.concatenate([rows for _, rows in folded])
        scored["margin"] = self._booster.inplace_predict(rows, predict_type="margin")
        sent, size = scored.tobytes(), SCORE.itemsize
        for at, record in enumerate(order):
            scores[record.partition].append((record.key, sent[at * size : (at + 1) * size]))
        return scores, touched


class Loop:
    """One process."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._step = Step(job.booster())
        self._slots = asyncio.Semaphore(CHUNKS_IN_FLIGHT)
        self._acked: dict[Any, int] = {}
        self._last: asyncio.Task[None] | None = None
        self._stop = asyncio.Event()
        common = {"bootstrap_servers": job.bootstrap_servers}
        self._producer = AIOKafkaProducer(acks="all", linger_ms=0, max_batch_size=900_000, **common)
        self._consumer = AIOKafkaConsumer(
            job.source,
            group_id=job.group,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            fetch_max_wait_ms=20,
            max_partition_fetch_bytes=524_288,
            **common,
        )

    async def run(self) -> None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self._stop.set)
        await self._producer.start()
        await self._consumer.start()
        committing = asyncio.create_task(self._keep_committing())
        while not self._stop.is_set():
            fetched = await self._consumer.getmany(timeout_ms=_POLL_MS, max_records=CHUNK_RECORDS)
            if fetched:
                await self._chunk(fetched)
        if self._last is not None:
            await self._last
        committing.cancel()
        await self._commit()
        await self._consumer.stop()
        await self._producer.stop()

    async def _chunk(self, fetched: dict[Any, list[Any]]) -> None:
        await self._slots.acquire()
        if self._last is not None and self._last.done():
            self._last.result()  # ends the loop, uncommitted, if something could not be sent
        scores, touched = self._step.score(list(chain.from_iterable(fetched.values())))
        futures = [await self._send(self._job.scores, partition, rows) for partition, rows in scores.items()]
        for partition, states in touched.items():
            futures.append(await self._send(self._job.changelog, partition, states.items()))
        ends = {tp: records[-1].offset + 1 for tp, records in fetched.items()}
        self._last = asyncio.create_task(self._finish(self._last, futures, ends))

    async def _send(self, topic: str, partition: int, rows: Iterable[Row]) -> Any:
        batch = self._producer.create_batch()
        for key, value in rows:
            batch.append(key=key, value=value, timestamp=None)
        batch.close()
        return await self._producer.send_batch(batch, topic, partition=partition)

    async def _finish(self, before: asyncio.Task[None] | None, futures: list[Any], ends: dict[Any, int]) -> None:
        try:
            await asyncio.gather(*futures)
            if before is not None:
                await before
            self._acked.update(ends)
        finally:
            self._slots.release()

    async def _keep_committing(self) -> None:
        while True:
            await asyncio.sleep(COMMIT_SECONDS)
            await self._commit()

    async def _commit(self) -> None:
        acked, self._acked = self._acked, {}
        if acked:
            await self._consumer.commit(acked)


def _rounds(records: Iterable[Any]) -> list[list[Any]]:
    """The records so that no key comes twice in a round."""
    rounds: list[list[Any]] = []
    seen: dict[bytes, int] = {}
    for record in records:
        at = seen[record.key] = seen.get(record.key, -1) + 1
        if at == len(rounds):
            rounds.append([])
        rounds[at].append(record)
    return rounds


def main() -> None:
    job = Job.read()

    async def run() -> None:
        loop = Loop(job)
        calm_collector()
        await loop.run()

    uvloop.run(run())


if __name__ == "__main__":
    main()

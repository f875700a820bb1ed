"""Faust's consumer with the holes closed through which records were lost. Private names of Faust 0.15.3.

Every change of position (`perform_seek`, `seek_wait`, a stopped flow) begins an epoch. What was fetched in an older one
is dropped: the seek brings it back. A fetch that is under way ends before a seek begins.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from faust.transport.drivers import aiokafka as driver

from scoring.adapters.faust_producer import Producer

_FETCH_WAIT_MS = 20
_DRAIN_WAIT_SECONDS = 0.1


class ConsumerThread(driver.AIOKafkaConsumerThread):  # type: ignore[misc]  # Faust is untyped here
    """The thread that fetches."""

    def _create_worker_consumer(self, transport: Any) -> Any:
        consumer = super()._create_worker_consumer(transport)
        # Faust hard-codes 1500 ms: the long poll of idle partitions would stall the busy ones of the same broker.
        consumer._fetch_max_wait_ms = _FETCH_WAIT_MS
        return consumer


class SourceConsumer(driver.Consumer):  # type: ignore[misc]
    """Under the stock shell; the batch shell goes on from here."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._fetching = asyncio.Lock()
        self.epoch = 0

    def _new_consumer_thread(self) -> Any:
        return ConsumerThread(self, loop=self.loop, beacon=self.beacon)

    async def on_start(self) -> None:
        await super().on_start()
        # From the start: tasks of a Faust app begin after the recovery only, which may take minutes.
        self.add_future(self.app.while_running())

    async def _drain_messages(self, fetcher: Any) -> None:
        try:
            await self._drain(fetcher)
        except asyncio.CancelledError:
            # Faust takes a stop during a rebalance for a crash of its fetcher, and ends with 1.
            if not self.app.should_stop:
                raise

    async def _drain(self, fetcher: Any) -> None:
        await super()._drain_messages(fetcher)

    async def _getmany(self, active_partitions: Any, timeout: float) -> Any:
        """Records of the source once the state is recovered; those of the changelog go straight into the table.

        Faust resumes the source, seeks it and only then resumes its queues, which empties them: records delivered in
        between are gone, and read again they are dropped as already read. It also hands its live set to the consumer's
        thread; emptied at the end of recovery, aiokafka takes it for "all", and what it drains is dropped.
        """
        ready = self.app.tables.actives_ready
        wanted = {tp for tp in active_partitions if ready or tp.topic != self.app.source_topic}
        wait = min(timeout, _DRAIN_WAIT_SECONDS)  # short, as partitions that become active wait for the next call
        if not wanted:
            await asyncio.sleep(wait)
            return {}
        async with self._fetching:
            epoch = self.epoch
            records = await super()._getmany(wanted, wait)
            if epoch != self.epoch or not self.flow_active:
                return {}
        return self._recover_from(records)

    def _recover_from(self, records: Mapping[Any, list[Any]]) -> Mapping[Any, list[Any]]:
        """What is left when the table has taken its changelog."""
        rest = {}
        for tp, found in records.items():
            if tp.topic == self.app.source_topic:
                rest[tp] = found
            else:
                self.app.tables.recovery.take(tp, found)
        return rest

    def stop_flow(self) -> None:
        self.epoch += 1
        super().stop_flow()

    async def seek_wait(self, partitions: Any) -> None:
        self.epoch += 1
        async with self._fetching:
            await super().seek_wait(partitions)

    async def perform_seek(self) -> None:
        self.epoch += 1
        async with self._fetching:
            await super().perform_seek()
            # Faust leaves partitions without a commit where they are; what was drained before must be read again.
            # Of partitions that are held: Faust remembers where it was in those that have gone, too.
            held = {tp: self._read_offset[tp] for tp in self.assignment() if tp.topic == self.app.source_topic}
            fresh = [tp for tp, at in held.items() if not at]
            if fresh:
                await self._thread.seek_to_beginning(*(self._new_topicpartition(*tp) for tp in fresh))
        self.app.on_seek({tp.partition: at or 0 for tp, at in held.items()})


class Transport(driver.Transport):  # type: ignore[misc]
    """Makes the consumer that the app's shell asks for, and our producer."""

    Producer = Producer

    def __init__(self, *args: Any, consumer_type: type[SourceConsumer], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.Consumer = consumer_type

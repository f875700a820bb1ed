"""F6: whatever becomes of a batch, none of its partition overtakes it. The producer is the worker's own."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaConnectionError, KafkaError, MessageSizeTooLargeError
from aiokafka.protocol.produce import ProduceRequest
from duly_chaos.broker import LEDGER, SCORES, Broker
from scoring.adapters.faust_app import AppOptions, make_app

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(900)]


def sending(broker: Broker, folder: Path, work: Callable[[Any], Awaitable[None]]) -> None:
    """Run `work` with aiokafka's producer as the app configures it."""

    async def run() -> None:
        app = make_app(AppOptions(broker.bootstrap, LEDGER, folder, "scoring-0", "memory"))
        faust = app.transport.create_producer()
        producer = faust._new_producer()
        await producer.start()
        try:
            await work(producer)
        finally:
            await producer.stop()

    asyncio.run(run())


async def send(producer: Any, value: bytes) -> Any:
    """Hand over a batch of one record; its acknowledgement."""
    batch = producer.create_batch()
    batch.append(key=b"k", value=value, timestamp=None)
    batch.close()
    return await producer.send_batch(batch, SCORES, partition=0)


def values(broker: Broker) -> list[bytes]:
    return [record.value for record in broker.read(SCORES)]


def test_f6_nothing_overtakes_a_batch_that_the_broker_refused(broker: Broker, tmp_path: Path) -> None:
    async def work(producer: Any) -> None:
        await (await send(producer, b"first"))
        refused = await send(producer, b"refused" * 100)
        after = [await send(producer, b"after") for _ in range(2)]  # the second finds room when the first was sent
        with pytest.raises(MessageSizeTooLargeError):
            await refused
        for acked in after:
            with pytest.raises(KafkaError):
                await acked

    with broker.refusing_more_than(200, SCORES):
        sending(broker, tmp_path, work)
    assert values(broker) == [b"first"]


@pytest.mark.parametrize("lost", ["the request", "the answer"])
def test_f6_a_batch_that_is_tried_again_is_there_once_and_before_those_that_waited(
    lost: str, broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    send_to, faults = AIOKafkaClient.send, ["first", "second"]

    async def cut(self: Any, node: int, request: Any, **kwargs: Any) -> Any:
        if not isinstance(request, ProduceRequest) or not faults:
            return await send_to(self, node, request, **kwargs)
        faults.pop()
        if lost == "the answer":
            await send_to(self, node, request, **kwargs)
        raise KafkaConnectionError("cut off")

    async def work(producer: Any) -> None:
        acked = [await send(producer, value) for value in wanted]
        await asyncio.gather(*acked)

    wanted = [b"%d" % number for number in range(5)]
    monkeypatch.setattr(AIOKafkaClient, "send", cut)
    sending(broker, tmp_path, work)
    assert (values(broker), faults) == (wanted, [])

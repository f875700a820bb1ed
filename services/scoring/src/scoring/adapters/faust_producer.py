"""Faust's producer, made to keep the order of what it sends. Private names of Faust 0.15.3."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable, Mapping
from typing import Any

from faust.transport.drivers import aiokafka as driver


class Producer(driver.Producer):  # type: ignore[misc]  # Faust is untyped here
    """Idempotent: the broker refuses what would follow a lost batch, and takes a repeated one only once.

    aiokafka sends one batch of a partition at a time and puts one that is tried again before all that wait. That is not
    enough: without sequence numbers the batch after a refused one goes through, and a request that was given up may
    still arrive after later ones. An old state after a newer one would outlive the newer in a compacted changelog.
    """

    def _settings_extra(self) -> Mapping[str, Any]:
        return {"acks": "all", "enable_idempotence": True}


async def acknowledged(sent: Iterable[Awaitable[Any]], within_seconds: float) -> None:
    """Wait for the broker. Raises what a send failed with, TimeoutError if one takes too long.

    An idempotent producer of aiokafka tries for ever.
    """
    async with asyncio.timeout(within_seconds):
        await asyncio.gather(*sent)

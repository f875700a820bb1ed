"""The fixture `world`: all services on an in-memory log and real PostgreSQL, and a clock that ticks move."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from world import World


@pytest.fixture
def world(make_database: Callable[[], str]) -> Iterator[World]:
    opened = World(make_database)
    yield opened
    opened.close()

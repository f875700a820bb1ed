"""Where the tests keep Kafka's jars, and how they wait."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import duly_testing.eventually
import pytest
from duly_localstack.jars import ensure_jars

REPOSITORY = Path(__file__).parents[3]


@pytest.fixture(scope="session")
def jars_dir() -> Path:
    state = Path(os.environ.get("DULY_STATE") or REPOSITORY / ".duly")
    return ensure_jars(state / "test-cache" / "jars" / "kafka-4.3.0")


@pytest.fixture
def eventually() -> Callable[..., None]:
    """Polls a check until it holds; fails after a deadline."""
    return duly_testing.eventually.eventually

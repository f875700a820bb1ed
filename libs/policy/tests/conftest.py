"""Builders of questions: each test states only what differs from an ordinary weekday morning in New York."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from duly_policy import GateInput, Packs, Strategy, load_packs, load_strategy
from duly_policy.canonical import gate_input_from_mapping
from duly_policy.loader import cases


def instant(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


@pytest.fixture(scope="session")
def packs() -> Packs:
    return load_packs("duly-default")


@pytest.fixture(scope="session")
def ladder() -> Strategy:
    return load_strategy("reminder-ladder")


@pytest.fixture(scope="session")
def ask() -> Callable[..., GateInput]:
    base = cases("packs", "duly-default")["base"]

    def build(**changes: Any) -> GateInput:
        return gate_input_from_mapping({**base, **changes})

    return build


@pytest.fixture(scope="session")
def at() -> Callable[[str], datetime]:
    return instant

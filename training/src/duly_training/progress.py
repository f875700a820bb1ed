"""How long work tells how far it is."""

from __future__ import annotations

from collections.abc import Callable

# (how far, of how much)
OnStep = Callable[[int, int], None]
# (what is being done, how far, of how much)
OnProgress = Callable[[str, int, int], None]


def silent_stages(stage: str, done: int, total: int) -> None:
    """For callers that do not watch."""


def silent(done: int, total: int) -> None:
    """For callers that do not watch."""

"""Features of Faust that lose or double events (docs/reference/delivery.md) must not appear in the source."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import scoring
from scoring.adapters.faust_app import KNOWN_FAUST, require_known_faust

FORBIDDEN = (
    "exactly_once", "tumbling", "hopping", "using_window", "noack", "noack_take", "producer_threaded",
    "stream_publish_on_commit", r"faust\.Record", "group_by", r"\.through\(", "inner_join", "outer_join", "left_join",
    "pickle=", "on_leader", "ttl", "web_enabled=True", "topic_allow_declare=True", "_set_current_event\\(",
    r"concurrency=(?!1\b)",
)  # fmt: skip
SOURCES = sorted(Path(scoring.__file__).parent.rglob("*.py"))


@pytest.mark.parametrize("forbidden", FORBIDDEN)
def test_no_source_uses(forbidden: str) -> None:
    pattern = re.compile(rf"(?<![\w]){forbidden}" if forbidden[0].isalpha() else forbidden)
    assert [path.name for path in SOURCES if pattern.search(path.read_text())] == []


def test_only_the_faust_the_module_was_read_against_may_run() -> None:
    require_known_faust()
    assert KNOWN_FAUST == "0.15.3"

"""docs/reference/failure-tests.md names tests: each is there, and each numbered case stands on the page."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "reference" / "failure-tests.md"
SCORING = ROOT / "services" / "scoring" / "tests"
TARGETS = set(re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), re.M))
ROWS = dict(re.findall(r"^\| (F\d+) \|.*\| ([^|]*) \|$", PAGE.read_text(), re.M))


def file_of(name: str) -> Path:
    """A path below services or the repository; of a bare name the one such file of scoring's tests."""
    if "/" in name:
        (found,) = {path for path in (ROOT / name, ROOT / "services" / name) if path.exists()}
    else:
        (found,) = SCORING.rglob(name)
    return found


def cases_in(file: Path) -> set[str]:
    return {number.upper() for number in re.findall(r"^def test_(f\d+)_", file.read_text(), re.M)}


def test_failures_are_numbered_through() -> None:
    assert list(ROWS) == [f"F{number}" for number in range(1, len(ROWS) + 1)]


@pytest.mark.parametrize("failure", ROWS)
def test_each_failure_has_a_test_or_a_command_that_is_there(failure: str) -> None:
    named = re.findall(r"`([^`]+\.py)`( f\d+)?", ROWS[failure])
    made = re.findall(r"`make ([a-z-]+)", ROWS[failure])
    assert named or made
    assert set(made) <= TARGETS, "make has no such target"
    for name, case in named:
        file = file_of(name)
        assert not case or case.strip().upper() in cases_in(file), f"{name} has no case{case}"


def test_each_numbered_case_stands_in_the_row_of_its_failure() -> None:
    tests = [path for folder in ("libs", "services", "tests") for path in (ROOT / folder).rglob("test_*.py")]
    missing = [
        f"{failure}: {path.relative_to(ROOT)}"
        for path in tests
        for failure in sorted(cases_in(path))
        if f"{path.name}` {failure.lower()}" not in ROWS[failure]
    ]
    assert missing == []

"""What a promotion command writes, and what it leaves alone when it is repeated."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest
from duly_training.model_versions import verdict_of
from duly_training.promotion import (
    Controlled,
    DateHasBegun,
    NothingToRollBackTo,
    control_envelope,
    effective_date,
    is_promoted,
    promotion_of,
    rollback_of,
    version_before,
)
from duly_training.registry import RegisteredModel

NOW = datetime(2031, 5, 1, tzinfo=UTC)
DAY = date(2031, 5, 2)


def model(version: str) -> RegisteredModel:
    return RegisteredModel("risk", version, "a", "s", "g", "run")


def record(version: str, *, back: bool = False, effective: date | None = DAY) -> Controlled:
    return Controlled(f"id-{version}-{back}", "demo", "CHAMPION", model(version), back, effective, NOW, "by", "")


def test_the_next_business_date_is_the_first_that_nothing_was_scored_on() -> None:
    assert effective_date(None, date(2031, 5, 1)) == DAY
    assert effective_date(date(2031, 6, 1), date(2031, 5, 1)) == date(2031, 6, 1)
    assert effective_date(None, None) is None  # nothing was played yet: from the first record on


def test_a_date_that_has_begun_is_refused_as_a_replay_would_score_it_otherwise() -> None:
    with pytest.raises(DateHasBegun, match="earliest date is 2031-05-02"):
        effective_date(date(2031, 5, 1), date(2031, 5, 1))


def test_a_repeated_promotion_finds_itself() -> None:
    assert is_promoted(record("2"), model("2"), None)
    assert is_promoted(record("2"), model("2"), DAY)
    assert not is_promoted(record("2"), model("2"), date(2031, 5, 3))
    assert not is_promoted(record("2"), model("3"), None)
    assert not is_promoted(None, model("2"), None)


def test_the_same_command_in_the_same_situation_writes_the_same_id_and_in_another_one_another() -> None:
    message = promotion_of(model("2"), DAY, "by", "why")
    first = control_envelope(message, "demo", record("1"), NOW)
    assert control_envelope(message, "demo", record("1"), datetime(2032, 1, 1, tzinfo=UTC)).id == first.id
    assert control_envelope(message, "demo", record("1", back=True), NOW).id != first.id
    assert control_envelope(message, "other", record("1"), NOW).id != first.id
    assert control_envelope(rollback_of(model("2"), "by", "why"), "demo", record("1"), NOW).type != first.type


@pytest.mark.parametrize(
    ("history", "expected"),
    [
        ([record("1"), record("2")], "1"),
        ([record("1"), record("2"), record("2")], "1"),
        ([record("1"), record("2"), record("3"), record("2", back=True)], "1"),
        ([record("1"), record("2"), record("1", back=True), record("3")], "1"),
        ([record("1"), record("2"), record("9", back=True)], "1"),
    ],
)
def test_a_roll_back_goes_to_the_version_before_and_over_those_taken_away(
    history: list[Controlled], expected: str
) -> None:
    assert version_before(history).version == expected


def test_the_only_version_has_none_before_it() -> None:
    with pytest.raises(NothingToRollBackTo):
        version_before([record("1"), record("1")])


def test_a_verdict_counts_only_as_passed_where_everything_of_it_is() -> None:
    line = {"name": "ece", "value": "0.01", "limit": "at most 0.02", "passed": True}
    assert verdict_of({"promote": True, "lines": [line]}).promote
    assert not verdict_of({"promote": True, "lines": [line, {**line, "passed": False}]}).promote
    assert not verdict_of({"promote": "yes", "lines": [line]}).promote
    assert not verdict_of({"promote": True, "lines": []}).promote
    assert "cannot be read" in verdict_of(["promote"]).failed[0].value

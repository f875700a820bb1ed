"""What a promotion command writes, and what it leaves alone when it is repeated."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest
from duly_contracts.model_control import AT_ONCE, CHAMPION, Promotion
from duly_risk.days import day_of
from duly_training.model_versions import verdict_from_json
from duly_training.promotion import (
    DateHasBegun,
    NothingToRollBackTo,
    control_envelope,
    effective_date,
    in_force_around,
    is_promoted,
    promotion_event,
    record_before,
    rollback_event,
)
from duly_training.registry import RegisteredModel

NOW = datetime(2031, 5, 1, tzinfo=UTC)
DAY = date(2031, 5, 2)


def model(version: str) -> RegisteredModel:
    return RegisteredModel("risk", version, "a", "s", "g", "run")


def record(version: str, *, back: bool = False, effective: date | None = DAY) -> Promotion:
    day = day_of(effective) if effective else AT_ONCE
    return Promotion(f"id-{version}-{back}", "demo", CHAMPION, version, "a", "s", "g", day, back, NOW, "run", "by")


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
    message = promotion_event(model("2"), DAY, "by", "why")
    first = control_envelope(message, "demo", record("1"), NOW)
    assert control_envelope(message, "demo", record("1"), datetime(2032, 1, 1, tzinfo=UTC)).id == first.id
    assert control_envelope(message, "demo", record("1", back=True), NOW).id != first.id
    assert control_envelope(message, "other", record("1"), NOW).id != first.id
    assert control_envelope(rollback_event(model("2"), "by", "why"), "demo", record("1"), NOW).type != first.type


def test_a_roll_back_goes_to_the_version_before_or_to_the_rules_where_they_scored() -> None:
    earlier = record("1", effective=date(2031, 5, 1))
    assert record_before([earlier, record("2")], DAY).version == "1"
    assert not record_before([record("", back=True, effective=None), record("2")], DAY).has_model


@pytest.mark.parametrize("reached", [DAY, None])
def test_the_only_version_has_none_before_it(reached: date | None) -> None:
    with pytest.raises(NothingToRollBackTo, match="--to rules"):
        record_before([record("1"), record("1")], reached)


def test_until_a_promotion_begins_no_version_scores_whose_own_date_is_later() -> None:
    first, planned = record("1", effective=date(2031, 5, 1)), record("6", effective=date(2032, 1, 1))
    assert in_force_around([first, planned], DAY) == (model("1"), model("1"))
    assert in_force_around([first, planned], date(2032, 1, 1)) == (model("1"), model("6"))
    assert in_force_around([planned], DAY) == (None, None)
    assert in_force_around([], DAY) == (None, None)


def test_a_verdict_counts_only_as_passed_where_everything_of_it_is() -> None:
    line = {"name": "ece", "value": "0.01", "limit": "at most 0.02", "passed": True}
    assert verdict_from_json({"promote": True, "lines": [line]}).promote
    assert not verdict_from_json({"promote": True, "lines": [line, {**line, "passed": False}]}).promote
    assert not verdict_from_json({"promote": "yes", "lines": [line]}).promote
    assert not verdict_from_json({"promote": True, "lines": []}).promote
    assert "cannot be read" in verdict_from_json(["promote"]).failed[0].value

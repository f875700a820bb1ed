"""Which version scores which business date, from the records of `model-control` alone."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest
from duly_contracts.envelope import Envelope, EnvelopeInvalid
from duly_contracts.events import encode, event_of
from duly_contracts.model_control import AT_ONCE, CHAMPION, SHADOW, Promotion, PromotionUnusable, Roster, promotion_of
from hypothesis import given
from hypothesis import strategies as st

from duly.risk.v1 import events_pb2 as risk

VERSIONS = st.sampled_from(["1", "2", "3", "4"])


def promoted(version: str, day: int, *, role: str = CHAMPION, tenant: str = "acme") -> Promotion:
    return Promotion(
        f"{version}@{day}", tenant, role, version, "a", "s", "g", day, False, datetime(2031, 1, 1, tzinfo=UTC)
    )


def rolled_back(version: str, *, role: str = CHAMPION) -> Promotion:
    at = datetime(2031, 1, 1, tzinfo=UTC)
    return Promotion(f"back to {version}", "acme", role, version, "a", "s", "g", AT_ONCE, True, at)


def versions(roster: Roster, day: int, role: str = CHAMPION) -> list[str]:
    return [one.version for one in roster.in_force("acme", role, day)]


def test_a_promotion_is_in_force_from_its_business_date_and_the_one_before_it_until_then() -> None:
    roster = Roster.of([promoted("1", 10), promoted("2", 20)])
    assert versions(roster, 9) == []
    assert versions(roster, 19) == ["1"]
    assert versions(roster, 20) == ["2", "1"]


def test_the_record_that_came_last_counts_not_the_one_with_the_latest_date() -> None:
    assert versions(Roster.of([promoted("1", 10), promoted("2", 30), promoted("3", 20)]), 30)[0] == "3"


def test_a_roll_back_holds_on_every_date_and_what_it_took_away_never_scores_again() -> None:
    roster = Roster.of([promoted("1", 10), promoted("2", 20), promoted("3", 30), rolled_back("1")])
    assert versions(roster, 5) == ["1"]
    assert versions(roster, 99) == ["1", "1"]
    again = roster.after(promoted("3", 40))
    assert versions(again, 40)[0] == "3"
    assert versions(again, 39)[0] == "1"


def test_a_roll_back_to_a_version_never_promoted_here_takes_the_newest_away() -> None:
    assert versions(Roster.of([promoted("1", 10), promoted("2", 20), rolled_back("7")]), 50) == ["7", "1"]


def test_a_roll_back_to_no_model_leaves_none_that_was_promoted_last() -> None:
    (first, *_) = Roster.of([promoted("1", 10), rolled_back("")]).in_force("acme", CHAMPION, 50)
    assert not first.has_model


def test_tenants_and_roles_do_not_meet() -> None:
    roster = Roster.of([promoted("1", 10), promoted("2", 10, role=SHADOW), promoted("3", 10, tenant="other")])
    assert versions(roster, 10) == ["1"]
    assert versions(roster, 10, SHADOW) == ["2"]
    assert {one.version for one in roster.recent(1)} == {"1", "2", "3"}


@given(st.lists(st.tuples(VERSIONS, st.integers(1, 50)), max_size=8), VERSIONS, st.integers(1, 50))
def test_a_later_record_changes_no_business_date_before_its_own(
    earlier: list[tuple[str, int]], version: str, day: int
) -> None:
    """Why a replay gives equal bytes: what was scored before the date was scored by the same version."""
    before = Roster.of(promoted(one, on) for one, on in earlier)
    after = before.after(promoted(version, day))
    assert all(versions(before, other) == versions(after, other) for other in range(day))
    assert all(versions(after, other)[0] == version for other in range(day, 60))


@pytest.mark.parametrize(
    ("history", "reached", "expected"),
    [
        ([promoted("1", 10)], 99, None),
        ([promoted("1", 10), promoted("1", 20)], 99, None),
        ([promoted("1", 10), promoted("2", 20)], 99, "1"),
        ([promoted("1", 10), promoted("2", 20), promoted("2", 30)], 99, "1"),
        ([promoted("1", 10), promoted("2", 20), promoted("3", 30), rolled_back("2")], 99, "1"),
        ([promoted("1", 10), promoted("2", 20), rolled_back("1"), promoted("3", 30)], 99, "1"),
        ([promoted("1", 10), promoted("2", 20), rolled_back("9")], 99, "1"),
        ([promoted("1", 10), rolled_back("")], 99, None),
        # What a roll-back brought scored until the next promotion.
        ([promoted("2", 10), promoted("3", 20), rolled_back("4"), promoted("5", 30)], 99, "4"),
        ([promoted("1", 10), rolled_back(""), promoted("2", 20)], 99, ""),
        # A promotion for a date to come, which another overtook, never scored.
        ([promoted("1", 10), promoted("6", 80), promoted("5", 20)], 99, "1"),
        ([promoted("6", 80), promoted("5", 20)], 99, None),
        # Two for dates to come: on the last date that has begun the first one scored.
        ([promoted("1", 10), promoted("2", 20), promoted("3", 30)], 15, "1"),
        ([promoted("1", 10), promoted("2", 10)], 99, None),
        ([promoted("1", AT_ONCE), promoted("2", AT_ONCE)], 99, None),
    ],
)
def test_before_the_newest_stands_what_was_in_force_last_and_no_roll_back_took_away(
    history: list[Promotion], reached: int, expected: str | None
) -> None:
    before = Roster.of(history).before_newest("acme", CHAMPION, reached)
    assert (None if before is None else before.version) == expected


@given(st.lists(st.tuples(VERSIONS, st.integers(1, 20)), min_size=1, max_size=8), st.integers(1, 25))
def test_before_the_newest_is_what_scored_the_last_business_date_that_the_newest_did_not(
    promotions: list[tuple[str, int]], reached: int
) -> None:
    roster, newest = Roster.of(promoted(*one) for one in promotions), promotions[-1][0]
    scored = [versions(roster, day)[0] for day in range(reached + 1) if versions(roster, day)]
    others = [version for version in scored if version != newest]
    before = roster.before_newest("acme", CHAMPION, reached)
    assert (before and before.version) == (others[-1] if others else None)


RECORD = st.one_of(
    st.builds(promoted, VERSIONS, st.integers(1, 50)), st.builds(rolled_back, st.one_of(VERSIONS, st.just("")))
)


@given(st.lists(RECORD, min_size=1, max_size=10))
def test_going_back_lets_score_what_would_score_if_the_newest_version_had_never_been(records: list[Promotion]) -> None:
    """What a command announces is what workers do: after the roll-back it writes, that version is in force."""
    roster = Roster.of(records)
    before = roster.before_newest("acme", CHAMPION, 99)
    if before is not None:
        assert before.version != versions(roster, 99)[0]
        back = roster.after(rolled_back(before.version))
        assert {versions(back, day)[0] for day in (0, 25, 99)} == {before.version}


def record_of(**fields: str) -> tuple[bytes, list[tuple[str, bytes]], bytes]:
    hashes = {"artifact_sha256": "a" * 64, "schema_sha256": "b" * 64, "golden_sha256": "c" * 64}
    named = {"model_name": "risk", "model_version": "3", **hashes, **fields}
    message = risk.RiskModelPromoted(role=risk.MODEL_ROLE_CHAMPION, **named)  # type: ignore[arg-type]
    envelope = Envelope("id", event_of(message).type, "/x", "risk", datetime(2031, 1, 1, tzinfo=UTC), "acme")
    return b"acme|risk|CHAMPION", envelope.to_headers(), encode(message)


def test_a_record_says_who_promoted_what_from_when_on() -> None:
    said = promotion_of(*record_of(effective_date="2031-02-28", by="ann", reason="why", run_id="r"))
    assert said is not None
    assert (said.tenant, said.role, said.version, said.effective) == ("acme", CHAMPION, "3", date(2031, 2, 28))
    assert (said.by, said.reason, said.run_id, said.is_rollback) == ("ann", "why", "r", False)


@pytest.mark.parametrize(
    "damage",
    [
        {"golden_sha256": ""},
        {"artifact_sha256": "../../../../../.."},
        {"model_version": "../3"},
        {"model_version": ""},
        {"effective_date": "2031-02-30"},
    ],
    ids=str,
)
def test_a_record_that_cannot_be_acted_on_is_refused_whole(damage: dict[str, str]) -> None:
    with pytest.raises(PromotionUnusable):
        promotion_of(*record_of(**damage))


@pytest.mark.parametrize("key", [b"other|risk|CHAMPION", b"", b"\xff"])
def test_a_record_under_another_tenants_key_moves_nobodys_model(key: bytes) -> None:
    _, headers, value = record_of()
    with pytest.raises(EnvelopeInvalid, match="two tenants"):
        promotion_of(key, headers, value)


def test_tombstones_and_other_models_are_nobodys_promotion() -> None:
    assert promotion_of(b"acme|risk|CHAMPION", (), None) is None
    assert promotion_of(*record_of(model_name="cash")) is None

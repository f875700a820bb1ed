"""Which version scores which business date, from the records of `model-control` alone."""

from __future__ import annotations

from datetime import UTC, datetime

from duly_risk.model import Role
from hypothesis import given
from hypothesis import strategies as st
from scoring.domain.roster import AT_ONCE, Promotion, Roster

VERSIONS = st.sampled_from(["1", "2", "3", "4"])


def promoted(version: str, day: int, *, role: Role = Role.CHAMPION, tenant: str = "acme") -> Promotion:
    return Promotion(
        f"{version}@{day}", tenant, role, version, "a", "s", "g", day, False, datetime(2031, 1, 1, tzinfo=UTC)
    )


def rolled_back(version: str, *, role: Role = Role.CHAMPION) -> Promotion:
    at = datetime(2031, 1, 1, tzinfo=UTC)
    return Promotion(f"back to {version}", "acme", role, version, "a", "s", "g", AT_ONCE, True, at)


def versions(roster: Roster, day: int, role: Role = Role.CHAMPION) -> list[str]:
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
    (first, *_) = Roster.of([promoted("1", 10), rolled_back("")]).in_force("acme", Role.CHAMPION, 50)
    assert not first.has_model


def test_tenants_and_roles_do_not_meet() -> None:
    roster = Roster.of([promoted("1", 10), promoted("2", 10, role=Role.SHADOW), promoted("3", 10, tenant="other")])
    assert versions(roster, 10) == ["1"]
    assert versions(roster, 10, Role.SHADOW) == ["2"]
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

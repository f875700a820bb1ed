"""Wall-clock times in DST gaps and overlaps, against the zones of the pinned tzdata."""

from datetime import date, time
from zoneinfo import ZoneInfo

import pytest
from duly_policy import load_packs
from duly_policy.localtime import closing, day_begins, opening
from hypothesis import given, settings
from hypothesis import strategies as st

PACKS = load_packs("duly-default")
NEW_YORK = PACKS.zones["America/New_York"]
SAMPLE = ["America/New_York", "Australia/Lord_Howe", "Africa/Cairo", "America/Havana", "Europe/London", "Asia/Kolkata"]


def test_an_opening_in_a_gap_is_the_first_instant_after_it(at):
    assert opening(NEW_YORK, date(2026, 3, 8), time(2, 30)) == at("2026-03-08T07:00:00Z")


def test_an_ambiguous_opening_is_the_later_one(at):
    assert opening(NEW_YORK, date(2026, 11, 1), time(1, 30)) == at("2026-11-01T06:30:00Z")


def test_an_ambiguous_closing_is_the_earlier_one(at):
    assert closing(NEW_YORK, date(2026, 11, 1), time(1, 30)) == at("2026-11-01T05:30:00Z")


def test_a_closing_in_a_gap_is_the_instant_of_the_change(at):
    assert closing(NEW_YORK, date(2026, 3, 8), time(2, 30)) == at("2026-03-08T07:00:00Z")


def test_a_day_that_has_no_midnight_begins_when_the_gap_ends(at):
    assert day_begins(PACKS.zones["Africa/Cairo"], date(2026, 4, 24)) == at("2026-04-23T22:00:00Z")


@pytest.mark.parametrize("zone_name", SAMPLE)
@given(day=st.dates(date(2024, 1, 1), date(2030, 12, 31)), minutes=st.integers(0, 24 * 60 - 1))
@settings(max_examples=60, deadline=None)
def test_opening_is_never_before_any_reading_of_the_clock_and_closing_never_after(zone_name, day, minutes):
    zone, wall = PACKS.zones[zone_name], time(minutes // 60, minutes % 60)

    assert opening(zone, day, wall).astimezone(zone).replace(tzinfo=None).date() == day
    assert opening(zone, day, wall).astimezone(zone).time() >= wall
    assert closing(zone, day, wall) <= opening(zone, day, wall)


def test_zones_come_from_the_pinned_distribution_and_know_their_country():
    assert isinstance(NEW_YORK, ZoneInfo)
    assert "Pacific/Honolulu" in PACKS.country_zones["US"]
    assert set(sum(PACKS.country_zones.values(), ())) <= set(PACKS.zones)

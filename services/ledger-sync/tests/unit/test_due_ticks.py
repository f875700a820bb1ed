"""When the wall clock makes a tick due."""

from __future__ import annotations

from datetime import UTC, date, datetime
from itertools import pairwise
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st
from ledger_sync.domain.calendar import Tick, due_ticks

BERLIN = ZoneInfo("Europe/Berlin")


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def test_the_first_tick_is_today_and_the_hour_that_has_begun() -> None:
    assert due_ticks(None, at("2031-03-05 10:20"), BERLIN) == [
        Tick(date(2031, 3, 5), at("2031-03-04 23:00")),
        Tick(date(2031, 3, 5), at("2031-03-05 10:00")),
    ]


def test_within_the_hour_nothing_is_due() -> None:
    last = Tick(date(2031, 3, 5), at("2031-03-05 10:00"))
    assert due_ticks(last, at("2031-03-05 10:59"), BERLIN) == []
    assert due_ticks(last, at("2031-03-05 11:00"), BERLIN) == [Tick(date(2031, 3, 5), at("2031-03-05 11:00"))]


def test_missed_days_are_written_in_order_each_at_its_own_midnight() -> None:
    last = Tick(date(2031, 3, 28), at("2031-03-28 17:00"))
    assert [(tick.business_date.day, tick.instant) for tick in due_ticks(last, at("2031-03-31 06:30"), BERLIN)] == [
        (29, at("2031-03-28 23:00")),
        (30, at("2031-03-29 23:00")),
        (31, at("2031-03-30 22:00")),  # summer time began on the 30th
        (31, at("2031-03-31 06:00")),
    ]


def test_a_clock_that_was_set_back_writes_nothing() -> None:
    last = Tick(date(2031, 3, 5), at("2031-03-05 10:00"))
    assert due_ticks(last, at("2031-03-03 10:00"), BERLIN) == []


@given(
    st.datetimes(datetime(2029, 1, 1), datetime(2032, 1, 1)),
    st.datetimes(datetime(2029, 1, 1), datetime(2032, 1, 1)),
    st.sampled_from(["Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Pacific/Apia", "UTC"]),
)
def test_dates_and_instants_only_rise_in_every_zone(first: datetime, later: datetime, zone: str) -> None:
    ticks = due_ticks(None, first.replace(tzinfo=UTC), ZoneInfo(zone))
    ticks += due_ticks(ticks[-1], max(first, later).replace(tzinfo=UTC), ZoneInfo(zone))
    assert all(a.instant < b.instant for a, b in pairwise(ticks))
    assert all(a.business_date <= b.business_date for a, b in pairwise(ticks))
    assert len(ticks) <= 1200

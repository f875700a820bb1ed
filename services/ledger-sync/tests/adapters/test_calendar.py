"""Ticks through the outbox, on real PostgreSQL."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from duly_runtime.metrics import Metrics
from duly_runtime.migrations import migrate
from duly_testing.clock import FakeClock
from duly_testing.memory_log import MemoryLog
from ledger_sync.application.advance_business_date import TicksNotAllowed
from ledger_sync.bootstrap import MIGRATIONS, compose
from ledger_sync.config import Settings
from ledger_sync.domain.calendar import Tick, TickBackwards

pytestmark = pytest.mark.postgres


def test_a_tick_is_in_every_partition_with_an_id_of_its_own(world: Any) -> None:
    assert world.tick("2031-03-01", "2031-03-01T00:00:00+00:00", backfill=True)
    world.settle()
    records = world.log.records("ledger-events")
    assert [record.partition for record in records] == list(range(world.log.partitions("ledger-events")))
    assert {record.key for record in records} == {b"demo|"}
    envelopes = [envelope for envelope, _ in world.emitted()]
    assert len({envelope.id for envelope in envelopes}) == len(records)
    assert all(envelope.backfill for envelope in envelopes)
    assert {(m.business_date, m.slice, m.slices) for _, m in world.emitted()} == {("2031-03-01", 0, 1)}


def test_a_repeated_or_older_tick_writes_nothing(world: Any) -> None:
    assert world.tick("2031-03-02", "2031-03-02T10:00:00+00:00")
    assert not world.tick("2031-03-02", "2031-03-02T10:00:00+00:00")
    assert not world.tick("2031-03-02", "2031-03-02T00:00:00+00:00")
    assert not world.tick("2031-03-01", "2031-03-01T10:00:00+00:00")
    world.settle()
    assert len(world.emitted()) == world.log.partitions("ledger-events")


def test_a_later_instant_with_an_earlier_date_is_refused(world: Any) -> None:
    world.tick("2031-03-02", "2031-03-02T10:00:00+00:00")
    with pytest.raises(TickBackwards):
        world.tick("2031-03-01", "2031-03-02T11:00:00+00:00")


def test_in_real_time_the_ticker_writes_each_hour_once_and_nobody_else_may(pg_dsn: str, world: Any) -> None:
    migrate(pg_dsn, MIGRATIONS)
    settings = Settings.model_validate(
        {
            "kafka_bootstrap_servers": "none:1",
            "database_url": pg_dsn,
            "jwks_file": "none",
            "tenants": '[{"tenant": "demo", "zone": "Europe/Berlin"}]',
        }
    )
    log, clock = MemoryLog(), FakeClock(datetime(2031, 3, 1, 9, 30, tzinfo=UTC))
    parts = compose(settings, clock, Metrics(), log)
    with pytest.raises(TicksNotAllowed):
        parts.calendar.tick(world.principal, "demo", Tick(clock.now().date(), clock.now()))
    for seconds in (0, 60, 3600, 86_400):
        clock.advance(seconds)
        while any([loop.step(0) for loop in parts.service.loops]):  # noqa: C419  # every loop must get its step
            pass
    ends = log.end_offsets(["ledger-events"])
    # 28 Feb 23:00 and 1 Mar 09:00; 1 Mar 10:00; 1 Mar 23:00 and 2 Mar 10:00 (UTC)
    assert set(ends.values()) == {5}
    assert parts.service.status().clock == "2031-03-02T10:00:00Z"
    for close in parts.service.closers:
        close()

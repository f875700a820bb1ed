"""Ticks through the outbox, on real PostgreSQL."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from typing import Any

import pytest
from duly_runtime.metrics import Metrics
from duly_runtime.migrations import migrate
from duly_testing.clock import FakeClock
from duly_testing.memory_log import MemoryLog
from ledger_sync.application.advance_business_date import TicksNotAllowed
from ledger_sync.bootstrap import MIGRATIONS, LedgerSync, compose
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


def many_debtors(database: Any, count: int) -> None:
    with database.unit_of_work() as uow:
        uow.connection.execute(
            "insert into debtor (tenant, debtor_id, known) select 'demo', 'D-' || n, true"
            " from generate_series(1, %s) n",
            (count,),
        )


def test_a_tick_has_as_many_slices_as_its_debtors_need_and_from_outside_it_is_written_whole(world: Any) -> None:
    many_debtors(world.parts.database, 2_500)
    assert world.tick("2031-03-01", "2031-03-01T00:00:00+00:00")
    world.settle()
    emitted = world.emitted()
    assert [(message.slice, message.slices) for _, message in emitted].count((2, 3)) == 12
    assert len(emitted) == len({envelope.id for envelope, _ in emitted}) == 3 * 12
    assert world.parts.service.status().work == 0


def in_real_time(pg_dsn: str, clock: FakeClock, log: MemoryLog, *tenants: str) -> LedgerSync:
    zones = [{"tenant": tenant, "zone": "Europe/Berlin"} for tenant in ("demo", *tenants)]
    migrate(pg_dsn, MIGRATIONS)
    settings = Settings.model_validate(
        {
            "kafka_bootstrap_servers": "none:1",
            "database_url": pg_dsn,
            "jwks_file": "none",
            "tenants": json.dumps(zones),
        }
    )
    return compose(settings, clock, Metrics(), log)


def run_out(parts: LedgerSync) -> None:
    while any([loop.step(0) for loop in parts.service.loops]):  # noqa: C419  # every loop must get its step
        pass


def test_in_real_time_slices_come_one_by_one_and_the_next_tick_after_the_last_of_them(pg_dsn: str) -> None:
    log, clock = MemoryLog(), FakeClock(datetime(2031, 3, 1, 23, 30, tzinfo=UTC))  # half an hour into 2 March
    parts = in_real_time(pg_dsn, clock, log)
    many_debtors(parts.database, 1_300)
    run_out(parts)
    assert parts.service.status().work == 23
    written = []
    for _ in range(24):
        written.append(sum(log.end_offsets(["ledger-events"]).values()))
        clock.advance(0.1)
        run_out(parts)
    for close in parts.service.closers:
        close()
    assert written == [*range(1, 25)]  # the first step begins the tick and writes its first record


def test_a_paced_tick_waits_for_the_end_of_the_one_before(pg_dsn: str) -> None:
    log, clock = MemoryLog(), FakeClock(datetime(2031, 3, 1, 23, 30, tzinfo=UTC))
    parts = in_real_time(pg_dsn, clock, log)
    many_debtors(parts.database, 1_300)
    run_out(parts)
    later = Tick(date(2031, 3, 2), datetime(2031, 3, 2, 1, tzinfo=UTC))
    assert not parts.calendar.advance("demo", later, paced=True).moved  # what is left of it does not come at once
    assert parts.service.status().work == 23
    for close in parts.service.closers:
        close()


def test_in_real_time_a_long_tick_of_one_tenant_holds_up_no_other(pg_dsn: str) -> None:
    log, clock = MemoryLog(), FakeClock(datetime(2031, 3, 1, 23, 30, tzinfo=UTC))
    parts = in_real_time(pg_dsn, clock, log, "small")
    many_debtors(parts.database, 1_300)
    run_out(parts)
    clock.advance(3600)
    run_out(parts)
    ticks = [record.key for record in log.records("ledger-events")]
    for close in parts.service.closers:
        close()
    assert ticks.count(b"small|") == 2 * log.partitions("ledger-events")
    assert ticks.count(b"demo|") == 2


def test_in_real_time_the_ticker_writes_each_hour_once_and_nobody_else_may(pg_dsn: str, world: Any) -> None:
    log, clock = MemoryLog(), FakeClock(datetime(2031, 3, 1, 9, 30, tzinfo=UTC))
    parts = in_real_time(pg_dsn, clock, log)
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

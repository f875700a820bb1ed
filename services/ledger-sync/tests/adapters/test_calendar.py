"""Ticks through the outbox, on real PostgreSQL."""

from __future__ import annotations

from typing import Any

import pytest
from ledger_sync.domain.calendar import TickBackwards

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

"""Two recorders at the same debtors: the row lock keeps them apart, whoever comes first."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest
from duly_testing.eventually import eventually
from ledger_sync.adapters.postgres.recording import PostgresRecordingStore
from ledger_sync.application.delivery import Delivery, Framing
from ledger_sync.application.record_facts import record_delivery

pytestmark = pytest.mark.postgres
AT = datetime(2031, 3, 1, 9, 30, tzinfo=UTC)


def test_facts_of_one_debtor_recorded_side_by_side_lose_nothing(make_world: Callable[[], Any], events: Any) -> None:
    database = make_world().parts.database
    numbers = range(12)
    pieces = [[events.allocation(f"A-{n}", 100, f"P-{n}", f"I-{n}")] for n in numbers]
    pieces += [[events.invoice(f"I-{n}", 100)] for n in numbers] + [[events.payment(f"P-{n}", 100)] for n in numbers]

    def record(number: int) -> None:
        body = json.dumps(pieces[number]).encode()
        delivery = Delivery("demo", f"d-{number}", f"c-{number}", Framing.BATCH, {}, body, AT)
        with database.unit_of_work() as uow:
            record_delivery(delivery, PostgresRecordingStore(uow))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(record, range(len(pieces))))
    with database.reading() as connection:
        rows = connection.execute("select count(*) as n, sum(open_minor) as open from invoice").fetchall()
        held = connection.execute("select count(*) as n from held_fact").fetchall()
        emitted = connection.execute("select count(*) as n from outbox").fetchall()
    assert (rows[0]["n"], rows[0]["open"], held[0]["n"], emitted[0]["n"]) == (12, 0, 0, 36)


def test_a_second_recorder_waits_for_the_first_and_then_sees_what_it_wrote(
    make_world: Callable[[], Any], events: Any
) -> None:
    database = make_world().parts.database

    def record(number: int, *batch: Any) -> None:
        body = json.dumps(batch).encode()
        delivery = Delivery("demo", f"d-{number}", f"c-{number}", Framing.BATCH, {}, body, AT)
        with database.unit_of_work() as uow:
            record_delivery(delivery, PostgresRecordingStore(uow))

    def somebody_waits() -> bool:
        waiting = "select 1 from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"
        with database.reading() as connection:
            return connection.execute(waiting).fetchone() is not None

    record(0, events.party())
    body = json.dumps([events.invoice(), events.payment()]).encode()
    first = Delivery("demo", "d-1", "c-1", Framing.BATCH, {}, body, AT)
    with ThreadPoolExecutor(1) as pool:
        with database.unit_of_work() as uow:
            record_delivery(first, PostgresRecordingStore(uow))
            second = pool.submit(record, 2, events.allocation())
            eventually(somebody_waits, 10)
        second.result(10)
    with database.reading() as connection:
        assert connection.execute("select open_minor from invoice").fetchall() == [{"open_minor": 0}]
        assert connection.execute("select * from held_fact").fetchall() == []

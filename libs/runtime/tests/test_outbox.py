"""The relay: every committed event reaches the log, in order per key, and a crash repeats it under the same id."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import psycopg
import pytest
from duly_contracts.envelope import Envelope
from duly_contracts.keys import debtor_key
from duly_runtime.database import Database
from duly_runtime.log import Headers, Producer, SendFailed
from duly_runtime.loops import Wake
from duly_runtime.metrics import Metrics
from duly_runtime.outbox import RelayLoop, unsent_rows
from duly_runtime.schema import RUNTIME_SCHEMA
from duly_testing.clock import FakeClock
from duly_testing.memory_log import MemoryLog

from duly.ledger.v1 import events_pb2 as ledger

pytestmark = pytest.mark.postgres


@pytest.fixture
def database(pg_dsn: str) -> Iterator[Database]:
    with psycopg.connect(pg_dsn) as connection:
        connection.execute(RUNTIME_SCHEMA)
    opened = Database(pg_dsn, Wake(), max_connections=4)
    yield opened
    opened.close()


def emit(database: Database, event_id: str, debtor: str = "D-1", partition: int | None = None) -> None:
    envelope = Envelope(
        event_id, "duly.invoice.voided.v1", "/tenants/t/ledgers/erp", debtor, datetime(2031, 3, 1, tzinfo=UTC), "t"
    )
    with database.unit_of_work() as uow:
        uow.emit(ledger.InvoiceVoided(invoice_id=event_id), debtor_key("t", debtor), envelope, partition)


def relay(database: Database, producer: Producer) -> RelayLoop:
    return RelayLoop(database, producer, Wake(), FakeClock(), Metrics())


def sent_ids(log: MemoryLog) -> list[str]:
    return [dict(record.headers)["ce_id"].decode() for record in log.records("ledger-events")]


def test_events_arrive_in_commit_order_per_key(database: Database, memory_log: MemoryLog) -> None:
    for number in range(20):
        emit(database, f"e{number}")
    loop = relay(database, memory_log.producer("relay"))
    while loop.step(0):
        pass
    assert sent_ids(memory_log) == [f"e{number}" for number in range(20)]
    with database.reading() as connection:
        assert unsent_rows(connection) == 0


def test_a_rolled_back_unit_of_work_sends_nothing(database: Database, memory_log: MemoryLog) -> None:
    envelope = Envelope("x", "duly.invoice.voided.v1", "/s", "D", datetime(2031, 3, 1, tzinfo=UTC), "t")
    with pytest.raises(RuntimeError), database.unit_of_work() as uow:
        uow.emit(ledger.InvoiceVoided(), debtor_key("t", "D"), envelope)
        raise RuntimeError
    assert not relay(database, memory_log.producer("relay")).step(0)


def test_the_same_event_emitted_twice_is_sent_once(database: Database, memory_log: MemoryLog) -> None:
    emit(database, "e")
    emit(database, "e")
    loop = relay(database, memory_log.producer("relay"))
    while loop.step(0):
        pass
    assert sent_ids(memory_log) == ["e"]


def test_a_tick_goes_to_the_partition_it_names(database: Database, memory_log: MemoryLog) -> None:
    for partition in range(12):
        emit(database, f"tick-{partition}", debtor="", partition=partition)
    loop = relay(database, memory_log.producer("relay"))
    while loop.step(0):
        pass
    assert sorted(record.partition for record in memory_log.records("ledger-events")) == list(range(12))


class _Failing:
    """Sends through until the nth record, which the log refuses."""

    def __init__(self, inner: Producer, fails_at: int) -> None:
        self._inner = inner
        self._left = fails_at

    def send(self, topic: str, key: bytes, value: bytes, headers: Headers, partition: int | None = None) -> object:
        self._left -= 1
        if self._left == 0:
            return _Refused()
        return self._inner.send(topic, key, value, headers, partition)

    def close(self) -> None:
        self._inner.close()


class _Refused:
    def result(self, timeout_seconds: float) -> tuple[int, int]:
        raise SendFailed("refused")


def test_after_a_failed_send_the_key_goes_on_from_the_first_unsent_event(
    database: Database, memory_log: MemoryLog
) -> None:
    for number in range(5):
        emit(database, f"e{number}")
    failing = relay(database, _Failing(memory_log.producer("relay"), fails_at=3))  # type: ignore[arg-type]
    assert not failing.step(0), "the failure is reported, not hidden"
    with database.reading() as connection:
        assert unsent_rows(connection) == 3, "nothing behind the failure counts as sent"
    loop = relay(database, memory_log.producer("relay"))
    while loop.step(0):
        pass
    first_seen = list(dict.fromkeys(sent_ids(memory_log)))
    assert sorted(first_seen) == [f"e{number}" for number in range(5)]
    assert sent_ids(memory_log)[-3:] == ["e2", "e3", "e4"], "repeated in order under the same ids"


def test_two_relays_never_take_the_same_shard_at_once(database: Database, memory_log: MemoryLog) -> None:
    emit(database, "e1")
    emit(database, "e2")
    with database.reading() as connection, connection.transaction():
        locked = connection.execute("select shard from outbox_shard for update").fetchall()
        assert len(locked) == 16
        assert not relay(database, memory_log.producer("second")).step(0)
    assert sent_ids(memory_log) == []

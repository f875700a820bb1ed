"""The consumer loop: exactly once in effect, whatever is repeated, broken or away for a while."""

from __future__ import annotations

import random
from base64 import b64decode
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import psycopg
import pytest
from duly_contracts.envelope import Envelope
from duly_contracts.events import encode
from duly_contracts.keys import debtor_key
from duly_runtime.consumer import ConsumerLoop, EventHandler, ReceivedEvent
from duly_runtime.database import Database, UnitOfWork
from duly_runtime.loops import Wake
from duly_runtime.metrics import Metrics
from duly_runtime.poison_meter import TooMuchPoison
from duly_runtime.schema import RUNTIME_SCHEMA, WAITING_EVENTS_SCHEMA
from duly_testing.clock import FakeClock
from duly_testing.memory_log import MemoryLog

from duly.ledger.v1 import events_pb2 as ledger

pytestmark = pytest.mark.postgres
TOPIC = "ledger-events"


@pytest.fixture
def database(pg_dsn: str) -> Iterator[Database]:
    with psycopg.connect(pg_dsn) as connection:
        connection.execute(RUNTIME_SCHEMA)
        connection.execute(WAITING_EVENTS_SCHEMA)
        connection.execute("create table seen (event_id text not null)")
    opened = Database(pg_dsn, Wake(), max_connections=3)
    yield opened
    opened.close()


def envelope(event_id: str, ce_type: str = "duly.invoice.voided.v1") -> Envelope:
    return Envelope(event_id, ce_type, "/tenants/t/ledgers/erp", "D-1", datetime(2031, 3, 1, tzinfo=UTC), "t")


def write(log: MemoryLog, event_id: str, value: bytes | None = None, ce_type: str = "duly.invoice.voided.v1") -> None:
    payload = encode(ledger.InvoiceVoided(invoice_id="I", debtor_id="D-1")) if value is None else value
    log.producer("test").send(TOPIC, debtor_key("t", "D-1"), payload, envelope(event_id, ce_type).to_headers())


def remember(event: ReceivedEvent, uow: UnitOfWork) -> None:
    uow.connection.execute("insert into seen values (%s)", (event.envelope.id,))


def seen(database: Database) -> list[str]:
    with database.reading() as connection:
        return [row["event_id"] for row in connection.execute("select event_id from seen order by ctid").fetchall()]


def dead_letters(database: Database) -> list[str]:
    with database.reading() as connection:
        rows = connection.execute("select headers from outbox where aggregatetype = %s", (f"{TOPIC}-dlq",)).fetchall()
    return [b64decode(dict(row["headers"])["dlq_reason"]).decode() for row in rows]


MakeLoop = Callable[[EventHandler], ConsumerLoop]


@pytest.fixture
def make_loop(database: Database, memory_log: MemoryLog, fake_clock: FakeClock) -> MakeLoop:
    def make(handler: EventHandler) -> ConsumerLoop:
        handlers = {ledger.InvoiceVoided: handler}
        return ConsumerLoop("c", "test", memory_log, [TOPIC], database, handlers, fake_clock, Metrics())

    return make


def drain(loop: ConsumerLoop) -> None:
    while loop.step(0):
        pass


def test_each_event_takes_effect_once_and_in_order(
    database: Database, memory_log: MemoryLog, make_loop: MakeLoop
) -> None:
    for number in range(30):
        write(memory_log, f"e{number}")
    drain(make_loop(remember))
    assert seen(database) == [f"e{number}" for number in range(30)]


def test_the_same_event_at_a_later_offset_has_no_effect(
    database: Database, memory_log: MemoryLog, make_loop: MakeLoop
) -> None:
    for event_id in ("a", "b", "a", "a", "b"):
        write(memory_log, event_id)
    drain(make_loop(remember))
    assert seen(database) == ["a", "b"]


def test_a_new_process_goes_on_where_the_database_says(
    database: Database, memory_log: MemoryLog, make_loop: MakeLoop
) -> None:
    write(memory_log, "a")
    drain(make_loop(remember))
    with database.unit_of_work() as uow:
        uow.connection.execute("delete from inbox")  # even with the inbox expired
    write(memory_log, "b")
    drain(make_loop(remember))
    assert seen(database) == ["a", "b"]


def test_a_failing_handler_leaves_no_effect_and_the_record_a_dead_letter(
    database: Database, memory_log: MemoryLog, make_loop: MakeLoop
) -> None:
    def refuse_b(event: ReceivedEvent, uow: UnitOfWork) -> None:
        remember(event, uow)
        if event.envelope.id == "b":
            raise ValueError("no b")

    for event_id in ("a", "b", "c"):
        write(memory_log, event_id)
    drain(make_loop(refuse_b))
    assert seen(database) == ["a", "c"]
    assert dead_letters(database) == ["ValueError"]


@pytest.mark.parametrize(
    ("value", "ce_type", "reason"),
    [
        (b"\xff\xff", "duly.invoice.voided.v1", "event_undecodable"),
        (b"", "duly.invoice.voided.v9", "event_unknown"),
        (b"", "", "envelope_invalid"),
    ],
)
def test_garbage_becomes_a_dead_letter_with_its_cause(
    database: Database, memory_log: MemoryLog, make_loop: MakeLoop, value: bytes, ce_type: str, reason: str
) -> None:
    write(memory_log, "garbage", value, ce_type)
    write(memory_log, "good")
    drain(make_loop(remember))
    assert dead_letters(database) == [reason]
    assert seen(database) == ["good"]


def test_a_record_whose_key_and_envelope_name_two_tenants_is_put_aside(
    database: Database, memory_log: MemoryLog, make_loop: MakeLoop
) -> None:
    voided = encode(ledger.InvoiceVoided(invoice_id="I", debtor_id="D-1"))
    memory_log.producer("test").send(TOPIC, debtor_key("other", "D-1"), voided, envelope("alien").to_headers())
    write(memory_log, "good")
    drain(make_loop(remember))
    assert dead_letters(database) == ["envelope_invalid"]
    assert seen(database) == ["good"]


def test_a_database_fault_pauses_the_partition_until_it_is_over(
    database: Database, memory_log: MemoryLog, make_loop: MakeLoop, fake_clock: FakeClock
) -> None:
    away = True

    def flaky(event: ReceivedEvent, uow: UnitOfWork) -> None:
        if away:
            raise psycopg.OperationalError("server closed the connection")
        remember(event, uow)

    write(memory_log, "a")
    loop = make_loop(flaky)
    drain(loop)
    assert seen(database) == []
    away = False
    drain(loop)
    assert seen(database) == [], "back-off not over"
    fake_clock.advance(1)
    drain(loop)
    assert seen(database) == ["a"]
    assert dead_letters(database) == []


def test_a_consumer_that_was_overtaken_writes_nothing_and_goes_on_where_the_database_says(
    database: Database, memory_log: MemoryLog, make_loop: MakeLoop
) -> None:
    zombie = make_loop(remember)
    assert not zombie.step(0), "from here on it has its own idea of where it is"
    write(memory_log, "a")
    drain(make_loop(remember))
    with database.unit_of_work() as uow:
        uow.connection.execute("delete from inbox")  # only the position can tell it
    drain(zombie)
    assert seen(database) == ["a"]
    write(memory_log, "b")
    drain(zombie)
    assert seen(database) == ["a", "b"]


def test_effects_inbox_and_position_commit_together_or_not_at_all(
    database: Database, memory_log: MemoryLog, make_loop: MakeLoop
) -> None:
    with database.unit_of_work() as uow:
        uow.connection.execute("alter table consumer_position add constraint stuck check (next_offset < 1)")
    write(memory_log, "a")
    with pytest.raises(psycopg.errors.CheckViolation):
        drain(make_loop(remember))
    assert seen(database) == []
    with database.reading() as connection:
        assert connection.execute("select event_id from inbox").fetchall() == []


def test_a_long_run_of_unusable_records_stops_the_process_before_it_drains_the_topic(
    database: Database, memory_log: MemoryLog, make_loop: MakeLoop
) -> None:
    for number in range(101):
        write(memory_log, f"g{number}", b"\xff\xff")
    with pytest.raises(TooMuchPoison):
        drain(make_loop(remember))
    assert len(dead_letters(database)) == 99


def test_applied_positions_are_those_that_are_committed(memory_log: MemoryLog, make_loop: MakeLoop) -> None:
    write(memory_log, "a")
    write(memory_log, "b")
    loop = make_loop(remember)
    assert loop.positions() == {}
    drain(loop)
    assert [list(of_topic.values()) for of_topic in loop.positions().values()] == [[2]]
    assert make_loop(remember).positions() == loop.positions()


def test_a_header_with_a_nul_byte_is_put_aside_like_any_garbage(
    database: Database, memory_log: MemoryLog, make_loop: MakeLoop
) -> None:
    memory_log.producer("test").send(TOPIC, b"t|D\x00", b"\x00", [("x", b"\x00\xff")])
    write(memory_log, "good")
    drain(make_loop(remember))
    assert dead_letters(database) == ["envelope_invalid"]
    assert seen(database) == ["good"]


LONG = random.Random(1).randbytes(5_000).hex()  # what an index could compress would fit


@pytest.mark.parametrize(
    ("key", "event_id", "reason"),
    [("t|D", LONG, "envelope_invalid"), (f"t|{LONG}", "e-1", "event_undecodable")],
    ids=["id", "key"],
)
def test_an_id_or_a_key_longer_than_an_index_takes_is_put_aside_and_holds_nobody_up(
    key: str, event_id: str, reason: str, database: Database, memory_log: MemoryLog, make_loop: MakeLoop
) -> None:
    memory_log.producer("test").send(TOPIC, key.encode(), b"\xff\xff", envelope(event_id).to_headers())
    write(memory_log, "good")
    drain(make_loop(remember))
    assert dead_letters(database) == [reason]
    assert seen(database) == ["good"]


def test_a_bug_on_one_kind_of_event_stops_the_process_although_others_go_through(
    database: Database, memory_log: MemoryLog, make_loop: MakeLoop
) -> None:
    for number in range(250):
        write(memory_log, f"e{number}", b"\xff\xff" if number % 2 else None)
    with pytest.raises(TooMuchPoison):
        drain(make_loop(remember))


def test_what_is_kept_of_a_failure_quotes_no_values(
    database: Database, memory_log: MemoryLog, make_loop: MakeLoop, caplog: pytest.LogCaptureFixture
) -> None:
    def insert_null(event: ReceivedEvent, uow: UnitOfWork) -> None:
        uow.connection.execute("create table if not exists person (name text, mail text not null)")
        uow.connection.execute("insert into person values ('Jane Doe', null)")

    write(memory_log, "a")
    drain(make_loop(insert_null))
    assert dead_letters(database) == ["NotNullViolation"]
    assert "Jane" not in caplog.text
    with database.reading() as connection:
        rows = connection.execute("select headers from outbox").fetchall()
    assert all(b"Jane" not in b64decode(value) for row in rows for _, value in row["headers"])


def test_an_event_that_was_put_aside_and_comes_again_takes_effect_and_the_last_one_frees_its_key(
    database: Database, memory_log: MemoryLog, fake_clock: FakeClock
) -> None:
    happened: list[str] = []
    broken = {"a", "b"}

    def handle(event: ReceivedEvent, uow: UnitOfWork) -> None:
        if event.envelope.id in broken:
            raise ValueError(event.envelope.id)
        remember(event, uow)

    loop = ConsumerLoop(
        "c", "test", memory_log, [TOPIC], database, {ledger.InvoiceVoided: handle}, fake_clock, Metrics(),
        lambda record, reason, uow: happened.append("marked"), lambda key, uow: happened.append(f"free {key.decode()}"),
    )  # fmt: skip
    for event_id in ("a", "b", "c"):
        write(memory_log, event_id)
    drain(loop)
    broken.clear()
    write(memory_log, "a")
    drain(loop)
    assert happened == ["marked", "marked"]
    write(memory_log, "b", b"", "duly.ledger.event_dismissed.v1")
    write(memory_log, "a")
    drain(loop)
    assert happened == ["marked", "marked", "free t|D-1"]
    assert seen(database) == ["c", "a"]

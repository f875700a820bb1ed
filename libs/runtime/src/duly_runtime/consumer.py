"""The consumer loop of every service but scoring: poll, one transaction per partition batch, then the offset.

Effects, inbox rows and the position commit together, so a crash anywhere repeats a batch without effect. The database
position is the truth; the group's offset is a courtesy to lag monitors.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psycopg
from duly_contracts.envelope import Envelope, EnvelopeInvalid
from duly_contracts.events import EventUndecodable, EventUnknown, decode
from duly_contracts.ids import record_id
from duly_contracts.keys import KEY_BYTES_MAX
from google.protobuf.message import Message

from duly_runtime.clock import Clock
from duly_runtime.database import TRANSIENT_ERRORS, Connection, Database, UnitOfWork
from duly_runtime.dlq import Unusable, dead_letter
from duly_runtime.log import Consumer, EventLog, Record, TopicPartition
from duly_runtime.logging import get_logger
from duly_runtime.metrics import DLQ_RECORDS, INBOX_DUPLICATES, STREAM_BATCH, STREAM_EVENTS, Metrics
from duly_runtime.poison_meter import PoisonMeter
from duly_runtime.tracing import consumer_span

_log = get_logger(__name__)
_BACKOFF_SECONDS_MAX = 60.0


@dataclass(frozen=True, slots=True)
class ReceivedEvent:
    """One decoded record."""

    record: Record
    envelope: Envelope
    message: Message


EventHandler = Callable[[ReceivedEvent, UnitOfWork], None]
UnusableHandler = Callable[[Record, str, UnitOfWork], None]
RestoredHandler = Callable[[bytes, UnitOfWork], None]


class _Overtaken(RuntimeError):
    """Another consumer has moved this partition's position: what was polled here is not ours any more."""


@dataclass(slots=True)
class _Paused:
    resume_at: float
    attempts: int


class ConsumerLoop:
    """Hands each event to the handler of its message type; once in effect, while inbox row or position is kept.

    Three fates of a record: done; transient fault -> the partition pauses and comes back; unusable -> dead letter and
    `on_unusable` in one transaction. Events without a handler only move the position. Once every event of a key that
    was put aside has come again and could be used, `on_restored` is called with the key.
    """

    def __init__(
        self,
        name: str,
        service: str,
        log: EventLog,
        topics: Sequence[str],
        database: Database,
        handlers: Mapping[type[Message], EventHandler],
        clock: Clock,
        metrics: Metrics,
        on_unusable: UnusableHandler | None = None,
        on_restored: RestoredHandler | None = None,
    ) -> None:
        self.name = name
        self._service = service
        self._database = database
        self._handlers = handlers
        self._clock = clock
        self._metrics = metrics
        self._on_unusable = on_unusable
        self._on_restored = on_restored
        self._paused: dict[TopicPartition, _Paused] = {}
        self._poison = PoisonMeter()
        self._applied: dict[TopicPartition, int] = self._stored_positions()
        self._consumer: Consumer = log.consumer(name, topics, self._position)

    def positions(self) -> dict[str, dict[int, int]]:
        """Topic -> partition -> next offset, as `Status` tells it; from any thread."""
        found: dict[str, dict[int, int]] = {}
        for partition, next_offset in self._applied.copy().items():
            found.setdefault(partition.topic, {})[partition.partition] = next_offset
        return found

    def step(self, wait_seconds: float) -> bool:
        self._resume_due()
        batches = self._consumer.poll(wait_seconds)
        done: dict[TopicPartition, int] = {}
        for partition, records in batches.items():
            started = self._clock.monotonic()
            if self._apply(partition, records):
                done[partition] = records[-1].offset + 1
                self._metrics.observe(STREAM_BATCH, self._clock.monotonic() - started, topic=partition.topic)
        if done:
            self._consumer.commit(done)
        return bool(batches)

    def close(self) -> None:
        self._consumer.close()

    def _apply(self, partition: TopicPartition, records: list[Record]) -> bool:
        """The whole batch in one transaction; if that fails for a record's sake, record by record."""
        try:
            self._apply_together(partition, records)
        except _Overtaken:
            self._reposition(partition)
            return False
        except TRANSIENT_ERRORS as error:
            self._back_off(partition, records[0].offset, error)
            return False
        except Exception:  # whichever record it was will say so when its turn comes alone
            for record in records:
                if not self._apply_alone(partition, record):
                    return False
        self._paused.pop(partition, None)
        return True

    def _apply_together(self, partition: TopicPartition, records: list[Record]) -> None:
        with self._database.unit_of_work() as uow:
            self._advance(uow.connection, partition, records[0].offset, records[-1].offset + 1)
            events = [_decode(record) for record in records]
            fresh, awaited = self._claim(uow.connection, events)
            for event in events:
                if event.envelope.id in fresh:
                    fresh.discard(event.envelope.id)
                    self._handle(event, uow)
            self._restore(awaited, uow)
        self._applied[partition] = records[-1].offset + 1
        for _ in records:
            self._poison.good()

    def _apply_alone(self, partition: TopicPartition, record: Record) -> bool:
        try:
            self._apply_together(partition, [record])
        except _Overtaken:
            self._reposition(partition)
            return False
        except TRANSIENT_ERRORS as error:
            self._back_off(partition, record.offset, error)
            return False
        except Exception as error:
            self._put_aside(partition, record, error)
        return True

    def _put_aside(self, partition: TopicPartition, record: Record, error: Exception) -> None:
        """Dead letter, mark and position in one transaction. The meter bounds what a bad deploy can drain."""
        reason, detail = getattr(error, "code", type(error).__name__), _detail(error)
        _log.warning(
            "runtime.record_unusable",
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
            reason=reason,
            detail=detail,
        )
        self._poison.poison()
        with self._database.unit_of_work() as uow:
            self._advance(uow.connection, partition, record.offset, record.offset + 1)
            dead_letter(uow, record, self._service, reason, detail)
            if _may_name_somebody(record.key):
                self._await_again(uow.connection, record)
                if self._on_unusable is not None:
                    self._on_unusable(record, reason, uow)
        self._applied[partition] = record.offset + 1
        self._metrics.count(DLQ_RECORDS, topic=record.topic, reason=reason)

    def _handle(self, event: ReceivedEvent, uow: UnitOfWork) -> None:
        handler = self._handlers.get(type(event.message))
        if handler is not None:
            with consumer_span(event.envelope.type, event.envelope.traceparent, event.envelope.id):
                handler(event, uow)
        outcome = "handled" if handler else "ignored"
        self._metrics.count(STREAM_EVENTS, topic=event.record.topic, outcome=outcome)

    def _await_again(self, connection: Connection, record: Record) -> None:
        """Remember an event that a replay may bring again."""
        event_id = record_id(record.headers, record.topic, record.partition, record.offset)
        connection.execute(
            "insert into waiting_event (consumer, event_id, key) values (%s, %s, %s) on conflict do nothing",
            (self.name, event_id, record.key),
        )

    def _restore(self, awaited: set[bytes], uow: UnitOfWork) -> None:
        """For each key of which nothing waits any more."""
        if not awaited or self._on_restored is None:
            return
        waiting = uow.connection.execute(
            "select distinct key from waiting_event where consumer = %s and key = any(%s)", (self.name, list(awaited))
        ).fetchall()
        for key in sorted(awaited - {bytes(row["key"]) for row in waiting}):
            self._on_restored(key, uow)

    def _claim(self, connection: Connection, events: list[ReceivedEvent]) -> tuple[set[str], set[bytes]]:
        """Ids that have had no effect yet; keys of events that were put aside before and are here again."""
        rows = [(self.name, e.envelope.id, e.record.topic, e.record.partition, e.record.offset) for e in events]
        ids, topics, partitions, offsets = ([row[i] for row in rows] for i in (1, 2, 3, 4))
        found = connection.execute(
            "with fresh as ("
            'insert into inbox (consumer, event_id, topic, "partition", "offset")'
            " select %s, * from unnest(%s::text[], %s::text[], %s::int[], %s::bigint[])"
            " on conflict do nothing returning event_id), awaited as ("
            "delete from waiting_event where consumer = %s and event_id = any(%s) returning key)"
            " select event_id, null::bytea as key from fresh union all select null, key from awaited",
            (self.name, ids, topics, partitions, offsets, self.name, ids),
        ).fetchall()
        fresh = {row["event_id"] for row in found if row["event_id"] is not None}
        if len(fresh) < len(events):
            self._metrics.count(INBOX_DUPLICATES, len(events) - len(fresh), topic=events[0].record.topic)
        return fresh, {bytes(row["key"]) for row in found if row["key"] is not None}

    def _advance(self, connection: Connection, partition: TopicPartition, first: int, after: int) -> None:
        moved = connection.execute(
            'insert into consumer_position (consumer, topic, "partition", next_offset) values (%s, %s, %s, %s)'
            ' on conflict (consumer, topic, "partition") do update set next_offset = excluded.next_offset'
            " where consumer_position.next_offset <= %s returning 1 as moved",
            (self.name, partition.topic, partition.partition, after, first),
        ).fetchone()
        if moved is None:
            raise _Overtaken(f"{partition} has moved past {first}")

    def _position(self, partition: TopicPartition) -> int | None:
        with self._database.reading() as connection:
            row = connection.execute(
                'select next_offset from consumer_position where consumer = %s and topic = %s and "partition" = %s',
                (self.name, partition.topic, partition.partition),
            ).fetchone()
        return None if row is None else int(row["next_offset"])

    def _stored_positions(self) -> dict[TopicPartition, int]:
        with self._database.reading() as connection:
            rows = connection.execute(
                'select topic, "partition", next_offset from consumer_position where consumer = %s', (self.name,)
            ).fetchall()
        return {TopicPartition(row["topic"], row["partition"]): row["next_offset"] for row in rows}

    def _reposition(self, partition: TopicPartition) -> None:
        self._consumer.pause_from(partition, self._position(partition) or 0)
        self._consumer.resume(partition)

    def _back_off(self, partition: TopicPartition, offset: int, error: Exception) -> None:
        attempts = self._paused[partition].attempts + 1 if partition in self._paused else 1
        delay = min(_BACKOFF_SECONDS_MAX, 0.25 * 2**attempts)
        _log.warning(
            "runtime.partition_paused",
            topic=partition.topic,
            partition=partition.partition,
            error=str(error),
            delay_seconds=delay,
        )
        self._consumer.pause_from(partition, offset)
        self._paused[partition] = _Paused(self._clock.monotonic() + delay, attempts)

    def _resume_due(self) -> None:
        now = self._clock.monotonic()
        for partition, paused in self._paused.items():
            if paused.resume_at <= now:
                paused.resume_at = float("inf")
                self._consumer.resume(partition)


def _may_name_somebody(key: bytes) -> bool:
    """PostgreSQL's text holds no NUL, and its indexes nothing that long."""
    return len(key) <= KEY_BYTES_MAX and b"\x00" not in key


def _detail(error: Exception) -> str:
    """What failed and where, without the values: a database's own text may quote names and addresses."""
    frame = traceback.extract_tb(error.__traceback__)[-1] if error.__traceback__ else None
    where = f" at {Path(frame.filename).name}:{frame.lineno}" if frame else ""
    if isinstance(error, Unusable):
        return str(error)
    if isinstance(error, psycopg.Error):
        return f"{type(error).__name__} {error.sqlstate} {error.diag.constraint_name or ''}{where}"
    return f"{type(error).__name__}{where}"


def _decode(record: Record) -> ReceivedEvent:
    try:
        envelope = Envelope.of_record(record.key, record.headers)
        return ReceivedEvent(record, envelope, decode(envelope.type, record.value))
    except (EnvelopeInvalid, EventUnknown, EventUndecodable) as error:
        raise Unusable(error.code, str(error)) from error

"""A service's own PostgreSQL: one pool, and units of work that commit state and outgoing events together."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import psycopg
from duly_contracts.envelope import Envelope
from duly_contracts.events import encode, event_of
from duly_contracts.keys import murmur2
from google.protobuf.message import Message
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb
from psycopg_pool import ConnectionPool

from duly_runtime.loops import Wake

OUTBOX_SHARDS = 16

# Failures of the server or the way to it: the same work may succeed later.
TRANSIENT_ERRORS = (psycopg.OperationalError, psycopg.InterfaceError)

Row = dict[str, Any]
Connection = psycopg.Connection[Row]


@dataclass(slots=True)
class UnitOfWork:
    """One transaction: SQL on `connection`, events by `emit`. Everything commits together or not at all."""

    connection: Connection
    _rows: list[tuple[object, ...]] = field(default_factory=list)

    def emit(self, message: Message, key: bytes, envelope: Envelope, partition: int | None = None) -> None:
        """Add an event to the outbox. Its topic is that of its type; partition None = by the key."""
        event = event_of(message)
        self.emit_raw(event.topic, key, encode(message), envelope.to_headers(), envelope.id, event.type, partition)

    def emit_raw(
        self,
        topic: str,
        key: bytes,
        value: bytes,
        headers: Sequence[tuple[str, bytes]],
        event_id: str,
        event_type: str,
        partition: int | None = None,
    ) -> None:
        """Add bytes as they are; for dead letters."""
        texts = Jsonb([[name, b64encode(value).decode()] for name, value in headers])  # JSON holds no NUL
        shard = murmur2(key) % OUTBOX_SHARDS
        self._rows.append((event_id, topic, key, event_type, value, texts, shard, partition))

    def flush(self) -> bool:
        """Write the outbox rows; True when there were any. Called once, right before the commit."""
        if not self._rows:
            return False
        with self.connection.cursor() as cursor:
            cursor.executemany(
                "insert into outbox (id, aggregatetype, aggregateid, type, payload, headers, shard, partition)"
                " values (%s, %s, %s, %s, %s, %s, %s, %s) on conflict (id, aggregatetype) do nothing",
                self._rows,
            )
        self._rows = []
        return True


class Database:
    """Connection pool of one service. `outbox_wake` is set after each commit that left events to relay."""

    def __init__(self, dsn: str, outbox_wake: Wake, max_connections: int = 10) -> None:
        self.outbox_wake = outbox_wake
        self._pool: ConnectionPool[Connection] = ConnectionPool(
            dsn,
            connection_class=psycopg.Connection[Row],
            kwargs={"row_factory": dict_row, "connect_timeout": 5},
            min_size=1,
            max_size=max_connections,
            timeout=10,
            open=True,
        )

    @contextmanager
    def unit_of_work(self) -> Iterator[UnitOfWork]:
        """A transaction with an outbox. Leaves by commit, or by rollback when the body raises."""
        with self._pool.connection() as connection, connection.transaction():
            uow = UnitOfWork(connection)
            yield uow
            emitted = uow.flush()
        if emitted:
            self.outbox_wake.set()

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection for queries only."""
        with self._pool.connection() as connection:
            yield connection

    def not_ready(self) -> str:
        """Why a service on it cannot do its job now; '' while it answers. For the readiness probe."""
        try:
            with self.reading() as connection:
                connection.execute("select 1")
        except TRANSIENT_ERRORS:
            return "the database does not answer"
        return ""

    def close(self) -> None:
        self._pool.close()

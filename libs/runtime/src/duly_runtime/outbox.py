"""The relay: takes committed outbox rows to the log and marks them once the log has them.

In order per key; after a failed send the key is sent again from the first event the log did not take, under the same
ids, so a consumer that drops known ids sees the order.
"""

from __future__ import annotations

from base64 import b64decode
from dataclasses import dataclass

from duly_runtime.clock import Clock
from duly_runtime.database import TRANSIENT_ERRORS, Connection, Database
from duly_runtime.log import Producer, SendFailed
from duly_runtime.logging import get_logger
from duly_runtime.loops import Wake
from duly_runtime.metrics import OUTBOX_UNSENT, Metrics

_log = get_logger(__name__)
_BATCH = 500
_SEND_TIMEOUT_SECONDS = 60.0
_CLEANUP_EVERY_SECONDS = 3600.0
KEEP_SENT_DAYS = 7
KEEP_INBOX_DAYS = 30


@dataclass(frozen=True, slots=True)
class _OutboxRow:
    seq: int
    topic: str
    key: bytes
    payload: bytes
    headers: list[tuple[str, bytes]]
    partition: int | None


class RelayLoop:
    """One shard of the outbox per step.

    The shard's row is locked, not the event rows: skipping a locked event row would let a second relay send a later
    event of the same key first. A crash between send and mark sends again; consumers know the id.
    """

    def __init__(
        self, database: Database, producer: Producer, wake: Wake, clock: Clock, metrics: Metrics, name: str = "relay"
    ) -> None:
        self.name = name
        self._database = database
        self._producer = producer
        self._wake = wake
        self._clock = clock
        self._metrics = metrics
        self._cleaned_at = clock.monotonic()

    def step(self, wait_seconds: float) -> bool:
        try:
            if self._relay_shard():
                return True
        except (*TRANSIENT_ERRORS, SendFailed) as error:
            _log.warning("runtime.relay_failed", error=str(error))
            self._wake.wait(min(1.0, wait_seconds * 5))
            return False
        self._clean_up()
        return self._wake.wait(wait_seconds)

    def close(self) -> None:
        self._producer.close()

    def _relay_shard(self) -> bool:
        with self._database.unit_of_work() as uow:
            rows = _lock_rows(uow.connection)
            self._metrics.set(OUTBOX_UNSENT, len(rows))
            if not rows:
                return False
            sent, failure = self._send(rows)
            uow.connection.execute("update outbox set sent_at = now() where seq = any(%s)", (sent,))
        if failure is not None:
            raise failure
        return True

    def _send(self, rows: list[_OutboxRow]) -> tuple[list[int], SendFailed | None]:
        """Seqs that the log has, per key only up to the first failure; and that failure."""
        pending = []
        failure: SendFailed | None = None
        for row in rows:
            try:
                pending.append((row, self._producer.send(row.topic, row.key, row.payload, row.headers, row.partition)))
            except SendFailed as error:
                failure = error
                break
        sent: list[int] = []
        blocked: set[bytes] = set()
        for row, future in pending:
            try:
                future.result(_SEND_TIMEOUT_SECONDS)
            except SendFailed as error:
                failure = error
                blocked.add(row.key)
            else:
                if row.key not in blocked:
                    sent.append(row.seq)
        return sent, failure

    def _clean_up(self) -> None:
        if self._clock.monotonic() - self._cleaned_at < _CLEANUP_EVERY_SECONDS:
            return
        self._cleaned_at = self._clock.monotonic()
        with self._database.unit_of_work() as uow:
            uow.connection.execute(
                "delete from outbox where sent_at < now() - make_interval(days => %s)", (KEEP_SENT_DAYS,)
            )
            uow.connection.execute(
                "delete from inbox where received_at < now() - make_interval(days => %s)", (KEEP_INBOX_DAYS,)
            )


def unsent_rows(connection: Connection) -> int:
    """Events committed and not yet acknowledged by the log."""
    row = connection.execute("select count(*) as n from outbox where sent_at is null").fetchone()
    assert row is not None
    return int(row["n"])


def _lock_rows(connection: Connection) -> list[_OutboxRow]:
    shard = connection.execute(
        "select shard from outbox_shard s"
        " where exists (select 1 from outbox o where o.shard = s.shard and o.sent_at is null)"
        " limit 1 for update skip locked"
    ).fetchone()
    if shard is None:
        return []
    rows = connection.execute(
        "select seq, aggregatetype, aggregateid, payload, headers, partition from outbox"
        " where shard = %s and sent_at is null order by seq limit %s",
        (shard["shard"], _BATCH),
    ).fetchall()
    return [
        _OutboxRow(
            seq=row["seq"],
            topic=row["aggregatetype"],
            key=bytes(row["aggregateid"]),
            payload=bytes(row["payload"]),
            headers=[(name, b64decode(value)) for name, value in row["headers"]],
            partition=row["partition"],
        )
        for row in rows
    ]

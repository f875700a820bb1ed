"""The Faust app, made to fail instead of skip. Read against faust-streaming 0.15.3; why: docs/reference/delivery.md.

Private names of Faust are touched in this module and nowhere else; `require_known_faust` stops any other version.
"""

from __future__ import annotations

import asyncio
import logging
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import faust
import faust.streams
from faust.sensors.monitor import Monitor
from faust.tables.manager import TableManager
from faust.transport.drivers import aiokafka as driver

from duly.risk.v1 import state_pb2
from scoring.adapters.guards import EXIT_UNTRUSTED, end_process

KNOWN_FAUST = "0.15.3"
APP_ID = "scoring"
TABLE = "debtors"
# Above what any producer of ours may send (1 000 000), so that a dead letter with its added headers always fits.
_REQUEST_BYTES_MAX = 1_040_000
_FETCH_WAIT_MS = 20
_DRAIN_WAIT_SECONDS = 0.1


class FaustUnknown(RuntimeError):
    """Another version of Faust than the one this module was read against."""

    code = "faust_unknown"


def require_known_faust() -> None:
    """Raises FaustUnknown."""
    found = version("faust-streaming")
    if found != KNOWN_FAUST:
        raise FaustUnknown(f"faust-streaming {found} is installed; scoring is proven with {KNOWN_FAUST} only")


def app_id(app_version: int) -> str:
    """Name of the consumer group; the changelog begins with it."""
    return APP_ID if app_version == 1 else f"{APP_ID}-v{app_version}"


def changelog_topic(app_version: int) -> str:
    """The changelog of the table."""
    return f"{app_id(app_version)}-{TABLE}-changelog"


class FailStopSensor(Monitor):  # type: ignore[misc]  # Faust is untyped here
    """Faust logs a failed send and commits all the same; we leave before that."""

    def on_send_error(self, producer: Any, exc: BaseException, state: Any) -> None:
        end_process(EXIT_UNTRUSTED, "scoring.send_failed", error=f"{type(exc).__name__}: {exc}")


class AckedTable(faust.Table):  # type: ignore[misc]
    """Table whose writes can be awaited, and whose recovery never goes back behind a newer blob.

    An evicted worker may have written an old blob after a new one (the changelog knows no fencing): the higher applied
    offset wins.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._unacked: list[Any] = []

    def send_changelog(self, *args: Any, **kwargs: Any) -> Any:
        future = super().send_changelog(*args, **kwargs)
        self._unacked.append(future)
        return future

    def take_unacked(self) -> list[Any]:
        """Futures of the changelog records sent since the last call."""
        unacked, self._unacked = self._unacked, []
        return unacked

    def apply_changelog_batch(self, batch: Iterable[Any]) -> None:
        newest: dict[bytes, int] = {}
        kept = []
        for event in batch:
            offset = applied_offset(event.message.value)
            known = newest.get(event.key)
            if known is None:
                known = applied_offset(self.data.get(event.key))
            if offset >= known:
                newest[event.key] = offset
                kept.append(event)
        super().apply_changelog_batch(kept)


def applied_offset(blob: bytes | None) -> int:
    """The applied offset in a state blob; -1 for none."""
    return state_pb2.DebtorState.FromString(blob).applied.offset if blob else -1


class _Tables(TableManager):  # type: ignore[misc]
    async def on_start(self) -> None:
        # Faust's own sleeps a second first, for tables that agents make; ours exists before the worker.
        await self._update_channels()
        await self.recovery.start()


class _ConsumerThread(driver.AIOKafkaConsumerThread):  # type: ignore[misc]
    def _create_worker_consumer(self, transport: Any) -> Any:
        consumer = super()._create_worker_consumer(transport)
        # Faust hard-codes 1500 ms: the long poll of idle partitions would stall the busy ones of the same broker.
        consumer._fetch_max_wait_ms = _FETCH_WAIT_MS
        return consumer


class _Consumer(driver.Consumer):  # type: ignore[misc]
    def _new_consumer_thread(self) -> Any:
        return _ConsumerThread(self, loop=self.loop, beacon=self.beacon)

    async def _getmany(self, active_partitions: Any, timeout: float) -> Any:
        """Records of the changelog while it recovers, of the source only once it has.

        Faust resumes the source, seeks it and only then resumes its queues, which empties them: records delivered in
        between are gone, and read again they are dropped as already read. It also hands its live set to the consumer's
        thread; emptied at the end of recovery, aiokafka takes it for "all", and what it drains is dropped.
        """
        ready = self.app.tables.actives_ready
        wanted = {tp for tp in active_partitions if ready or tp.topic != self.app.source_topic}
        wait = min(timeout, _DRAIN_WAIT_SECONDS)  # short, as partitions that become active wait for the next call
        if not wanted:
            await asyncio.sleep(wait)
            return {}
        return await super()._getmany(wanted, wait)

    async def perform_seek(self) -> None:
        await super().perform_seek()
        # Faust leaves partitions without a commit where they are; what was drained before must be read again.
        fresh = [tp for tp in self.assignment() if tp.topic == self.app.source_topic and not self._read_offset[tp]]
        if fresh:
            await self._thread.seek_to_beginning(*(self._new_topicpartition(*tp) for tp in fresh))
        read = self._read_offset.items()
        self.app.on_seek({tp.partition: at or 0 for tp, at in read if tp.topic == self.app.source_topic})


class _Transport(driver.Transport):  # type: ignore[misc]
    Consumer = _Consumer


class ScoringApp(faust.App):  # type: ignore[misc]
    """on_seek: told {partition: next offset} whenever Faust goes to the group's committed offsets."""

    source_topic = ""
    on_seek: Callable[[Mapping[int, int]], None]

    def _new_transport(self) -> Any:
        return _Transport(self.conf.broker_consumer, self)


def make_app(
    *,
    bootstrap_servers: str,
    source: str,
    data_dir: Path,
    instance_id: str,
    store: str,
    app_version: int,
    session_timeout_seconds: float,
    recovery_delay_seconds: float,
    replication_factor: int,
) -> ScoringApp:
    """The app with every setting that at-least-once rests on. Starts nothing."""
    require_known_faust()
    logging.getLogger(__name__).setLevel(logging.WARNING)  # Faust's services log their life under our module's name
    app = ScoringApp(
        app_id(app_version),
        broker=[f"kafka://{server}" for server in bootstrap_servers.split(",")],
        autodiscover=False,
        datadir=str(data_dir),
        store=store,
        Table=AckedTable,
        TableManager=_Tables,
        Monitor=FailStopSensor,
        # Faust compares an assignment's URL with its own: it must outlive a restart, like the group instance id.
        canonical_url=f"http://{instance_id}",
        consumer_group_instance_id=instance_id,
        processing_guarantee="at_least_once",
        stream_wait_empty=True,
        stream_recovery_delay=recovery_delay_seconds,
        stream_buffer_maxsize=1024,
        topic_allow_declare=False,
        topic_disable_leader=True,
        topic_replication_factor=replication_factor,
        broker_commit_interval=1.0,
        broker_commit_every=1000,
        broker_session_timeout=session_timeout_seconds,
        broker_heartbeat_interval=min(3.0, session_timeout_seconds / 3),
        broker_request_timeout=max(60.0, session_timeout_seconds),
        broker_rebalance_timeout=60.0,
        broker_max_poll_interval=300.0,
        consumer_auto_offset_reset="earliest",
        consumer_max_fetch_size=524288,
        producer_acks=-1,
        producer_linger=0.002,
        producer_max_request_size=_REQUEST_BYTES_MAX,
        producer_request_timeout=60.0,
        table_standby_replicas=0,
        web_enabled=False,
        web_tables_enabled=False,
        web_router_enabled=False,
        worker_redirect_stdouts=False,
    )
    app.source_topic = source
    return app


def raw_topic(app: ScoringApp, name: str) -> Any:
    """A topic of bytes. Types alone are not enough: without `raw` Faust drops every record as undecodable."""
    return app.topic(name, key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw")


def debtors_table(app: ScoringApp) -> AckedTable:
    """The state table; its changelog must exist."""
    table: AckedTable = app.Table(TABLE, key_type=bytes, value_type=bytes)
    return table


class TableStates:
    """`StateStore` over the table, for one batch at a time.

    Faust takes the partition of a read or write from the current event, so one event per partition is kept and made
    current; only the context variable, as `stream._set_current_event` would disturb the reader in the background.
    """

    def __init__(self, table: AckedTable) -> None:
        self._table = table
        self._events: dict[int, Any] = {}

    def open_batch(self, events: Sequence[Any]) -> None:
        """Hold one event of each partition until the next batch."""
        self._events = {event.message.partition: event for event in events}

    def get(self, partition: int, key: bytes) -> bytes | None:
        self._make_current(partition)
        blob: bytes | None = self._table.data.get(key)
        return blob

    def put(self, partition: int, key: bytes, blob: bytes) -> None:
        self._make_current(partition)
        self._table[key] = blob

    def scan(self) -> Iterable[tuple[bytes, bytes]]:
        return list(self._table.data.items())

    def _make_current(self, partition: int) -> None:
        faust.streams._current_event.set(weakref.ref(self._events[partition]))

"""The Faust app, made to fail instead of skip. Read against faust-streaming 0.15.3; why: docs/reference/delivery.md.

Private names of Faust are touched in `adapters` and nowhere else; `require_known_faust` stops any other version.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

import faust
from duly_risk.peek import applied_position
from duly_runtime.exit_codes import EXIT_UNTRUSTED
from faust.sensors.monitor import Monitor

from scoring.adapters.faust_consumer import SourceConsumer, Transport
from scoring.adapters.faust_recovery import Tables
from scoring.adapters.guards import end_process
from scoring.adapters.local_state import state_folder
from scoring.adapters.table_store import Applied, Blobs, blobs_of, recover, with_our_options

KNOWN_FAUST = "0.15.3"
APP_ID = "scoring"
TABLE = "debtors"
# Above what any output has (`duly_runtime.dlq.LETTER_BYTES_MAX`); the broker takes 1 MiB.
_REQUEST_BYTES_MAX = 1_040_000
# Faust's services log their life under the name of the module that subclasses them.
_SERVICES = ("faust_app", "faust_consumer", "faust_producer", "faust_recovery", "batch_shell")
# One batch of one partition; the broker takes 1 MiB.
_BATCH_BYTES_MAX = 900_000


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

    applied: how to read the applied offset from a blob, raises DecodeError.
    """

    def __init__(self, *args: Any, applied: Applied, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._applied = applied
        self._unacked: list[Any] = []

    @cached_property
    def blobs(self) -> Blobs:
        """The store below the table."""
        return blobs_of(self)

    def _new_store(self) -> Any:
        return with_our_options(super()._new_store())

    def send_changelog(self, *args: Any, **kwargs: Any) -> Any:
        future = super().send_changelog(*args, **kwargs)
        self._unacked.append(future)
        return future

    def _on_changelog_sent(self, fut: Any) -> None:
        # Faust's own puts the offset forward whatever lies before it.
        sent = fut.result()
        self.blobs.persist_offset(sent.topic_partition.partition, sent.offset, sent.offset)

    def take_unacked(self) -> list[Any]:
        """Futures of the changelog records sent since the last call."""
        unacked, self._unacked = self._unacked, []
        return unacked

    def apply_records(self, partition: int, records: Iterable[Any]) -> None:
        """Records of a changelog partition, in offset order, with `key`, `value` and `offset`."""
        recover(self.blobs, self._applied, partition, records)

    def apply_changelog_batch(self, batch: Iterable[Any]) -> None:
        """Faust hands over what came through its queue: nothing, see `faust_recovery`."""
        assert not list(batch), "the changelog goes to apply_records"


def applied_offset(blob: bytes) -> int:
    """The applied offset in a state blob; -1 for one without. Raises DecodeError."""
    applied = applied_position(blob)
    return -1 if applied is None else applied.offset


class ScoringApp(faust.App):  # type: ignore[misc]
    """on_seek: told {partition: next offset} whenever Faust goes to the group's committed offsets.

    while_running: runs from the start of the consumer to its end, during recovery too. changelog_records: read so far.
    """

    source_topic = ""
    changelog_records = 0
    consumer_type: type[SourceConsumer] = SourceConsumer
    on_seek: Callable[[Mapping[int, int]], None]
    while_running: Callable[[], Coroutine[Any, Any, None]]

    def _new_transport(self) -> Any:
        return Transport(self.conf.broker_consumer, self, consumer_type=self.consumer_type)


@dataclass(frozen=True, slots=True)
class AppOptions:
    """What an installation decides about the app. source: topic of the facts. store: "memory" or "rocksdb"."""

    bootstrap_servers: str
    source: str
    data_dir: Path
    instance_id: str
    store: str
    app_version: int = 1
    session_timeout_seconds: float = 45.0
    recovery_delay_seconds: float = 0.0
    replication_factor: int = 1


# What at-least-once rests on; nobody may set it otherwise.
_FIXED: Mapping[str, Any] = {
    "autodiscover": False,
    "Table": AckedTable,
    "TableManager": Tables,
    "Monitor": FailStopSensor,
    "processing_guarantee": "at_least_once",
    "stream_wait_empty": True,
    "stream_buffer_maxsize": 1024,
    "topic_allow_declare": False,
    "topic_disable_leader": True,
    "broker_commit_interval": 1.0,
    "broker_commit_every": 1000,
    "broker_rebalance_timeout": 60.0,
    "broker_max_poll_interval": 300.0,
    "consumer_auto_offset_reset": "earliest",
    "consumer_max_fetch_size": 524288,
    "producer_acks": -1,
    "producer_linger": 0.002,
    "producer_max_batch_size": _BATCH_BYTES_MAX,
    "producer_max_request_size": _REQUEST_BYTES_MAX,
    "producer_request_timeout": 60.0,
    "table_standby_replicas": 0,
    "web_enabled": False,
    "web_tables_enabled": False,
    "web_router_enabled": False,
    "worker_redirect_stdouts": False,
}


def make_app(options: AppOptions) -> ScoringApp:
    """The app with every setting that at-least-once rests on. Starts nothing."""
    require_known_faust()
    for name in _SERVICES:
        logging.getLogger(f"{__package__}.{name}").setLevel(logging.WARNING)
    folder = state_folder(options.data_dir, app_id(options.app_version))
    folder.mkdir(parents=True, exist_ok=True)  # Faust's worker goes there before it makes it
    app = ScoringApp(
        app_id(options.app_version),
        broker=[f"kafka://{server}" for server in options.bootstrap_servers.split(",")],
        datadir=str(folder),
        store=f"{options.store}://",
        # Faust compares an assignment's URL with its own: it must outlive a restart, like the group instance id.
        canonical_url=f"http://{options.instance_id}",
        consumer_group_instance_id=options.instance_id,
        stream_recovery_delay=options.recovery_delay_seconds,
        topic_replication_factor=options.replication_factor,
        broker_session_timeout=options.session_timeout_seconds,
        broker_heartbeat_interval=min(3.0, options.session_timeout_seconds / 3),
        broker_request_timeout=max(60.0, options.session_timeout_seconds),
        **_FIXED,
    )
    app.source_topic = options.source
    return app


def raw_topic(app: ScoringApp, name: str) -> Any:
    """A topic of bytes. Types alone are not enough: without `raw` Faust drops every record as undecodable."""
    return app.topic(name, key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw")


def debtors_table(app: ScoringApp, applied: Applied = applied_offset) -> AckedTable:
    """The state table; its changelog must exist. applied: the applied offset in a blob."""
    table: AckedTable = app.Table(TABLE, key_type=bytes, value_type=bytes, applied=applied)
    return table

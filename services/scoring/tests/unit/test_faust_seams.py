"""Where we reach into Faust: each seam closes a hole through which events were lost."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from scoring.adapters import faust_app
from scoring.adapters.faust_app import AckedTable, TableStates, applied_offset, debtors_table, make_app, raw_topic

from duly.risk.v1 import state_pb2

SOURCE, CHANGELOG = TP("ledger-events", 0), TP("scoring-debtors-changelog", 0)


@pytest.fixture
def app(tmp_path: Path) -> Any:
    return make_app(
        bootstrap_servers="127.0.0.1:1,127.0.0.1:2",
        source="ledger-events",
        data_dir=tmp_path,
        instance_id="scoring-0",
        store="memory://",
        app_version=1,
        session_timeout_seconds=45.0,
        recovery_delay_seconds=0.0,
        replication_factor=1,
    )


def blob(offset: int) -> bytes:
    return state_pb2.DebtorState(applied=state_pb2.AppliedPosition(partition=3, offset=offset)).SerializeToString()


def changelog_event(key: bytes, value: bytes) -> Any:
    return SimpleNamespace(key=key, value=value, message=SimpleNamespace(key=key, value=value, partition=3))


def test_the_app_commits_late_creates_nothing_and_outlives_a_restart(app: Any) -> None:
    conf = app.conf
    assert (str(conf.id), conf.processing_guarantee.value) == ("scoring", "at_least_once")
    assert (conf.consumer_group_instance_id, str(conf.canonical_url)) == ("scoring-0", "http://scoring-0")
    assert (conf.topic_allow_declare, conf.topic_disable_leader, conf.stream_wait_empty) == (False, True, True)
    assert (conf.web_enabled, conf.producer_acks, conf.consumer_auto_offset_reset) == (False, -1, "earliest")
    assert faust_app.changelog_topic(1) == "scoring-debtors-changelog"
    assert faust_app.changelog_topic(2) == "scoring-v2-debtors-changelog"


def test_topics_and_table_carry_raw_bytes(app: Any) -> None:
    topic, table = raw_topic(app, "ledger-events"), debtors_table(app)
    assert (topic.key_serializer, topic.value_serializer) == ("raw", "raw")
    assert (table.key_serializer, table.value_serializer) == ("raw", "raw")
    assert isinstance(table, AckedTable)


def test_recovery_never_goes_back_behind_a_newer_blob(app: Any) -> None:
    table = debtors_table(app)
    table.apply_changelog_batch([changelog_event(b"a|1", blob(5)), changelog_event(b"a|1", blob(3))])
    assert applied_offset(table.data[b"a|1"]) == 5
    table.apply_changelog_batch([changelog_event(b"a|1", blob(4)), changelog_event(b"a|2", blob(1))])
    assert (applied_offset(table.data[b"a|1"]), applied_offset(table.data[b"a|2"])) == (5, 1)
    table.apply_changelog_batch([changelog_event(b"a|1", blob(6))])
    assert applied_offset(table.data[b"a|1"]) == 6


def test_each_blob_is_written_in_the_partition_of_its_own_event(app: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    table = debtors_table(app)
    sent: list[tuple[int, bytes]] = []

    def send_soon(**record: Any) -> Any:
        sent.append((record["partition"], record["key"]))
        return SimpleNamespace(message=SimpleNamespace(partition=record["partition"]))

    monkeypatch.setattr(table.changelog_topic, "send_soon", send_soon)
    monkeypatch.setattr(table, "_verify_source_topic_partitions", lambda topic: None)

    class Event:  # weakly referable, as Faust's own
        def __init__(self, partition: int) -> None:
            self.message = SimpleNamespace(topic="ledger-events", partition=partition)

    states = TableStates(table)
    states.open_batch([Event(1), Event(2)])
    states.put(2, b"a|2", blob(1))
    states.put(1, b"a|1", blob(1))
    assert sent == [(2, b"a|2"), (1, b"a|1")]
    assert len(table.take_unacked()) == 2
    assert table.take_unacked() == []
    assert states.get(1, b"a|1") == blob(1)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[set[TP]]:
    """What the consumer's thread is asked for; Faust empties its live set meanwhile, as at the end of recovery."""
    seen: list[set[TP]] = []

    async def getmany(self: Any, active: set[TP], timeout: float) -> dict[TP, list[Any]]:
        self.live.clear()
        seen.append(set(active))
        return {}

    monkeypatch.setattr(driver.Consumer, "_getmany", getmany)
    return seen


@pytest.mark.parametrize(
    ("active", "ready", "expected"),
    [
        ({SOURCE, CHANGELOG}, False, [{CHANGELOG}]),
        ({SOURCE}, False, []),
        ({SOURCE}, True, [{SOURCE}]),
        ({CHANGELOG}, True, [{CHANGELOG}]),
    ],
)
def test_nothing_of_the_source_is_fetched_before_the_state_is_recovered(
    active: set[TP], ready: bool, expected: list[set[TP]], asked: list[set[TP]]
) -> None:
    consumer = object.__new__(faust_app._Consumer)
    consumer.live = set(active)
    consumer.app = SimpleNamespace(source_topic="ledger-events", tables=SimpleNamespace(actives_ready=ready))
    assert asyncio.run(consumer._getmany(consumer.live, 1.0)) == {}
    assert asked == expected


def test_partitions_without_a_commit_are_read_from_their_beginning(monkeypatch: pytest.MonkeyPatch) -> None:
    rewound: list[Any] = []
    told: list[dict[int, int]] = []
    source = {TP("ledger-events", 0), TP("ledger-events", 1), TP("scoring-debtors-changelog", 0)}

    async def perform_seek(self: Any) -> None:
        self._read_offset[TP("ledger-events", 0)] = 7
        self._read_offset[TP("ledger-events", 1)] = None

    async def seek_to_beginning(*tps: Any) -> None:
        rewound.extend(tps)

    monkeypatch.setattr(driver.Consumer, "perform_seek", perform_seek)
    monkeypatch.setattr(driver.Consumer, "assignment", lambda self: source)
    consumer = object.__new__(faust_app._Consumer)
    consumer._read_offset = defaultdict(lambda: None)
    consumer._thread = SimpleNamespace(seek_to_beginning=seek_to_beginning)
    consumer.app = SimpleNamespace(source_topic="ledger-events", on_seek=told.append)
    asyncio.run(consumer.perform_seek())
    assert [(tp.topic, tp.partition) for tp in rewound] == [("ledger-events", 1)]
    assert told == [{0: 7, 1: 0}]

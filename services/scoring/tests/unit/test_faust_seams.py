"""Where we reach into Faust: each seam closes a hole through which events were lost."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict, deque
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from duly_runtime.log import Record
from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from hypothesis import given, settings
from hypothesis import strategies as st
from scoring.adapters import faust_app
from scoring.adapters.batch_shell import BatchConsumer, Waiting, chunks_of
from scoring.adapters.faust_app import AckedTable, AppOptions, applied_offset, debtors_table, make_app, raw_topic
from scoring.adapters.faust_consumer import SourceConsumer
from scoring.adapters.faust_recovery import BatchRecovery
from scoring.adapters.take_shell import TableStates, record_of

from duly.risk.v1 import state_pb2

SOURCE, CHANGELOG = TP("ledger-events", 0), TP("scoring-debtors-changelog", 0)


@pytest.fixture(params=["memory", "rocksdb"])
def app(tmp_path: Path, request: pytest.FixtureRequest) -> Any:
    return make_app(AppOptions("127.0.0.1:1,127.0.0.1:2", "ledger-events", tmp_path, "scoring-0", request.param))


def blob(offset: int) -> bytes:
    return state_pb2.DebtorState(applied=state_pb2.AppliedPosition(partition=3, offset=offset)).SerializeToString()


def changelog(offset: int, key: bytes, value: bytes) -> Any:
    return SimpleNamespace(key=key, value=value, offset=offset)


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


def test_a_header_without_a_value_is_an_empty_one() -> None:
    message = SimpleNamespace(topic="t", partition=3, offset=41, key=None, value=None, headers=[("x", None)])
    assert record_of(message) == Record("t", 3, 41, b"", b"", (("x", b""),))


def test_recovery_never_goes_back_behind_a_newer_blob(app: Any) -> None:
    table = debtors_table(app)

    def applied(key: bytes) -> int:
        return applied_offset(table.blobs.get(3, key) or b"")

    table.apply_records(3, [changelog(0, b"a|1", blob(5)), changelog(1, b"a|1", blob(3))])
    assert applied(b"a|1") == 5
    table.apply_records(3, [changelog(2, b"a|1", blob(4)), changelog(3, b"a|2", blob(1))])
    assert (applied(b"a|1"), applied(b"a|2")) == (5, 1)
    table.apply_records(3, [changelog(4, b"a|1", blob(6))])
    assert applied(b"a|1") == 6
    assert set(table.blobs.places()) == ({(3, b"a|1"), (3, b"a|2")} if app.conf.store.scheme == "memory" else set())


def test_a_blob_nobody_can_read_is_recovered_as_it_is(app: Any) -> None:
    table = debtors_table(app)
    table.apply_records(
        3, [changelog(0, b"a|1", blob(5)), changelog(1, b"a|1", b"\xff"), changelog(2, b"a|2", b"\xff")]
    )
    assert (table.blobs.get(3, b"a|1"), table.blobs.get(3, b"a|2")) == (b"\xff", b"\xff")
    table.apply_records(3, [changelog(3, b"a|1", b"\xfe"), changelog(4, b"a|2", blob(1))])
    assert (table.blobs.get(3, b"a|1"), table.blobs.get(3, b"a|2")) == (b"\xfe", blob(1))


def test_the_local_store_remembers_how_far_it_has_the_changelog(app: Any) -> None:
    table = debtors_table(app)
    table.apply_records(3, [changelog(7, b"a|1", blob(5)), changelog(9, b"a|1", blob(3))])
    kept = app.conf.store.scheme == "rocksdb"
    assert table.persisted_offset(TP("scoring-debtors-changelog", 3)) == (9 if kept else None)
    table.blobs.persist_offset(3, 10, 12)
    assert table.persisted_offset(TP("scoring-debtors-changelog", 3)) == (12 if kept else None)


def acked(partition: int, offset: int) -> Any:
    """What Faust hands over when the broker has a changelog record."""
    sent = SimpleNamespace(topic_partition=TP("scoring-debtors-changelog", partition), offset=offset)
    return SimpleNamespace(result=lambda: sent)


def test_records_that_another_worker_wrote_in_between_are_read_at_the_next_recovery(app: Any) -> None:
    table = debtors_table(app)
    kept = app.conf.store.scheme == "rocksdb"
    for offset in (0, 1):
        table._on_changelog_sent(acked(3, offset))
    table._on_changelog_sent(acked(3, 5))  # 2 to 4 came from another worker, while this one was frozen
    table.blobs.persist_offset(3, 6, 8)
    assert table.persisted_offset(TP("scoring-debtors-changelog", 3)) == (1 if kept else None)
    table.apply_records(3, [changelog(offset, b"a|1", blob(offset)) for offset in range(2, 9)])
    table._on_changelog_sent(acked(3, 9))
    assert table.persisted_offset(TP("scoring-debtors-changelog", 3)) == (9 if kept else None)


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
    assert (states.get(1, b"a|1"), states.get(2, b"a|1")) in [(blob(1), None), (blob(1), blob(1))]


def a_consumer(kind: type[SourceConsumer] = SourceConsumer) -> Any:
    """A consumer without a group behind it."""
    consumer = object.__new__(kind)
    consumer._fetching, consumer.epoch, consumer.flow_active = asyncio.Lock(), 0, True
    consumer._read_offset, consumer._acked = defaultdict(lambda: None), defaultdict(list)
    return consumer


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
    consumer = a_consumer()
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
    consumer = a_consumer()
    consumer._thread = SimpleNamespace(seek_to_beginning=seek_to_beginning)
    consumer.app = SimpleNamespace(source_topic="ledger-events", on_seek=told.append)
    asyncio.run(consumer.perform_seek())
    assert [(tp.topic, tp.partition) for tp in rewound] == [("ledger-events", 1)]
    assert told == [{0: 7, 1: 0}]


@pytest.mark.parametrize("moved", ["a seek", "a stopped flow"])
def test_what_was_fetched_before_positions_moved_is_dropped(monkeypatch: pytest.MonkeyPatch, moved: str) -> None:
    order: list[str] = []
    consumer = a_consumer()
    consumer.app = SimpleNamespace(
        source_topic="ledger-events", tables=SimpleNamespace(actives_ready=True), on_seek=lambda offsets: None
    )

    async def getmany(self: Any, active: set[TP], timeout: float) -> dict[TP, list[Any]]:
        order.append("fetch begins")
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        order.append("fetch ends")
        return {SOURCE: [changelog(0, b"k", b"v")]}

    async def perform_seek(self: Any) -> None:
        order.append("seek")

    monkeypatch.setattr(driver.Consumer, "_getmany", getmany)
    monkeypatch.setattr(driver.Consumer, "perform_seek", perform_seek)
    monkeypatch.setattr(driver.Consumer, "stop_flow", lambda self: order.append("stop"))
    monkeypatch.setattr(driver.Consumer, "assignment", lambda self: set())

    async def both() -> Any:
        fetch = asyncio.ensure_future(consumer._getmany({SOURCE}, 1.0))
        await asyncio.sleep(0)
        if moved == "a seek":
            await consumer.perform_seek()
        else:
            consumer.stop_flow()
        return await fetch

    assert asyncio.run(both()) == {}
    expected = {
        "a seek": ["fetch begins", "fetch ends", "seek"],
        "a stopped flow": ["fetch begins", "stop", "fetch ends"],
    }
    assert order == expected[moved]


def test_the_changelog_goes_into_the_table_and_ends_the_recovery() -> None:
    applied: list[tuple[int, list[int]]] = []
    table = SimpleNamespace(apply_records=lambda p, records: applied.append((p, [r.offset for r in records])))
    recovery = object.__new__(BatchRecovery)
    recovery.active_tps, recovery.standby_tps = {CHANGELOG}, set()
    recovery.active_offsets, recovery.active_highwaters = Counter({CHANGELOG: 4}), Counter({CHANGELOG: 7})
    recovery.standby_offsets, recovery.standby_highwaters = Counter(), Counter()
    recovery.tp_to_table, recovery.in_recovery = {CHANGELOG: table}, True
    recovery.tables = SimpleNamespace(standbys_ready=True)
    recovery.app = SimpleNamespace(in_recovery=True, changelog_records=0)
    recovery._active_events_received_at, recovery._standby_events_received_at = {}, {}
    recovery._processing_times = deque()

    recovery.take(CHANGELOG, [changelog(offset, b"k", b"v") for offset in (4, 5, 6)])
    assert (applied, recovery.in_recovery, recovery.signal_recovery_end.is_set()) == ([(0, [5, 6])], True, False)
    recovery.take(TP("scoring-debtors-changelog", 9), [changelog(0, b"k", b"v")])
    recovery.take(CHANGELOG, [changelog(7, b"k", b"v")])
    assert recovery.app.changelog_records == 3
    assert (applied[1:], recovery.in_recovery, recovery.signal_recovery_end.is_set()) == ([(0, [7])], False, True)


def test_the_batch_shell_commits_the_newest_finished_offset_and_no_record_twice() -> None:
    consumer = a_consumer(BatchConsumer)
    consumer.app = SimpleNamespace(source_topic="ledger-events")
    consumer._finished = {}
    consumer.finished({0: 5, 1: 9})
    consumer.finished({0: 7})
    assert (consumer._new_offset(SOURCE), consumer._new_offset(SOURCE)) == (7, None)
    consumer._read_offset[SOURCE] = 7
    unread = consumer._unread({SOURCE: [changelog(offset, b"k", b"v") for offset in (5, 6, 7, 9)]})
    assert [record.offset for record in unread[0]] == [7, 9]


@settings(deadline=None)
@given(st.dictionaries(st.integers(0, 11), st.integers(1, 60), max_size=12), st.integers(1, 40))
def test_chunks_hold_every_record_once_and_keep_the_order_of_each_partition(lengths: dict[int, int], size: int) -> None:
    fetched = {p: [changelog(offset, b"k", str(p).encode()) for offset in range(n)] for p, n in lengths.items()}
    chunks = list(chunks_of(fetched, size))
    assert all(1 <= len(chunk) <= size for chunk in chunks)
    for partition, records in fetched.items():
        assert [r for chunk in chunks for r in chunk if r.value == str(partition).encode()] == records


@settings(deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(1, 10)), max_size=40), st.integers(10, 25))
def test_what_waits_for_the_step_is_joined_in_order_within_an_epoch_and_bounded(
    moves: list[tuple[bool, int]], size: int
) -> None:
    waiting, epochs, put, taken = Waiting(size), 0, [], []

    async def work() -> None:
        nonlocal epochs
        for new_epoch, length in moves:
            epochs += new_epoch
            room = asyncio.ensure_future(waiting.room())
            await asyncio.sleep(0)
            while not room.done():
                taken.append(await waiting.take())
                await asyncio.sleep(0)
            chunk = [changelog(len(put), b"k", b"v") for _ in range(length)]
            put.append((epochs, chunk))
            waiting.put(epochs, chunk)
            assert waiting._records < 2 * size
        while waiting._records:
            taken.append(await waiting.take())

    asyncio.run(work())
    flat = [(epoch, record) for epoch, records in taken for record in records]
    assert flat == [(epoch, record) for epoch, records in put for record in records]
    assert all(1 <= len(records) <= size for _, records in taken)


@pytest.mark.parametrize("fault", ["a fetch", "a step"])
def test_whatever_fails_between_fetch_and_step_ends_the_process_before_faust_fetches_anew(fault: str) -> None:
    ended: list[str] = []

    def failed(event: str) -> None:
        ended.append(event)
        raise asyncio.CancelledError  # the process would be gone

    async def nothing(*args: Any) -> None: ...

    async def fetched(*args: Any) -> dict[TP, list[Any]]:
        if fault == "a fetch":
            raise OSError("no such thing")
        await asyncio.sleep(0)
        return {SOURCE: [SimpleNamespace(partition=0, offset=0, key=b"k", value=b"v")]}

    async def take(chunk: list[Any], ends: dict[int, int]) -> None:
        raise OSError("no such thing")

    async def work() -> None:
        consumer = a_consumer(BatchConsumer)
        consumer._stopped, consumer._crashed = asyncio.Event(), asyncio.Event()
        line = SimpleNamespace(start=nothing, room=nothing, take=take, failed=failed)
        consumer.app = SimpleNamespace(
            source_topic="ledger-events", batch_line=line, chunk_records=512, should_stop=False
        )
        consumer._getmany, consumer._get_active_partitions = fetched, lambda: {SOURCE}
        draining = asyncio.ensure_future(consumer._drain_messages(SimpleNamespace(should_stop=False)))
        while not ended:
            assert not draining.done()
            await asyncio.sleep(0)
        draining.cancel()
        await asyncio.wait([draining])

    asyncio.run(work())
    assert ended == ["scoring.stream_failed"]


def test_a_step_waits_for_the_first_chunk_and_a_chunk_of_before_partitions_moved_never_begins() -> None:
    begun: list[list[int]] = []

    async def take(chunk: list[Any], ends: dict[int, int]) -> None:
        begun.append([record.offset for record in chunk])

    async def room() -> None: ...

    async def work() -> None:
        consumer = a_consumer(BatchConsumer)
        consumer._stopped, consumer._crashed = asyncio.Event(), asyncio.Event()
        consumer.app = SimpleNamespace(source_topic="ledger-events")
        waiting = Waiting(512)
        stepping = asyncio.ensure_future(consumer._step(waiting, SimpleNamespace(room=room, take=take)))
        await asyncio.sleep(0)
        for epoch, offset in ((0, 5), (0, 6)):
            waiting.put(epoch, [SimpleNamespace(partition=0, offset=offset)])
        consumer.epoch = 1
        waiting.put(1, [SimpleNamespace(partition=0, offset=3)])
        while not begun:
            assert not stepping.done()
            await asyncio.sleep(0)
        stepping.cancel()
        assert consumer._read_offset[SOURCE] == 4

    asyncio.run(work())
    assert begun == [[3]]

"""F18, F20: how one worker bears load: a ramp, then a peak with one hot debtor and a tick in it. Figures, few asserts.

Every debtor has five open invoices; every event revises one, so that states stay as they are. Latency is from the
moment an event is handed to the producer until its score is read back, producer, broker and reader included.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import kafka
import psutil
from duly_runtime.kafka_log import KafkaLog
from duly_runtime.log import Producer, Record
from duly_testing.eventually import eventually

from duly.ledger.v1 import events_pb2 as ledger
from duly.money.v1 import money_pb2
from duly_chaos.broker import SCORES, Broker
from duly_chaos.ledger_log import START, Ledger
from duly_chaos.worker import Kind, Worker

PARTITIONS = 12
INVOICES_EACH = 5
RAMP = (200, 500, 1000, 2000, 4000)  # events a second
BASE, PEAK = 200, 2000
HOT_SHARE = 0.5
_PACE_SECONDS = 0.01
_DAY = START + timedelta(days=40)


@dataclass(frozen=True, slots=True)
class Phase:
    """What a stretch of load came to. waiting: events without a score at its end. memory_mb: of the worker."""

    name: str
    sent: int
    seconds: float
    p50_ms: float
    p99_ms: float
    waiting: int
    memory_mb: float

    def __str__(self) -> str:
        return (
            f"{self.name:<28} {self.sent / self.seconds:7.0f}/s sent   p50 {self.p50_ms:8.1f} ms   "
            f"p99 {self.p99_ms:8.1f} ms   waiting {self.waiting:6d}   worker {self.memory_mb:5.0f} MB"
        )


@dataclass(slots=True)
class Scores:
    """Reads scores in a thread of its own: cause -> second at which its score was seen."""

    bootstrap: str
    seen: dict[bytes, float] = field(default_factory=dict)
    _stop: threading.Event = field(default_factory=threading.Event)
    _ready: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def start(self) -> None:
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()
        self._ready.wait(30)

    def stop(self) -> None:
        self._stop.set()
        assert self._thread is not None
        self._thread.join(30)

    def _read(self) -> None:
        reader = kafka.KafkaConsumer(bootstrap_servers=self.bootstrap, group_id=None, fetch_max_wait_ms=5)
        tps = [kafka.TopicPartition(SCORES, partition) for partition in range(PARTITIONS)]
        reader.assign(tps)
        reader.seek_to_end(*tps)
        for tp in tps:
            reader.position(tp)
        self._ready.set()
        while not self._stop.is_set():
            found = reader.poll(timeout_ms=5, max_records=2000)
            now = time.monotonic()
            for records in found.values():
                for record in records:
                    self.seen.setdefault(dict(record.headers)["ce_causationid"], now)
        reader.close()


class Load:
    """One worker under load."""

    def __init__(self, broker: Broker, folder: Path, kind: Kind, debtors: int, seed: int) -> None:
        self._broker = broker
        self._book = Ledger(PARTITIONS)
        self._names = [f"D-{number}" for number in range(debtors)]
        self._rng = random.Random(seed)
        self._worker = Worker(broker.bootstrap, folder, kind)
        self._scores = Scores(broker.bootstrap)
        self._log = KafkaLog(broker.bootstrap)
        self._versions = 1
        self._sent_at: dict[bytes, float] = {}

    def run(self, seconds: float) -> Iterator[Phase]:
        """The ramp, then base load, peak, base load again. Raises AssertionError if the worker does not bear it."""
        self._broker.fresh_topics(PARTITIONS)
        for name in self._names:
            for number in range(INVOICES_EACH):
                self._book.invoice(name, f"{name}-{number}", START, backfill=True)
        self._broker.send(self._book.records)
        self._worker.start()
        self._worker.until_applied(self._book.ends)
        self._scores.start()
        try:
            for rate in RAMP:
                yield self._phase(f"ramp {rate}/s", rate, seconds)
                self._drained()
            yield self._phase(f"base {BASE}/s", BASE, seconds)
            yield self._phase(f"peak {PEAK}/s, hot, tick", PEAK, seconds, hot=HOT_SHARE, tick=True)
            yield self._phase(f"base {BASE}/s, catching up", BASE, seconds)
            self._drained()
            yield self._phase(f"base {BASE}/s again", BASE, seconds)
            self._drained()
            log = self._worker.log.read_text()
            assert log.count("scoring.state_recovered") == 1, "the worker was put out of its group"
            assert self._worker.stop() == 0, self._worker.last_words()
        finally:
            self._scores.stop()
            if not self._worker.ended():
                self._worker.kill()

    def _phase(self, name: str, rate: int, seconds: float, hot: float = 0.0, tick: bool = False) -> Phase:
        events = [self._revised(hot) for _ in range(int(rate * seconds))]
        producer = self._log.producer("load")
        began, sent = time.monotonic(), 0
        while sent < len(events):
            due = min(len(events), int((time.monotonic() - began) * rate) + 1)
            for event in events[sent:due]:
                self._sent_at[_id(event)] = time.monotonic()
                producer.send(event.topic, event.key, event.value, event.headers, event.partition)
            if tick and sent < len(events) // 2 <= due:
                self._tick(producer)
            sent = due
            time.sleep(_PACE_SECONDS)
        took = time.monotonic() - began
        waiting = [event for event in events if _id(event) not in self._scores.seen]
        producer.close()
        eventually(lambda: all(_id(event) in self._scores.seen for event in events), 300)
        delays = sorted(self._scores.seen[_id(event)] - self._sent_at[_id(event)] for event in events)
        process = psutil.Process(self._worker.pid)
        memory = process.memory_info().rss / 1e6
        p50, p99 = (1000 * delays[int(len(delays) * share)] for share in (0.5, 0.99))
        return Phase(name, sent, took, p50, p99, len(waiting), memory)

    def _tick(self, producer: Producer) -> None:
        for event in self._book.tick(_DAY, slices=4):
            producer.send(event.topic, event.key, event.value, event.headers, event.partition)

    def _revised(self, hot: float) -> Record:
        self._versions += 1
        name = self._names[0] if self._rng.random() < hot else self._rng.choice(self._names)
        number = f"{name}-{self._rng.randrange(INVOICES_EACH)}"
        message = ledger.InvoiceRevised(
            invoice_id=number,
            debtor_id=name,
            number=number,
            document_type="380",
            issue_date=START.isoformat(),
            due_date=(START + timedelta(days=30)).isoformat(),
            total=money_pb2.Money(amount_minor=self._rng.randrange(1_000, 200_000), currency="EUR"),
        )
        return self._book.fact(name, message, _DAY - timedelta(days=1), version=str(self._versions))

    def _drained(self) -> None:
        self._worker.until_applied(self._book.ends, 300)


def _id(event: Record) -> bytes:
    return dict(event.headers)["ce_id"]

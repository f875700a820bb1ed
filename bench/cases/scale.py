"""A large tenant on one worker: memory, recovery, warm restart, ticks over everybody, facts meanwhile.

Every debtor's state lies in the changelog before the worker starts, so the first thing it does is a recovery. The model
is a Booster of 300 trees of depth 6. The worker has one core, the broker and the bench the other.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import kafka
from duly_cli.ports import Ports
from duly_cli.stack.topics import ensure_topics
from duly_contracts.keys import partition_of
from duly_contracts.model_control import MODEL_NAME
from duly_contracts.topics import topics
from duly_localstack.jars import ensure_jars
from duly_runtime.log import Record
from duly_simulator.edge import wait
from duly_training.artefact import write_artefact
from duly_training.control_topic import ControlTopic
from duly_training.fit import FitSettings
from duly_training.folding import timeline_of
from duly_training.history import read_history
from duly_training.origin import fit_before
from duly_training.promotion import promotion_event
from duly_training.registry import RegisteredModel
from scoring.application.outputs import SCORE_UPDATED

from bench.books import LargeTenant
from bench.company import CONTACT_TIME as AT
from bench.company import LEDGER_TOPIC, TODAY, instant_of, simulated, tick_records
from bench.figures import Measure, Result, latencies
from bench.peers.broker import PinnedKafka, Topics
from bench.peers.run import pinned
from bench.scoring_worker import ScoringWorker
from bench.stage import TENANT, Bench, BenchFailed
from bench.topics import write
from duly.risk.v1 import events_pb2 as risk

DEBTORS_VARIABLE = "DULY_BENCH_DEBTORS"
OPEN_VARIABLE = "DULY_BENCH_OPEN_INVOICES"
OPEN_INVOICES, CLOSED_INVOICES = 10, 20
FACTS_PER_SECOND = 50
# As ledger-sync cuts and paces a tick.
DEBTORS_PER_SLICE, SLICE_PAUSE_SECONDS = 100, 0.1
PACED_TICKS = 1
CHANGELOG, SCORES = "scoring-debtors-changelog", "risk-scores"
_WITHIN_SECONDS = 900.0
_WRITTEN_AT_ONCE = 5_000
_FACTS_MAX = 1_000_000
_BACKLOG_FACTS = 20_000
_TREES_A_ROUND, _ROUNDS = 4, 75
_FIT_DEBTORS, _FIT_FROM = 40, date(2025, 6, 1)


Place = tuple[int, int]  # partition, offset


@dataclass(slots=True)
class Figures:
    """One value a time something was measured."""

    values: dict[str, list[float]] = field(default_factory=dict)
    units: dict[str, str] = field(default_factory=dict)

    def add(self, name: str, unit: str, value: float) -> None:
        self.values.setdefault(name, []).append(value)
        self.units[name] = unit

    def measures(self) -> dict[str, Measure]:
        return {name: Measure(self.units[name], tuple(values)) for name, values in self.values.items()}


def run(bench: Bench) -> Result:
    """Recovery with both stores; restart and ticks with RocksDB. Then a backlog of facts.

    DULY_BENCH_DEBTORS, DULY_BENCH_OPEN_INVOICES: how many debtors, and open invoices of each.
    """
    debtors = int(os.environ.get(DEBTORS_VARIABLE, 0)) or bench.size(20_000, 500)
    open_invoices = int(os.environ.get(OPEN_VARIABLE, OPEN_INVOICES))
    tenant = LargeTenant(TENANT, debtors, open_invoices, CLOSED_INVOICES, topics()[LEDGER_TOPIC].partitions)
    figures = Figures()
    folder = bench.folder / "scale"
    with _broker(bench, folder) as broker:
        worker = ScoringWorker(
            folder, broker.bootstrap_servers, Ports(bench.base_port).of("scoring", "admin"), bench.clock
        )
        trees = _promoted(broker.bootstrap_servers, worker.data / "models", bench)
        blob_bytes = _fill(broker.bootstrap_servers, tenant)
        try:
            reader = Topics(broker.bootstrap_servers)
            _recoveries(worker, reader, tenant, figures)
            waits = _ticks(worker, reader, tenant, bench, figures)
            _backlog(worker, reader, tenant, bench, figures)
            reader.close()
        finally:
            worker.stop()
    conditions = {
        "debtors": debtors,
        "open_invoices": open_invoices,
        "closed_invoices": CLOSED_INVOICES,
        "blob_bytes": round(blob_bytes),
        "trees": trees,
        "facts_per_second_during_a_tick": FACTS_PER_SECOND,
        "debtors_per_slice": DEBTORS_PER_SLICE,
        "pause_between_slices": f"{SLICE_PAUSE_SECONDS} s where paced",
        "cores": "worker one, broker and bench the other",
    }
    return Result({**figures.measures(), "fact_to_score": latencies(waits)}, conditions, ("kafka", "scoring"))


@contextmanager
def _broker(bench: Bench, folder: Path) -> Iterator[PinnedKafka]:
    """Up on its core with all topics, this process beside it."""
    folder.mkdir(parents=True)
    jars, ports = bench.kept / "jars", Ports(bench.base_port)
    ensure_jars(jars)
    broker = PinnedKafka(
        jars, folder / "kafka", folder / "kafka.log", ports.of("kafka", "clients"), ports.of("kafka", "controller")
    )
    with broker, pinned(PinnedKafka.core):
        ensure_topics(broker.bootstrap_servers)
        yield broker


def _promoted(bootstrap_servers: str, models: Path, bench: Bench) -> int:
    """A model in the worker's folder, promoted for every date; its number of trees. No registry is asked for it."""
    rounds = bench.size(_ROUNDS, 5)
    settings = FitSettings(rounds_min=rounds, rounds_max=rounds, parallel_trees=_TREES_A_ROUND)
    ledger = simulated(TENANT, _FIT_DEBTORS, _FIT_FROM)
    timeline = timeline_of(read_history(ledger, ledger.until))
    fitted = fit_before(timeline, timeline.cut_day, settings, seed=1)
    made = models / "made"
    made.mkdir(parents=True)
    hashes = write_artefact(made, fitted)
    made.rename(models / f"v1-{hashes.model[:16]}")
    model = RegisteredModel(MODEL_NAME, "1", hashes.model, hashes.schema, hashes.golden, "bench")
    ControlTopic(bootstrap_servers).publish(
        promotion_event(model, None, "bench", "measured"), TENANT, None, bench.clock.now()
    )
    return rounds * _TREES_A_ROUND


def _fill(bootstrap_servers: str, tenant: LargeTenant) -> float:
    """Every state into the changelog, and a record before all others into the source; mean bytes of a blob."""
    write(bootstrap_servers, tenant.first_records())
    batch: list[Record] = []
    total = 0
    for partition, key, blob in tenant.blobs():
        total += len(blob)
        batch.append(Record(CHANGELOG, partition, -1, key, blob, ()))
        if len(batch) == _WRITTEN_AT_ONCE:
            write(bootstrap_servers, batch)
            batch = []
    write(bootstrap_servers, batch)
    return total / tenant.debtors


def _recoveries(worker: ScoringWorker, reader: Topics, tenant: LargeTenant, figures: Figures) -> None:
    """From an empty disk with each store, then once more with RocksDB's copy."""
    for store in ("memory", "rocksdb"):
        worker.forget_state()
        figures.add(f"{store}_empty_disk_to_ready", "s", worker.start(store, _WITHIN_SECONDS))
        recovered = worker.seconds_between("scoring.worker_started", "scoring.state_recovered")
        figures.add(f"{store}_recovery", "1/s", tenant.debtors / recovered)
        _note_memory(worker, figures, f"{store}_recovery")
        _until_done(worker, reader)
        worker.stop()
    figures.add("warm_restart_to_ready", "s", worker.start("rocksdb", _WITHIN_SECONDS))
    _note_memory(worker, figures, "warm_restart")


def _ticks(worker: ScoringWorker, reader: Topics, tenant: LargeTenant, bench: Bench, figures: Figures) -> list[float]:
    """A day's tick all at once, then paced ones with facts meanwhile; seconds from append to append for each fact."""
    days: list[tuple[str, list[Place], list[Place]]] = []
    slices = max(1, round(tenant.debtors / tenant.partitions / DEBTORS_PER_SLICE))
    for number in range(1 + PACED_TICKS):
        name, paced = ("tick_paced", True) if number else ("tick_at_once", False)
        day = TODAY + timedelta(days=1 + number)
        ticks = tick_records(tenant.tenant, instant_of(day, AT), backfill=False, slices=slices)
        facts = tenant.live(number * _FACTS_MAX, int(len(ticks) * SLICE_PAUSE_SECONDS * FACTS_PER_SECOND), day)
        _until_done(worker, reader)
        worker.forget_peak()
        before = worker.cpu_seconds()
        sent = _sent(worker.bootstrap_servers, ticks, facts if paced else [], bench, paced)
        _until_done(worker, reader)
        days.append((name, *sent))
        _note_memory(worker, figures, name)
        figures.add(f"{name}_cpu_per_debtor", "us", (worker.cpu_seconds() - before) / tenant.debtors * 1e6)
    scored = _scored(reader)
    appended = {(event.partition, event.offset): event.at for event in reader.read(LEDGER_TOPIC)}
    for name, places, _ in days:
        found = sum(len(scored.get(place, ())) for place in places)
        if found != tenant.debtors:
            raise BenchFailed(f"a tick over {tenant.debtors} debtors gave {found} scores")
        last = max(max(scored[place]) for place in places if place in scored)
        figures.add(name, "s", (last - min(appended[place] for place in places)) / 1000)
    return [(scored[place][0] - appended[place]) / 1000 for _, _, places in days for place in places]


def _backlog(worker: ScoringWorker, reader: Topics, tenant: LargeTenant, bench: Bench, figures: Figures) -> None:
    """Facts that lie in the topic when the worker starts, each of a debtor of its own as long as there are any."""
    facts = tenant.live(2 * _FACTS_MAX, bench.size(_BACKLOG_FACTS, 200), TODAY + timedelta(days=1 + PACED_TICKS))
    worker.stop()
    _sent(worker.bootstrap_servers, [], facts, bench, paced=False)
    worker.start("rocksdb", _WITHIN_SECONDS)
    done, cpu, began = _done(worker), worker.cpu_seconds(), bench.clock.monotonic()
    _until_done(worker, reader)
    left = _done(worker) - done
    figures.add("backlog", "1/s", left / (bench.clock.monotonic() - began))
    figures.add("backlog_cpu_per_fact", "us", (worker.cpu_seconds() - cpu) / left * 1e6)


def _sent(
    bootstrap_servers: str, ticks: Sequence[Record], facts: Sequence[Record], bench: Bench, paced: bool
) -> tuple[list[Place], list[Place]]:
    """Where slices and facts lie. paced: slices as ledger-sync sends them, facts at a steady rate; else all at once."""
    pause = SLICE_PAUSE_SECONDS if paced else 0.0
    plan = [(number * pause, 0, record) for number, record in enumerate(ticks)]
    plan += [(number / FACTS_PER_SECOND * paced, 1, record) for number, record in enumerate(facts)]
    producer = kafka.KafkaProducer(bootstrap_servers=bootstrap_servers, acks=1, linger_ms=0)
    sent: tuple[list[Any], list[Any]] = ([], [])
    began = bench.clock.monotonic()
    try:
        for at, kind, one in sorted(plan, key=lambda planned: planned[:2]):
            early = began + at - bench.clock.monotonic()
            if early > 0:
                wait(early)
            headers = list(one.headers)
            sent[kind].append(
                producer.send(one.topic, key=one.key, value=one.value, headers=headers, partition=one.partition)
            )
        producer.flush()
        slices, events = ([future.get(60) for future in futures] for futures in sent)
    finally:
        producer.close()
    return [(one.partition, one.offset) for one in slices], [(one.partition, one.offset) for one in events]


def _until_done(worker: ScoringWorker, reader: Topics) -> None:
    worker.until(lambda: _done(worker) >= reader.total(LEDGER_TOPIC), "all records are done", _WITHIN_SECONDS)


def _done(worker: ScoringWorker) -> int:
    """Records of the source that the worker has finished."""
    positions = worker.status()["positions"].get(LEDGER_TOPIC, {})
    return sum(int(at) for at in positions.values())


def _scored(reader: Topics) -> dict[Place, list[int]]:
    """Place of a cause -> when its scores were appended, in milliseconds."""
    partitions = topics()[LEDGER_TOPIC].partitions
    found: dict[Place, list[int]] = {}
    for stored in reader.read(SCORES):
        if dict(stored.headers)["ce_type"].decode() == SCORE_UPDATED.type:
            offset = risk.RiskScoreUpdated.FromString(stored.value).ledger_version
            found.setdefault((partition_of(stored.key, partitions), offset), []).append(stored.at)
    return found


def _note_memory(worker: ScoringWorker, figures: Figures, phase: str) -> None:
    peak, now = worker.memory_mib()
    figures.add(f"{phase}_peak_memory", "MiB", peak)
    figures.add(f"{phase}_memory", "MiB", now)

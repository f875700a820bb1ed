"""A large tenant on one worker: memory, recovery, warm restart, ticks over everybody, facts meanwhile.

Every debtor's state lies in the changelog before the worker starts, so the first thing it does is a recovery. The model
is a Booster of 300 trees of depth 6. The worker has one core, the broker and the bench the other.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import kafka
from duly_cli.ports import Ports
from duly_contracts.keys import partition_of
from duly_contracts.topics import topics
from duly_runtime.log import Record
from duly_simulator.edge import wait
from ledger_sync.application.advance_business_date import slices_of
from ledger_sync.config import Settings
from scoring.application.outputs import SCORE_UPDATED

from bench.books import LargeTenant
from bench.company import CONTACT_TIME as AT
from bench.company import LEDGER_TOPIC, TODAY, instant_of, tick_records
from bench.figures import Figures, Result, latencies
from bench.one_worker import SCORES, WITHIN_SECONDS, broker_on_its_core, done, fill, promoted, until_done
from bench.peers.broker import Topics
from bench.scoring_worker import ScoringWorker
from bench.stage import TENANT, Bench, BenchFailed
from duly.risk.v1 import events_pb2 as risk

DEBTORS_VARIABLE = "DULY_BENCH_DEBTORS"
OPEN_VARIABLE = "DULY_BENCH_OPEN_INVOICES"
OPEN_INVOICES, CLOSED_INVOICES = 10, 20
FACTS_PER_SECOND = 50
# As ledger-sync cuts and paces a tick.
DEBTORS_PER_SLICE = Settings.model_fields["debtors_per_slice"].default
SLICE_PAUSE_SECONDS = Settings.model_fields["slice_pause_seconds"].default
PACED_TICKS = 1
_FACTS_MAX = 1_000_000
_BACKLOG_FACTS = 20_000


Place = tuple[int, int]  # partition, offset


def run(bench: Bench) -> Result:
    """Recovery with both stores; restart and ticks with RocksDB. Then a backlog of facts.

    DULY_BENCH_DEBTORS, DULY_BENCH_OPEN_INVOICES: how many debtors, and open invoices of each.
    """
    debtors = int(os.environ.get(DEBTORS_VARIABLE, 0)) or bench.size(20_000, 500)
    open_invoices = int(os.environ.get(OPEN_VARIABLE, OPEN_INVOICES))
    tenant = LargeTenant(TENANT, debtors, open_invoices, CLOSED_INVOICES, topics()[LEDGER_TOPIC].partitions)
    figures = Figures()
    folder = bench.folder / "scale"
    with broker_on_its_core(bench, folder) as broker:
        worker = ScoringWorker(
            folder, broker.bootstrap_servers, Ports(bench.base_port).of("scoring", "admin"), bench.clock
        )
        trees = promoted(broker.bootstrap_servers, worker.data / "models", bench)
        blob_bytes = fill(broker.bootstrap_servers, tenant)
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


def _recoveries(worker: ScoringWorker, reader: Topics, tenant: LargeTenant, figures: Figures) -> None:
    """From an empty disk with each store, then once more with RocksDB's copy."""
    for store in ("memory", "rocksdb"):
        worker.forget_state()
        figures.add(f"{store}_empty_disk_to_ready", "s", worker.start(store, WITHIN_SECONDS))
        recovered = worker.seconds_between("scoring.worker_started", "scoring.state_recovered")
        figures.add(f"{store}_recovery", "1/s", tenant.debtors / recovered)
        _note_memory(worker, figures, f"{store}_recovery")
        until_done(worker, reader)
        worker.stop()
    figures.add("warm_restart_to_ready", "s", worker.start("rocksdb", WITHIN_SECONDS))
    _note_memory(worker, figures, "warm_restart")


def _ticks(worker: ScoringWorker, reader: Topics, tenant: LargeTenant, bench: Bench, figures: Figures) -> list[float]:
    """A day's tick all at once, then paced ones with facts meanwhile; seconds from append to append for each fact."""
    days: list[tuple[str, list[Place], list[Place]]] = []
    slices = slices_of(tenant.debtors, tenant.partitions, DEBTORS_PER_SLICE)
    for number in range(1 + PACED_TICKS):
        name, paced = ("tick_paced", True) if number else ("tick_at_once", False)
        day = TODAY + timedelta(days=1 + number)
        ticks = tick_records(tenant.tenant, instant_of(day, AT), backfill=False, slices=slices)
        facts = tenant.live(number * _FACTS_MAX, int(len(ticks) * SLICE_PAUSE_SECONDS * FACTS_PER_SECOND), day)
        until_done(worker, reader)
        worker.forget_peak()
        before = worker.cpu_seconds()
        sent = _sent(worker.bootstrap_servers, ticks, facts if paced else [], bench, paced)
        until_done(worker, reader)
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
    worker.start("rocksdb", WITHIN_SECONDS)
    before, cpu, began = done(worker), worker.cpu_seconds(), bench.clock.monotonic()
    until_done(worker, reader)
    left = done(worker) - before
    if left:  # a few may be done before the first look
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

"""One scoring worker on a core of its own, a broker on the other, and debtors whose states lie in the changelog."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path

from duly_cli.ports import Ports
from duly_cli.stack.topics import ensure_topics
from duly_contracts.model_control import MODEL_NAME
from duly_localstack.jars import ensure_jars
from duly_runtime.log import Record
from duly_training.artefact import write_artefact
from duly_training.control_topic import ControlTopic
from duly_training.fit import FitSettings
from duly_training.folding import timeline_of
from duly_training.history import read_history
from duly_training.origin import fit_before
from duly_training.promotion import promotion_event
from duly_training.registry import RegisteredModel

from bench.books import LargeTenant
from bench.company import LEDGER_TOPIC, simulated
from bench.peers.broker import PinnedKafka, Topics
from bench.peers.run import pinned
from bench.scoring_worker import ScoringWorker
from bench.stage import TENANT, Bench
from bench.topics import write

CHANGELOG, SCORES = "scoring-debtors-changelog", "risk-scores"
WITHIN_SECONDS = 900.0
_WRITTEN_AT_ONCE = 5_000
_TREES_A_ROUND, _ROUNDS = 4, 75
_FIT_DEBTORS, _FIT_FROM = 40, date(2025, 6, 1)


@contextmanager
def broker_on_its_core(bench: Bench, folder: Path) -> Iterator[PinnedKafka]:
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


def promoted(bootstrap_servers: str, models: Path, bench: Bench) -> int:
    """A model in the worker's folder, promoted for every date; its number of trees. No registry is asked for it."""
    rounds = bench.size(_ROUNDS, 5)
    settings = FitSettings(1, rounds_min=rounds, rounds_max=rounds, parallel_trees=_TREES_A_ROUND)
    ledger = simulated(TENANT, _FIT_DEBTORS, _FIT_FROM)
    timeline = timeline_of(read_history(ledger, ledger.until))
    fitted = fit_before(timeline, timeline.cut_day, settings)
    made = models / "made"
    made.mkdir(parents=True)
    hashes = write_artefact(made, fitted)
    made.rename(models / f"v1-{hashes.model[:16]}")
    model = RegisteredModel(MODEL_NAME, "1", hashes.model, hashes.schema, hashes.golden, "bench")
    ControlTopic(bootstrap_servers).publish(
        promotion_event(model, None, "bench", "measured"), TENANT, None, bench.clock.now()
    )
    return rounds * _TREES_A_ROUND


def fill(bootstrap_servers: str, tenant: LargeTenant) -> float:
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


def until_done(worker: ScoringWorker, reader: Topics) -> None:
    worker.until(lambda: done(worker) >= reader.total(LEDGER_TOPIC), "all records are done", WITHIN_SECONDS)


def done(worker: ScoringWorker) -> int:
    """Records of the source that the worker has finished."""
    positions = worker.status()["positions"].get(LEDGER_TOPIC, {})
    return sum(int(at) for at in positions.values())

"""Events per second through one scoring worker, with the rules score and with a trained model; and the pure fold."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Sequence
from datetime import date
from itertools import pairwise

from duly_contracts.topics import topics
from duly_ledger_export import Ledger
from duly_risk.fallback import RulesModel
from duly_risk.model import HazardModel
from duly_runtime.clock import Clock
from duly_runtime.log import Record
from duly_simulator.observe import HttpStatusReader
from duly_simulator.parameters import SimulationSettings
from duly_training.control_topic import ControlTopic
from duly_training.fit import FitSettings
from duly_training.promotion import promotion_event
from duly_training.registry import Registry
from duly_training.request import TrainingRequest
from duly_training.train import train_on
from scoring.adapters.memory import OneModel
from scoring.application.pure_fold import pure_fold

from bench.company import LEDGER_TOPIC, ledger_records, simulated
from bench.figures import Measure, Result, cpu_per, rates
from bench.stage import TENANT, Bench, BenchFailed, Stage, stage
from bench.topics import write

SEED = 1
SEGMENTS = 8
WARM_UP_SHARE = 0.1
_WITHIN_SECONDS = 240.0
_HISTORY_FROM = date(2025, 6, 1)

Sample = tuple[float, int]


def run_rules(bench: Bench) -> Result:
    """The worker with the rules score: no registry answers."""
    records = _records(bench, _ledger(bench))
    with stage(bench, "scoring-rules", ("kafka",)) as on:
        measures = _through_worker(on, records)
        measures["pure_fold_events_per_second"] = _pure(on.clock, records, RulesModel(), bench.size(3, 1))
        return Result(measures, _conditions(records, "rules score"), on.running())


def run_model(bench: Bench) -> Result:
    """The worker with a model trained on the same company, registered in MLflow and promoted."""
    ledger = _ledger(bench)
    records = _records(bench, ledger)
    with stage(bench, "scoring-model", ("kafka", "mlflow")) as on:
        registry = Registry(on.stack.mlflow.tracking_uri, TENANT)
        before = on.clock.monotonic()
        report = train_on(ledger, registry, TrainingRequest(SimulationSettings().play_from, FitSettings(SEED)))
        trained = on.clock.monotonic() - before
        promotion = promotion_event(report.model, None, "bench", "measured")
        for tenant in _tenants(bench):
            ControlTopic(on.kafka).publish(promotion, tenant, None, on.clock.now())
        measures = _through_worker(on, records)
        _require_champion(on)
        model = registry.load(report.model)
        measures["pure_fold_events_per_second"] = _pure(on.clock, records, model, bench.size(3, 1))
        measures["training"] = Measure("s", (trained,))
        return Result(measures, _conditions(records, f"champion version {report.model.version}"), on.running())


def _require_champion(on: Stage) -> None:
    """What was measured was the model, and not the rules that score without one."""
    with urllib.request.urlopen(f"{on.stack.url('scoring', 'admin')}/status", timeout=5) as answer:
        scored_with = json.load(answer)["model"]
    if "CHAMPION" not in scored_with:
        raise BenchFailed(f"the worker scored with {scored_with or 'nothing'}, not with the champion")


def rates_of(samples: Sequence[Sample], total: int) -> list[float]:
    """Events per second over segments of equal count, the first tenth left out as warm-up.

    samples: (seconds, events done), rising. A segment ends with the first sample at or beyond its bound.
    """
    bounds = [total * (WARM_UP_SHARE + (1 - WARM_UP_SHARE) * step / SEGMENTS) for step in range(SEGMENTS + 1)]
    marks = [next(sample for sample in samples if sample[1] >= bound) for bound in bounds]
    return [(done - before) / (at - since) for (since, before), (at, done) in pairwise(marks) if at > since]


def _through_worker(on: Stage, records: Sequence[Record]) -> dict[str, Measure]:
    """All records lie in the topic before the worker starts: it works through a backlog, nobody else does anything."""
    total = write(on.kafka, records)
    on.start("scoring", env={} if "mlflow" in on.running() else {"MLFLOW_TRACKING_URI": ""})
    reader = HttpStatusReader({"scoring": on.stack.url("scoring", "admin")})
    samples: list[Sample] = []

    def is_done() -> bool:
        status = reader.read()["scoring"]
        positions = status.positions.get(LEDGER_TOPIC, {}) if status else {}
        samples.append((on.clock.monotonic(), sum(positions.values())))
        return samples[-1][1] >= total

    cpu_before = on.cpu_seconds("scoring")
    is_done()
    done_before = samples[-1][1]
    on.until(is_done, f"{total} events scored", _WITHIN_SECONDS, every_seconds=0.02)
    cpu = cpu_per(on.cpu_seconds("scoring") - cpu_before, total - done_before)
    reader.close()
    return {"events_per_second": rates(rates_of(samples, total)), "worker_cpu_per_event": cpu}


def _pure(clock: Clock, records: Sequence[Record], model: HazardModel, rounds: int) -> Measure:
    """`pure_fold` over one company, record by record: no Kafka, no batches, no table."""
    partitions = topics()[LEDGER_TOPIC].partitions
    mine = [record for record in records if record.key.startswith(f"{TENANT}-0|".encode())]
    values = []
    for _ in range(rounds):
        before = clock.monotonic()
        pure_fold(mine, OneModel(model), partitions)
        values.append(len(mine) / (clock.monotonic() - before))
    return rates(values)


def _ledger(bench: Bench) -> Ledger:
    return simulated(TENANT, bench.size(60, 25), _HISTORY_FROM)


def _records(bench: Bench, ledger: Ledger) -> list[Record]:
    """The company's history as live facts, of several tenants: each fact causes a score."""
    return ledger_records(ledger.facts(), _tenants(bench), backfill=False)


def _tenants(bench: Bench) -> list[str]:
    return [f"{TENANT}-{number}" for number in range(bench.size(5, 2))]


def _conditions(records: Sequence[Record], model: str) -> dict[str, object]:
    return {
        "events": len(records),
        "debtors": len({record.key for record in records}),
        "model": model,
        "kind": "live facts, each re-scores its debtor; a backlog of all events before the worker starts",
        "segments": f"{SEGMENTS} of equal count after the first {WARM_UP_SHARE:.0%}",
    }

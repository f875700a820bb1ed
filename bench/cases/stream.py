"""Live facts through one worker with a real model: events per second and CPU per event.

Every debtor's state lies in the changelog before the worker starts, and all facts in the source: it recovers, loads the
model, and works off a backlog. The worker has one core, the broker and the bench the other.
"""

from __future__ import annotations

from collections import Counter

from duly_cli.ports import Ports
from duly_contracts.topics import topics
from duly_simulator.edge import wait
from scoring.application.outputs import SCORE_UPDATED

from bench.books import LargeTenant
from bench.cases.scoring import SEGMENTS, WARM_UP_SHARE, rates_of
from bench.company import LEDGER_TOPIC, TODAY
from bench.figures import Measure, Result, cpu_per, rates
from bench.one_worker import SCORES, WITHIN_SECONDS, broker_on_its_core, done, fill, promoted
from bench.peers.broker import Topics
from bench.scoring_worker import ScoringWorker
from bench.stage import TENANT, Bench, BenchFailed
from bench.topics import write
from duly.risk.v1 import events_pb2 as risk

OPEN_INVOICES, CLOSED_INVOICES = 5, 20
DEBTORS, VISITS = 10_000, 60_000
STORE = "memory"  # as it ships
_SAMPLE_SECONDS = 0.25


def run(bench: Bench) -> Result:
    """Raises BenchFailed if a fact has no score, or one that anything but the model made."""
    partitions = topics()[LEDGER_TOPIC].partitions
    tenant = LargeTenant(TENANT, bench.size(DEBTORS, 300), OPEN_INVOICES, CLOSED_INVOICES, partitions)
    facts = tenant.traffic(bench.size(VISITS, 1_000), TODAY, seed=1)
    folder = bench.folder / "stream"
    with broker_on_its_core(bench, folder) as broker:
        servers = broker.bootstrap_servers
        worker = ScoringWorker(folder, servers, Ports(bench.base_port).of("scoring", "admin"), bench.clock)
        trees = promoted(servers, worker.data / "models", bench)
        fill(servers, tenant)
        write(servers, facts)
        reader = Topics(servers)
        try:
            worker.start(STORE, WITHIN_SECONDS)
            measures = _worked_off(worker, reader, bench, len(facts))
            _require_scores(reader, len(facts))
        finally:
            worker.stop()
            reader.close()
    conditions = {
        "events": len(facts),
        "debtors": tenant.debtors,
        "open_invoices": OPEN_INVOICES,
        "closed_invoices": CLOSED_INVOICES,
        "kind": "new invoices, and payments with their allocations, of debtors drawn at random; a backlog",
        "trees": trees,
        "store": STORE,
        "step": worker.step,
        "segments": f"{SEGMENTS} of equal count after the first {WARM_UP_SHARE:.0%}",
        "cores": "worker one, broker and bench the other",
    }
    return Result(measures, conditions, ("kafka", "scoring"))


def _worked_off(worker: ScoringWorker, reader: Topics, bench: Bench, events: int) -> dict[str, Measure]:
    first = reader.total(LEDGER_TOPIC) - events
    samples: list[tuple[float, int]] = []
    cpu: list[float] = []
    while not samples or samples[-1][1] < events:
        wait(_SAMPLE_SECONDS)
        samples.append((bench.clock.monotonic(), done(worker) - first))
        cpu.append(worker.cpu_seconds())
        if samples[-1][0] - samples[0][0] > WITHIN_SECONDS:
            raise BenchFailed(f"{samples[-1][1]} of {events} facts are done after {WITHIN_SECONDS:.0f} s")
    warm = next(index for index, (_, n) in enumerate(samples) if n >= WARM_UP_SHARE * events)
    return {
        "events_per_second": rates(rates_of(samples, events)),
        "worker_cpu_per_event": cpu_per(cpu[-1] - cpu[warm], events - samples[warm][1]),
    }


def _require_scores(reader: Topics, events: int) -> None:
    """One of the champion for each fact."""
    types = (stored for stored in reader.read(SCORES) if dict(stored.headers)["ce_type"].decode() == SCORE_UPDATED.type)
    roles = Counter(risk.RiskScoreUpdated.FromString(stored.value).role for stored in types)
    if roles != {risk.MODEL_ROLE_CHAMPION: events}:
        raise BenchFailed(f"{events} facts gave scores of these roles: {dict(roles)}")

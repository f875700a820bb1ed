"""Facts per second through ledger-sync: CloudEvents batches over HTTP in, `ledger-events` out."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date

from duly_ledger_export import DatedFact
from duly_simulator.erp import BATCH_EVENTS_MAX, HttpErp

from bench.company import LEDGER_TOPIC, simulated
from bench.figures import Measure, Result, rates
from bench.stage import TENANT, Bench, BenchFailed, Stage, stage
from bench.topics import Ends

SENDERS = 4
_WITHIN_SECONDS = 120.0
_SERVICE = "ledger-sync"


def run(bench: Bench) -> Result:
    """Rounds over different debtors; the first one warms up and is not counted."""
    rounds = bench.size(5, 3)
    ledger = simulated(TENANT, bench.size(150, 45), bench.size(date(2024, 12, 1), date(2025, 6, 1)))
    portions = _portions(list(ledger.facts()), rounds + 1)
    with stage(bench, "ledger-sync", ("kafka", "postgres")) as on:
        on.start(_SERVICE)
        erp, ends = on.erp(ledger.source), Ends(on.kafka, LEDGER_TOPIC)
        per_second, cpu = [], []
        for number, portion in enumerate(portions):
            before, cpu_before = on.clock.monotonic(), on.cpu_seconds(_SERVICE)
            _send(on, erp, ends, portion)
            facts, took = sum(map(len, portion)), on.clock.monotonic() - before
            if number:
                per_second.append(facts / took)
                cpu.append((on.cpu_seconds(_SERVICE) - cpu_before) / facts * 1e6)
        ends.close()
        return Result(
            {"facts_per_second": rates(per_second), "service_cpu_per_fact": Measure("us", tuple(cpu))},
            {
                "facts": sum(len(batch) for portion in portions[1:] for batch in portion),
                "deliveries": sum(len(portion) for portion in portions[1:]),
                "facts_per_delivery_max": max(len(batch) for portion in portions for batch in portion),
                "senders": SENDERS,
                "kind": "backfill, one delivery per debtor",
            },
            on.running(),
        )


def _send(on: Stage, erp: HttpErp, ends: Ends, portion: Sequence[Sequence[DatedFact]]) -> None:
    """Returns when the last fact of the portion is in `ledger-events`."""
    goal = ends.total() + sum(map(len, portion))
    with ThreadPoolExecutor(SENDERS, thread_name_prefix="erp") as pool:
        refused = [one for batch in pool.map(lambda batch: erp.send(batch, backfill=True), portion) for one in batch]
    if refused:
        raise BenchFailed(f"{len(refused)} facts were refused, the first: {refused[0].event} {refused[0].reason}")
    on.until(lambda: ends.total() >= goal, f"{goal} records in {LEDGER_TOPIC}", _WITHIN_SECONDS)


def _portions(facts: Sequence[DatedFact], count: int) -> list[list[list[DatedFact]]]:
    """Debtors dealt out to `count` portions; a portion holds one batch per debtor, in known order, <= 500 facts."""
    by_debtor: dict[str, list[DatedFact]] = {}
    for fact in facts:
        by_debtor.setdefault(fact.debtor_id, []).append(fact)
    batches = [by_debtor[debtor][:BATCH_EVENTS_MAX] for debtor in sorted(by_debtor)]
    return [batches[number::count] for number in range(count)]

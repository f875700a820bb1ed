"""The engine job on the shell that ships: what Kafka, state and shell cost, with a step that is a toy."""

from __future__ import annotations

from bench.figures import Measure, Result, rates
from bench.peers.engines import ENGINES
from bench.peers.ground import filled, ground
from bench.peers.run import throughput
from bench.stage import Bench, BenchFailed

SHIPPED = "duly-batch"


def run(bench: Bench) -> Result:
    """Rounds over one topic, each checked against the pure fold. Raises BenchFailed if anything differs."""
    events, keys = bench.size(200_000, 10_000), bench.size(10_000, 1_000)
    engine = next(engine for engine in ENGINES if engine.name == SHIPPED)
    folder = bench.folder / "engine"
    folder.mkdir(parents=True)
    with ground(folder, bench.kept, bench.base_port, bench.clock, bench.terminal.plain) as on:
        source = filled(on, "events", events, keys)
        rounds = [throughput(on, engine, life, source) for life in range(bench.size(5, 1))]
    if faults := [round_.check.fault for round_ in rounds if round_.check.fault]:
        raise BenchFailed(f"{SHIPPED} is wrong: {faults[0]}")
    measures = {
        "events_per_second": rates([round_.events_per_second for round_ in rounds]),
        "worker_cpu_per_event": Measure("us", tuple(round_.cpu_us for round_ in rounds)),
        "broker_busy": Measure("share of its core", tuple(round_.broker_busy for round_ in rounds)),
    }
    return Result(measures, {"events": events, "keys": keys, "engine": engine.title, "warm_up": "a tenth"}, ("kafka",))

"""`python -m bench.peers`: the engine job on every engine, round robin. Tables to stderr, JSON to stdout."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from duly_cli.errors import Interrupted
from duly_cli.folders import STATE_VARIABLE
from duly_cli.ports import BasePortInvalid, Ports
from duly_cli.signals import interruptible
from duly_contracts.envelope import format_instant
from duly_runtime.clock import SystemClock

from bench.machine import load_average, machine, versions
from bench.peers.engines import ENGINES, Engine
from bench.peers.ground import filled, ground, missing, peers_versions
from bench.peers.job import COMMIT_SECONDS, PARTITIONS
from bench.peers.latency import Pace, latency
from bench.peers.report import EngineResult, ratios, tables
from bench.peers.run import ROOT, Ground, Source, throughput
from bench.report import FAULTS

BASE_PORT = 22000
EXIT_FAULT, EXIT_INTERRUPTED = 1, 130
SLOW_SHARE = 0.1
_VERSIONS = ("aiokafka", "uvloop", "rocksdict")


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Raises SystemExit for a usage error."""
    names = [engine.name for engine in ENGINES]
    parser = argparse.ArgumentParser(prog="python -m bench.peers", description=__doc__)
    parser.add_argument("--only", action="append", choices=names, metavar="ENGINE", help=f"of {', '.join(names)}")
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="default 5; 0 = no throughput")
    parser.add_argument("--events", type=int, default=200_000, metavar="N", help="default 200000; slow engines a tenth")
    parser.add_argument("--keys", type=int, default=10_000, metavar="N", help="default 10000")
    parser.add_argument("--latency", action="store_true", help="also event to score at 200 and 1000 events/s")
    parser.add_argument("--latency-seconds", type=float, default=12.0, metavar="S", help="at each rate; default 12")
    parser.add_argument(
        "--nice",
        type=int,
        default=0,
        metavar="N",
        help="of the broker, and of a worker while it is measured; default 0",
    )
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the document there instead of to stdout")
    parser.add_argument("--base-port", type=int, default=BASE_PORT, metavar="PORT", help=f"default {BASE_PORT}")
    parser.add_argument("--keep", action="store_true", help="keep the temporary folder with all logs")
    options = parser.parse_args(arguments)
    if options.events < 1000 or options.keys < PARTITIONS or options.rounds < 0:
        parser.error("at least 1000 events, 12 keys, 0 rounds")
    try:
        Ports(options.base_port)
    except BasePortInvalid as error:
        parser.error(str(error))
    return options


class Run:
    """One run of the bench. loads: filled with the load average before each round."""

    def __init__(
        self, options: argparse.Namespace, on: Ground, found: Sequence[EngineResult], loads: list[list[float]]
    ) -> None:
        self._options = options
        self._on = on
        self._found = [each for each in found if not each.left_out]
        self._lives = 0
        self._loads = loads

    def measure(self) -> None:
        """Round robin: each engine has its turn before any has its next. What writes wrong has no more turns."""
        options = self._options
        sources = {
            slow: filled(self._on, f"events-{count}", count, options.keys)
            for slow, count in ((False, options.events), (True, int(options.events * SLOW_SHARE)))
            if options.rounds and any(each.engine.slow == slow for each in self._found)
        }
        for number in range(options.rounds):
            self._loads.append(load_average())
            for each in self._found:
                self._throughput(each, sources[each.engine.slow], number + 1)
        if options.latency:
            self._loads.append(load_average())
            for each in self._found:
                self._latency(each)

    def _throughput(self, found: EngineResult, source: Source, number: int) -> None:
        if found.faults:
            return
        try:
            round_ = throughput(self._on, found.engine, self._next_life(), source)
        except FAULTS as error:
            self._note_failure(found, error)
            return
        found.rounds[number] = round_
        if round_.check.fault:
            found.faults.append(round_.check.fault)
        rate = f"{round_.events_per_second:,.0f} events/s, {round_.cpu_us:.1f} us CPU, broker {round_.broker_busy:.0%}"
        tell(f"round {number}/{self._options.rounds} {found.engine.name}: {rate} {round_.check.fault}")

    def _latency(self, found: EngineResult) -> None:
        if found.faults:
            return
        seconds = self._options.latency_seconds
        paces = [Pace(rate, seconds, warm_up=min(2.0, seconds / 4)) for rate in (200, 1000)]
        try:
            waits = latency(self._on, found.engine, self._next_life(), self._options.keys, paces)
        except FAULTS as error:
            self._note_failure(found, error)
            return
        found.waits.append(waits)
        if waits.check.fault:
            found.faults.append(waits.check.fault)
        tell(f"latency {found.engine.name} {waits.check.fault}")

    def _note_failure(self, found: EngineResult, error: BaseException) -> None:
        found.failures.append(str(error))
        tell(f"{found.engine.name} FAILED: {error}")

    def _next_life(self) -> int:
        self._lives += 1
        return self._lives


def run(options: argparse.Namespace) -> int:
    """Exit code. What was measured before an interruption is told as well; all logs are kept if an engine failed."""
    clock, state = SystemClock(), Path(os.environ.get(STATE_VARIABLE, ".duly")).absolute()
    chosen = [engine for engine in ENGINES if not options.only or engine.name in options.only]
    found = [EngineResult(engine, _events(engine, options), missing(engine, state)) for engine in chosen]
    folder = Path(tempfile.mkdtemp(prefix="duly-peers-"))
    began, loads, code = clock.now(), list[list[float]](), 0
    try:
        with ground(folder, state, options.base_port, clock, tell, options.nice) as on:
            Run(options, on, found, loads).measure()
    except Interrupted as signal:
        tell(f"\nbench: stopped by {signal}, nothing is left running.")
        code = EXIT_INTERRUPTED
    code = code or (EXIT_FAULT if any(each.faults or each.failures for each in found) else 0)
    if not options.keep and code != EXIT_FAULT:
        shutil.rmtree(folder, ignore_errors=True)
    document = document_of(options, state, format_instant(began.replace(microsecond=0)), loads, found)
    write_out(document, options.out)
    tell("\n" + summary(document, found))
    if folder.exists():
        tell(f"logs are kept in {folder}")
    return code


def document_of(
    options: argparse.Namespace, state: Path, began: str, loads: list[list[float]], found: Sequence[EngineResult]
) -> dict[str, Any]:
    """Everything, as it is printed."""
    return {
        "started_at": began,
        "machine": machine(),
        "versions": {**versions(ROOT), **{name: version(name) for name in _VERSIONS}},
        "versions_of_quix": dict(peers_versions(state)),
        "conditions": {
            "keys": options.keys,
            "partitions": PARTITIONS,
            "rounds": options.rounds,
            "nice": options.nice,
            "commit_seconds": COMMIT_SECONDS,
            "load_average_before_rounds": loads,
        },
        "engines": {each.engine.name: each.to_json() for each in found},
        "targets": ratios({each.engine.name: each for each in found}),
    }


def summary(document: Mapping[str, Any], found: Sequence[EngineResult]) -> str:
    """Versions, load and tables."""
    said = {**document["versions"], **{f"{name} (quix)": it for name, it in document["versions_of_quix"].items()}}
    loads = document["conditions"]["load_average_before_rounds"]
    return "\n".join(
        (
            ", ".join(f"{name} {it}" for name, it in said.items() if it),
            "load average before each round: " + "; ".join(" ".join(f"{it:.2f}" for it in load) for load in loads),
            "",
            tables(found, document["targets"]),
        )
    )


def write_out(document: dict[str, Any], out: Path | None) -> None:
    text = json.dumps(document, indent=1, ensure_ascii=False) + "\n"
    if out is None:
        sys.stdout.write(text)
    else:
        out.write_text(text, "utf-8")


def tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _events(engine: Engine, options: argparse.Namespace) -> int:
    return int(options.events * SLOW_SHARE) if engine.slow else options.events


def main() -> None:
    options = parse(sys.argv[1:])
    with interruptible():
        code = run(options)
    sys.exit(code)


if __name__ == "__main__":
    main()

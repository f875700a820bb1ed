"""`python -m duly_chaos`: simulated crashes, workers that come and go, then seeds of kills, on a broker of its own.

`--load` instead: figures under load (F18, F20). Exit 1 on any difference.
"""

from __future__ import annotations

import argparse
import logging
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import structlog
from duly_risk.fallback import RulesModel
from duly_testing import servers
from scoring.adapters.memory import OneModel

from duly_chaos.broker import Broker
from duly_chaos.campaign import PARTITIONS, run_seed
from duly_chaos.checker import Verdict, check, compare
from duly_chaos.joining import join_and_leave
from duly_chaos.ledger_log import play
from duly_chaos.load import Load
from duly_chaos.simulation import BATCH, TAKE, simulate
from duly_chaos.worker import Ended, Kind, Worker, choices, kinds

SIMULATED_EACH = 10  # per seed of the real thing
JOINS_EACH = 5  # seeds of the real thing per join


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m duly_chaos", description=__doc__)
    parser.add_argument("--seeds", type=int, default=100, help="how many, default 100")
    parser.add_argument("--first", type=int, default=1, help="the first of them, to repeat one that failed")
    for setting in ("shell", "store"):
        parser.add_argument(f"--{setting}", default="", choices=["", *choices(setting)], help="default: all in turn")
    parser.add_argument("--only-seeds", action="store_true", help="neither simulation nor joining workers")
    parser.add_argument("--load", action="store_true", help="figures under load instead (F18, F20)")
    parser.add_argument("--seconds", type=float, default=8.0, help="of each stretch of load")
    return parser.parse_args(arguments)


def main() -> int:
    options = parse(sys.argv[1:])
    logging.disable(logging.ERROR)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    chosen = [kind for kind in kinds() if options.shell in ("", kind.shell) and options.store in ("", kind.store)]
    broker = Broker(servers.kafka().address)
    try:
        if options.load:
            return _load(broker, chosen, options)
        report = Report()
        if not options.only_seeds:
            _simulated(report, [shell for shell in (TAKE, BATCH) if options.shell in ("", shell)], options)
            for shell in dict.fromkeys(kind.shell for kind in chosen):
                _joining(report, broker, next(kind for kind in chosen if kind.shell == shell), options)
        _seeds(report, broker, chosen, options)
        return report.end()
    finally:
        broker.close()


class Report:
    """Prints a line per result and remembers what failed."""

    def __init__(self) -> None:
        self._failed: list[str] = []
        self._held = 0

    def result(self, name: str, wrong: Sequence[str], said: str) -> None:
        if wrong:
            self._failed.append(name)
            text = "\n  ".join(wrong[:20])
            print(f"{name}: {len(wrong)} DIFFERENCES {said}\n  {text}", flush=True)
        else:
            self._held += 1
            print(f"{name}: {said}", flush=True)

    def end(self) -> int:
        print(f"{self._held} hold, {len(self._failed)} do not{': ' if self._failed else ''}{', '.join(self._failed)}")
        return 1 if self._failed else 0


def _simulated(report: Report, shells: Sequence[str], options: argparse.Namespace) -> None:
    count, model, began = options.seeds * SIMULATED_EACH, OneModel(RulesModel()), time.monotonic()
    wrong: list[str] = []
    lives = records = 0
    for seed in range(options.first, options.first + count):
        rng = random.Random(seed)
        book = play(seed, rng.randrange(2, 6), rng.randrange(5, 9), live_days=5, partitions=rng.randrange(1, 4))
        dies_at = [rng.randrange(1, 400) for _ in range(rng.randrange(1, 5))]
        shell = shells[seed % len(shells)]
        simulated = simulate(seed, shell, book, model, dies_at)
        verdict = compare(book, model, simulated.disk.topic, simulated.disk.committed)
        wrong += [f"seed {seed} {shell}: {one}" for one in verdict.wrong]
        lives, records = lives + simulated.lives, records + verdict.records
    said = f"{count} seeds, {lives} lives, {records} records, {time.monotonic() - began:.0f} s"
    report.result("F17 simulation", wrong, said)


def _joining(report: Report, broker: Broker, kind: Kind, options: argparse.Namespace) -> None:
    times, began = max(1, options.seeds // JOINS_EACH), time.monotonic()
    days = 20 + 5 * times
    book = play(
        options.first, 120, days, live_days=days - 10, partitions=PARTITIONS, poison_every_days=max(5, days // 12)
    )
    broker.fresh_topics(PARTITIONS)
    name = f"F4 {kind}, {times} joins"
    with tempfile.TemporaryDirectory(prefix="duly-chaos-") as folder, _workers(broker, Path(folder), kind) as make:
        try:
            join_and_leave(broker, book, make, times, options.first, lambda text: print(f"  {text}", flush=True))
        except (AssertionError, Ended) as error:
            report.result(name, [str(error)], "")
            return
    report.result(
        name, (verdict := check(broker, book, OneModel(RulesModel()))).wrong, f"{_said(verdict)}, {_took(began)}"
    )


@contextmanager
def _workers(broker: Broker, folder: Path, kind: Kind) -> Iterator[Callable[[str], Worker]]:
    made: list[Worker] = []

    def make(instance_id: str) -> Worker:
        made.append(Worker(broker.bootstrap, folder, kind, instance_id))
        return made[-1]

    try:
        yield make
    finally:
        for worker in made:
            if not worker.ended():
                worker.kill()


def _seeds(report: Report, broker: Broker, chosen: Sequence[Kind], options: argparse.Namespace) -> None:
    ends: Counter[str] = Counter()
    for seed in range(options.first, options.first + options.seeds):
        kind, began = chosen[seed % len(chosen)], time.monotonic()
        with tempfile.TemporaryDirectory(prefix="duly-chaos-") as folder:
            try:
                run = run_seed(seed, broker, Path(folder), kind)
            except (AssertionError, Ended) as error:
                report.result(f"seed {seed} {kind}", [str(error)], "")
                continue
        assert run.verdict is not None
        ends.update(run.ends)
        said = f"{_said(run.verdict)}; {', '.join(run.ends.elements())}; {_took(began)}"
        report.result(f"seed {seed} {kind}", run.verdict.wrong, said)
    print(f"lives ended: {dict(sorted(ends.items()))}")


def _load(broker: Broker, chosen: Sequence[Kind], options: argparse.Namespace) -> int:
    for kind in chosen:
        print(f"{kind}, rules model, 2,000 debtors with 5 open invoices, {options.seconds:.0f} s each", flush=True)
        with tempfile.TemporaryDirectory(prefix="duly-load-") as folder:
            for phase in Load(broker, Path(folder), kind, 2_000, options.first).run(options.seconds):
                print(f"  {phase}", flush=True)
    return 0


def _said(verdict: Verdict) -> str:
    return (
        f"{verdict.records} records, {verdict.debtors} debtors, {verdict.outputs} outputs, {verdict.repeated} repeated"
    )


def _took(began: float) -> str:
    return f"{time.monotonic() - began:.1f} s"


if __name__ == "__main__":
    sys.exit(main())

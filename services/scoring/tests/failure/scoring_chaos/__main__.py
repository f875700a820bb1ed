"""`python -m scoring_chaos --seeds 100`: seeds against one broker of its own. Exit 1 on any difference."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from duly_testing import servers

from scoring_chaos.broker import Broker
from scoring_chaos.campaign import run_seed
from scoring_chaos.worker import Kind, choices, kinds


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m scoring_chaos", description=__doc__)
    parser.add_argument("--seeds", type=int, default=100, help="how many, default 100")
    parser.add_argument("--first", type=int, default=1, help="the first of them, to repeat one that failed")
    for setting in ("shell", "store"):
        parser.add_argument(
            f"--{setting}", default="", help=f"one of {', '.join(choices(setting))}; default: all in turn"
        )
    options = parser.parse_args(arguments)
    for setting in ("shell", "store"):
        chosen = getattr(options, setting)
        if chosen and chosen not in choices(setting):
            parser.error(f"--{setting} {chosen}: there is {', '.join(map(repr, choices(setting)))}")
    return options


def main() -> int:
    options = parse(sys.argv[1:])
    chosen = [kind for kind in kinds() if options.shell in ("", kind.shell) and options.store in ("", kind.store)]
    broker = Broker(servers.kafka().address)
    failed: list[int] = []
    ends: Counter[str] = Counter()
    began = time.monotonic()
    for number in range(options.seeds):
        seed = options.first + number
        with tempfile.TemporaryDirectory(prefix="duly-chaos-") as folder:
            print(_one(seed, broker, Path(folder), chosen[seed % len(chosen)], failed, ends), flush=True)
    broker.close()
    seconds = time.monotonic() - began
    print(
        f"{options.seeds - len(failed)} of {options.seeds} seeds hold, {seconds / options.seeds:.1f} s each; "
        f"lives ended: {dict(sorted(ends.items()))}"
    )
    if failed:
        print(f"failed: {' '.join(map(str, failed))}; repeat one: ... --seeds 1 --first {failed[0]}")
    return 1 if failed else 0


def _one(seed: int, broker: Broker, folder: Path, kind: Kind, failed: list[int], ends: Counter[str]) -> str:
    began = time.monotonic()
    try:
        run = run_seed(seed, broker, folder, kind)
    except AssertionError as error:
        failed.append(seed)
        return f"seed {seed} {kind}: {error}"
    ends.update(run.ends)
    verdict = run.verdict
    assert verdict is not None
    if verdict.wrong:
        failed.append(seed)
        return f"seed {seed} {kind}: {len(verdict.wrong)} differences, {list(run.ends)}\n  " + "\n  ".join(
            verdict.wrong[:20]
        )
    return (
        f"seed {seed} {kind}: {verdict.records} records, {verdict.debtors} debtors, {verdict.outputs} outputs, "
        f"{verdict.repeated} repeated; {', '.join(run.ends.elements())}; {time.monotonic() - began:.1f} s"
    )


if __name__ == "__main__":
    sys.exit(main())

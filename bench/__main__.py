"""`python -m bench`: run benches, print one JSON document. Progress goes to stderr."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from duly_cli.errors import Interrupted
from duly_cli.folders import STATE_VARIABLE
from duly_cli.ports import BasePortInvalid, Ports
from duly_cli.signals import interruptible
from duly_cli.terminal import Terminal
from duly_runtime.clock import SystemClock
from rich.console import Console

from bench.cases import curves, engine, gateway, latency, ledger_sync, policy, risk, risk_parts, scale, scoring, stream
from bench.figures import Result
from bench.machine import load_average, machine, versions
from bench.report import document, failed
from bench.stage import Bench

BASE_PORT = 21000
ROOT = Path(__file__).parent.parent
CASES: Mapping[str, Callable[[Bench], Result]] = {
    "policy": policy.run,
    "risk": risk.run,
    "risk_parts": risk_parts.run,
    "curves": curves.run,
    "ledger_sync": ledger_sync.run,
    "engine": engine.run,
    "scoring_rules": scoring.run_rules,
    "scoring_model": scoring.run_model,
    "stream": stream.run,
    "scale": scale.run,
    "gateway": gateway.run,
    "latency": latency.run,
}
EXIT_FAILED, EXIT_USAGE, EXIT_INTERRUPTED = 1, 2, 130


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Raises SystemExit for a usage error."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="BENCH", help=f"which to run, default all: {', '.join(CASES)}")
    parser.add_argument("--quick", action="store_true", help="small numbers: shows that it works, not how fast")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the document there instead of to stdout")
    parser.add_argument("--base-port", type=int, default=BASE_PORT, metavar="PORT", help=f"default {BASE_PORT}")
    parser.add_argument("--keep", action="store_true", help="keep the temporary state folder with all logs")
    options = parser.parse_args(arguments)
    unknown = [name for name in options.names if name not in CASES]
    if unknown:
        parser.error(f"no such bench: {', '.join(unknown)}; there are {', '.join(CASES)}")
    try:
        Ports(options.base_port)
    except BasePortInvalid as error:
        parser.error(str(error))
    return options


def run(options: argparse.Namespace) -> int:
    """Exit code: 1 if a bench failed; then its logs are kept."""
    terminal = Terminal(Console(stderr=True, highlight=False, soft_wrap=True))
    folder = Path(tempfile.mkdtemp(prefix="duly-bench-"))
    keep = options.keep
    try:
        result = measure(options, folder, terminal)
        keep = keep or bool(failed(result))
    finally:
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)
    text = json.dumps(result, indent=1, ensure_ascii=False) + "\n"
    if options.out is None:
        sys.stdout.write(text)
    else:
        options.out.write_text(text, "utf-8")
    if keep:
        terminal.plain(f"logs are kept in {folder}")
    return EXIT_FAILED if failed(result) else 0


def measure(options: argparse.Namespace, folder: Path, terminal: Terminal) -> dict[str, Any]:
    """The document of the chosen benches, in the order of the table."""
    clock, kept = SystemClock(), Path(os.environ.get(STATE_VARIABLE, ".duly")).absolute()
    bench = Bench(folder, kept, options.base_port, options.quick, clock, terminal)
    chosen = [name for name in CASES if not options.names or name in options.names]
    return document(
        machine(),
        versions(ROOT),
        {name: partial(CASES[name], bench) for name in chosen},
        quick=options.quick,
        clock=clock,
        load=load_average,
        tell=terminal.plain,
    )


def main() -> None:
    options = parse(sys.argv[1:])
    try:
        with interruptible():
            code = run(options)
    except Interrupted as signal:
        print(f"\nbench: stopped by {signal}, nothing is left running.", file=sys.stderr)
        code = EXIT_INTERRUPTED
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # threads of abandoned steps may still wait; everything that matters is stopped and written


if __name__ == "__main__":
    main()

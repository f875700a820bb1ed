"""The document: machine, versions, one entry per bench. A bench that failed says why, and the others go on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import httpx
from duly_cli.errors import CommandFailed, StackError
from duly_contracts.envelope import format_instant
from duly_runtime.clock import Clock
from duly_simulator.edge import EdgeRefused, EdgeUnavailable
from duly_simulator.settle import NotSettled
from grpc import RpcError
from kafka.errors import KafkaError

from bench.figures import Result
from bench.stage import BenchFailed

DOCUMENT_VERSION = 1
FAULTS = (
    BenchFailed,
    CommandFailed,
    StackError,
    NotSettled,
    EdgeRefused,
    EdgeUnavailable,
    RpcError,
    KafkaError,
    httpx.HTTPError,
    OSError,
)

Case = Callable[[], Result]


def run_all(
    cases: Mapping[str, Case], clock: Clock, load: Callable[[], list[float]], tell: Callable[[str], None]
) -> dict[str, Any]:
    """Name -> what came of it, in order. load: asked before each bench."""
    entries: dict[str, Any] = {}
    for number, (name, case) in enumerate(cases.items(), start=1):
        tell(f"bench {number}/{len(cases)}: {name}")
        load_before, began = load(), clock.monotonic()
        try:
            entry = case().to_json()
        except FAULTS as error:
            first_line = str(error).partition("\n")[0]
            entry = {"error": f"{type(error).__name__}: {first_line}"}
            tell(f"bench {number}/{len(cases)}: {name} FAILED: {error}")
        seconds = round(clock.monotonic() - began, 1)
        entries[name] = {"seconds": seconds, "load_average_before": load_before, **entry}
    return entries


def document(
    machine: Mapping[str, Any],
    versions: Mapping[str, str],
    cases: Mapping[str, Case],
    *,
    quick: bool,
    clock: Clock,
    load: Callable[[], list[float]],
    tell: Callable[[str], None],
) -> dict[str, Any]:
    """Everything, as it is printed. quick figures come from few and short rounds: they show that it works."""
    head = {
        "version": DOCUMENT_VERSION,
        "started_at": format_instant(clock.now().replace(microsecond=0)),
        "quick": quick,
        "machine": dict(machine),
        "versions": dict(versions),
    }
    began = clock.monotonic()
    entries = run_all(cases, clock, load, tell)
    return {**head, "seconds": round(clock.monotonic() - began, 1), "benches": entries}


def failed(document: Mapping[str, Any]) -> list[str]:
    """Names of the benches without figures."""
    return [name for name, entry in document["benches"].items() if "error" in entry]

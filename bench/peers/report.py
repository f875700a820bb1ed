"""The document of a run, and its tables. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from bench.figures import Measure, latencies, rates
from bench.peers.engines import Engine
from bench.peers.latency import Waits
from bench.peers.run import Round

_TOLD = 100  # characters of a failure in the table


@dataclass(frozen=True, slots=True)
class Target:
    """ours must do at least `factor` times what theirs does."""

    ours: str
    theirs: str
    factor: float


TARGETS = (
    Target("duly-batch", "faust-naive", 40),
    Target("duly-batch", "quix-walk", 2),
    Target("duly-batch-walk", "quix-walk", 2),
    Target("duly-batch-rocksdb", "quix-walk", 2),
    Target("duly-batch", "aiokafka", 0.5),
    Target("duly-batch-walk", "aiokafka-walk", 0.5),
)


@dataclass(slots=True)
class EngineResult:
    """What came of one engine.

    left_out: why it was not measured. faults: what was wrong in what it wrote. failures: lives that did not end well.
    """

    engine: Engine
    events: int
    left_out: str = ""
    rounds: dict[int, Round] = field(default_factory=dict)
    waits: list[Waits] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    @property
    def verdict(self) -> str:
        """One life that lost or repeated something is enough; one that ended too soon or stood still is said."""
        if self.left_out:
            return f"left out: {self.left_out}"
        if self.faults:
            return f"DISQUALIFIED: {self.faults[0]}"
        if self.failures:
            return f"{len(self.failures)} FAILED: {self.failures[0].partition('. Log')[0][:_TOLD]}"
        return "ok" if self.rounds or self.waits else "not measured"

    @property
    def rate(self) -> float:
        """Median events/s; 0 for none."""
        return median(round_.events_per_second for round_ in self.rounds.values()) if self.rounds else 0.0

    def to_json(self) -> dict[str, Any]:
        by_rate: dict[int, list[float]] = {}
        for waits in self.waits:
            for rate, values in waits.by_rate.items():
                by_rate.setdefault(rate, []).extend(values)
        measures = {
            "events_per_second": rates([round_.events_per_second for round_ in self.rounds.values()]),
            "worker_cpu_per_event": Measure("us", tuple(round_.cpu_us for round_ in self.rounds.values())),
            "broker_busy": Measure("share of its core", tuple(round_.broker_busy for round_ in self.rounds.values())),
            **{f"latency_at_{rate}": latencies([wait / 1000 for wait in found]) for rate, found in by_rate.items()},
        }
        return {
            "title": self.engine.title,
            "predictor": self.engine.predictor,
            "events": self.events,
            "verdict": self.verdict,
            "faults": self.faults,
            "failures": self.failures,
            "measures": {name: measure.to_json() for name, measure in measures.items() if measure.values},
        }


def ratios(found: Mapping[str, EngineResult]) -> list[dict[str, Any]]:
    """Of each target that both engines were measured for: the ratio round by round, and whether its median holds.

    by_cpu: the same ratio by CPU per event, which is what a core that nobody else uses would give to either.
    """
    entries = []
    for target in TARGETS:
        ours, theirs = found.get(target.ours), found.get(target.theirs)
        if ours is None or theirs is None:
            continue
        pairs = [(ours.rounds[number], theirs.rounds[number]) for number in ours.rounds if number in theirs.rounds]
        if not pairs:
            continue
        each = [a.events_per_second / b.events_per_second for a, b in pairs]
        entries.append(
            {
                "ours": target.ours,
                "theirs": target.theirs,
                "at_least": target.factor,
                "found": Measure("x", tuple(each)).to_json(),
                "by_cpu": Measure("x", tuple(b.cpu_us / a.cpu_us for a, b in pairs)).to_json(),
                "holds": median(each) >= target.factor and not ours.faults and not ours.failures,
            }
        )
    return entries


def tables(found: Sequence[EngineResult], targets: Sequence[Mapping[str, Any]]) -> str:
    """For a person."""
    lines = [f"{'engine':42}{'events/s':>10}{'min..max':>18}{'CPU us':>9}{'broker':>8}{'':3}verdict"]
    for each in found:
        line = f"{each.engine.title:42}"
        if each.rounds:
            values = [round_.events_per_second for round_ in each.rounds.values()]
            spread = f"{min(values):,.0f}..{max(values):,.0f}"
            cpu = median(round_.cpu_us for round_ in each.rounds.values())
            busy = median(round_.broker_busy for round_ in each.rounds.values())
            line += f"{each.rate:>10,.0f}{spread:>18}{cpu:>9.1f}{busy:>8.0%}"
        else:
            line += " " * 45
        lines.append(f"{line}   {each.verdict}")
    lines += _latency_lines(found)
    lines += _target_lines(targets)
    return "\n".join(lines)


def _latency_lines(found: Sequence[EngineResult]) -> list[str]:
    lines = []
    for each in found:
        measures = each.to_json()["measures"]
        paced = {name: entry for name, entry in measures.items() if name.startswith("latency_at_")}
        texts = [f"{name[11:]}/s: p50 {entry['p50']:g}, p99 {entry['p99']:g}" for name, entry in paced.items()]
        if texts:
            lines.append(f"{each.engine.title:42}{'   '.join(texts)}")
    return ["", "event to score, ms", *lines] if lines else []


def _target_lines(targets: Sequence[Mapping[str, Any]]) -> list[str]:
    lines = [""] if targets else []
    for entry in targets:
        spread = entry["found"]
        verdict = "holds" if entry["holds"] else "MISSED"
        what = f"{entry['ours']} / {entry['theirs']}"
        ratio = f"{spread['median']:.2f} x ({spread['min']:.2f}..{spread['max']:.2f})"
        by_cpu = f"by CPU {entry['by_cpu']['median']:.2f} x"
        lines.append(f"{what:36}{ratio:>24}   {by_cpu:<15}   target {entry['at_least']:g} x: {verdict}")
    return lines

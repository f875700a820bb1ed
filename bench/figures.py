"""What a bench hands back: measures with their spread, and the conditions they hold under. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any


@dataclass(frozen=True, slots=True)
class Measure:
    """values: one per round (a rate, a cost) or one per event (a latency). quantiles: given in the document as well."""

    unit: str
    values: tuple[float, ...]
    quantiles: tuple[int, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """unit, count, median, min, max and the quantiles. A measure without values says so by count 0 alone."""
        if not self.values:
            return {"unit": self.unit, "count": 0}
        ordered = sorted(self.values)
        return {
            "unit": self.unit,
            "count": len(ordered),
            "median": _short(median(ordered)),
            "min": _short(ordered[0]),
            "max": _short(ordered[-1]),
            **{f"p{percent}": _short(quantile(ordered, percent)) for percent in self.quantiles},
        }


@dataclass(frozen=True, slots=True)
class Result:
    """conditions: sizes, load and settings, whatever a reader needs to judge a figure. running: processes that ran."""

    measures: Mapping[str, Measure]
    conditions: Mapping[str, Any] = field(default_factory=dict)
    running: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return {
            "measures": {name: measure.to_json() for name, measure in self.measures.items()},
            "conditions": dict(self.conditions),
            "running": list(self.running),
        }


@dataclass(slots=True)
class Figures:
    """Measures under way: one value a time something was measured."""

    values: dict[str, list[float]] = field(default_factory=dict)
    units: dict[str, str] = field(default_factory=dict)

    def add(self, name: str, unit: str, value: float) -> None:
        self.values.setdefault(name, []).append(value)
        self.units[name] = unit

    def measures(self) -> dict[str, Measure]:
        return {name: Measure(self.units[name], tuple(values)) for name, values in self.values.items()}


def rates(values: Sequence[float]) -> Measure:
    """Things per second, one value per round."""
    return Measure("1/s", tuple(values))


def cpu_per(seconds: float, things: int) -> Measure:
    """Microseconds of CPU for each of so many things; without a value where none was left to be measured."""
    return Measure("us", (seconds / things * 1e6,) if things else ())


def latencies(seconds: Sequence[float]) -> Measure:
    """Milliseconds from seconds, one value per event, with p50 and p99."""
    return Measure("ms", tuple(value * 1000.0 for value in seconds), quantiles=(50, 99))


def quantile(ordered: Sequence[float], percent: int) -> float:
    """The smallest value with at least `percent` % of the values at or below it (nearest rank). ordered: rising."""
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


def _short(value: float) -> float:
    """Four significant digits: the rest is noise."""
    return float(f"{value:.4g}")

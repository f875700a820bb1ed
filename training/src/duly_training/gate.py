"""The promotion gate: a verdict with every line, passed or failed. A refused model is registered and serves nobody."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass

from duly_training.baselines import GATE_BASELINES
from duly_training.intervals import Interval
from duly_training.judged import late_name
from duly_training.slices import JUDGED_INVOICES, JUDGED_LATE, Slice

ECE_MAX = 0.02
SLOPE_MIN, SLOPE_MAX = 0.8, 1.25
CHAMPION_MARGIN = 0.001
SLICE_MARGIN = 0.02


@dataclass(frozen=True, slots=True)
class GateLine:
    """One condition."""

    name: str
    passed: bool
    value: str
    limit: str


@dataclass(frozen=True, slots=True)
class Verdict:
    lines: tuple[GateLine, ...]

    @property
    def promote(self) -> bool:
        return all(line.passed for line in self.lines)

    @property
    def failed(self) -> tuple[GateLine, ...]:
        return tuple(line for line in self.lines if not line.passed)

    @property
    def reason(self) -> str:
        """Why it was refused, in one sentence; empty if it was not."""
        return "; ".join(f"{line.name}: {line.value}, must be {line.limit}" for line in self.failed)

    @property
    def short_reason(self) -> str:
        """Which lines failed, without figures."""
        return f"the fitted model failed {', '.join(line.name for line in self.failed)}" if self.failed else ""

    def to_json(self) -> dict[str, object]:
        return {"promote": self.promote, "lines": [asdict(line) for line in self.lines]}


@dataclass(frozen=True, slots=True)
class AgainstChampion:
    """The logloss of both on invoices that the champion had not seen either. None, None: nothing to compare."""

    invoices: int
    logloss: float | None
    champion_logloss: float | None
    note: str = ""


Gate = Callable[
    [Mapping[str, float], Mapping[str, Interval], Sequence[Slice], Mapping[str, str], AgainstChampion], Verdict
]


def verdict_of(
    metrics: Mapping[str, float],
    gains: Mapping[str, Interval],
    slices: Sequence[Slice],
    checks: Mapping[str, str],
    champion: AgainstChampion,
) -> Verdict:
    """metrics: of the model. gains: logloss gain over each baseline. checks: name -> fault, "" = held."""
    lines = [_gain_line(name, gains.get(name)) for name in GATE_BASELINES]
    lines.append(_champion_line(champion))
    ece, slope = metrics.get(late_name("ece")), metrics.get(late_name("slope"))
    # A small window shows an error where there is none: what chance alone shows is not held against a model.
    excess = None if ece is None else max(0.0, ece - metrics.get(late_name("ece_by_chance"), 0.0))
    lines.append(_range_line("calibration error (ECE) beyond chance", excess, None, ECE_MAX))
    lines.append(_range_line("calibration slope", slope, SLOPE_MIN, SLOPE_MAX))
    lines.append(_slices_line(slices))
    lines += [GateLine(name, not fault, fault or "held", "held") for name, fault in checks.items()]
    return Verdict(tuple(lines))


def _gain_line(baseline: str, gain: Interval | None) -> GateLine:
    name, limit = f"logloss gain over {baseline}", "surely above 0 (95 % of draws of debtors)"
    if gain is None:
        return GateLine(name, False, "not measured: no invoice can be judged yet", limit)
    return GateLine(name, gain.above_zero, f"{gain.value:.4f} ({gain.low:.4f} .. {gain.high:.4f})", limit)


def _champion_line(champion: AgainstChampion) -> GateLine:
    name, limit = "logloss against the champion", f"at most {CHAMPION_MARGIN} worse"
    if champion.logloss is None or champion.champion_logloss is None:
        return GateLine(name, True, champion.note or "there is no champion", limit)
    worse = champion.logloss - champion.champion_logloss
    return GateLine(name, worse <= CHAMPION_MARGIN, f"{worse:+.4f} on {champion.invoices:,} invoices", limit)


def _range_line(name: str, value: float | None, low: float | None, high: float) -> GateLine:
    limit = f"at most {high}" if low is None else f"{low} .. {high}"
    if value is None:
        return GateLine(name, False, "not measured", limit)
    return GateLine(name, (low is None or value >= low) and value <= high, f"{value:.4f}", limit)


def _slices_line(slices: Sequence[Slice]) -> GateLine:
    limit = f"no slice of {JUDGED_INVOICES} invoices with {JUDGED_LATE} late ones over 2 % worse than the best baseline"
    worse = [one for one in slices if one.is_judged and one.worse_by > SLICE_MARGIN]
    said = ", ".join(f"{one.name} {one.worse_by:+.1%}" for one in worse)
    judged = sum(one.is_judged for one in slices)
    return GateLine("slices", not worse, said or f"{judged} slices held", limit)

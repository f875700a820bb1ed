"""What a check says."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

VIOLATIONS_SHOWN = 5

Figures = Mapping[str, int | str]


@dataclass(frozen=True, slots=True)
class CheckResult:
    """name: what must hold, as a sentence. violations: how many; shown: the first few, in words."""

    name: str
    figures: Figures = field(default_factory=dict)
    violations: int = 0
    shown: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        return self.violations == 0

    def to_json(self) -> dict[str, object]:
        return {
            "name": self.name,
            "passed": self.passed,
            "figures": dict(self.figures),
            "violations": self.violations,
            "first_violations": list(self.shown),
        }


def result(name: str, violations: Iterable[str], **figures: int | str) -> CheckResult:
    """A result from everything that is wrong; the first few are kept in words."""
    wrong = list(violations)
    return CheckResult(name, figures, len(wrong), tuple(wrong[:VIOLATIONS_SHOWN]))
